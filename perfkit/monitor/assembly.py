"""From what the sources saw in one tick to one snapshot."""

from __future__ import annotations

import dataclasses
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from perfkit.clock import Clock
from perfkit.monitor.growth import Growth
from perfkit.monitor.holdings import Holder
from perfkit.monitor.recorder_source import Known, RecorderLook
from perfkit.monitor.redis_source import MOST_QUEUES, RedisLook
from perfkit.monitor.snapshot import (
    Load,
    Mode,
    Queue,
    Redis,
    SlowCommand,
    Snapshot,
    Source,
    Totals,
    Worker,
)

__all__ = ["Assembler", "Seen"]

_MOST_WORKERS: Final = 500
_SLOWLOG: Final = 20
_ID_LENGTH: Final = 8
_COUNTS: Final = ("waiting", "in_flight", "delayed", "dead", "stalled")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One tick of all sources; None where there is no such source."""

    subject: str
    servers: Mapping[str, RedisLook]
    recorder: RecorderLook | None = None
    load: Load | None = None
    has_load: bool = False
    cpu_cores: Mapping[str, float] | None = None  # by process
    rss_bytes: Mapping[str, float] = dataclasses.field(default_factory=dict)
    waiting: str = ""  # for what; there is nothing to look at
    trouble: str = ""  # why nothing can be looked at
    searched: bool = False  # queues are searched for: what the recorder knows of others is shown
    ended: bool = False

    @property
    def mode(self) -> Mode:
        """Of the snapshot."""
        return "ended" if self.ended else "waiting" if self.waiting else "live"

    @property
    def knows_workers(self) -> bool:
        """Whether somebody tells who works."""
        looks = self.servers.values()
        recorded = self.recorder is not None and self.recorder.reason is None
        return recorded or any(each.reason is None and not each.unseen for each in looks)


class Assembler:
    """Makes snapshots of successive ticks; remembers what rates and durations need."""

    def __init__(self) -> None:
        self._seq = 0
        self._growth = Growth()
        self._slowlog: deque[SlowCommand] = deque(maxlen=_SLOWLOG)
        self._states: dict[str, tuple[bool, int]] = {}  # ok, since when
        self._good_ns: dict[str, int] = {}
        self._slow_commands: dict[str, int] = {}

    def snapshot(self, seen: Seen, clock: Clock) -> Snapshot:
        """The next one; thresholds are judged on it afterwards."""
        self._seq += 1
        now_ns, wall_ns = clock.now_ns(), clock.wall_ns()
        offset_ns = wall_ns - now_ns
        servers = [self._redis(*each, offset_ns) for each in seen.servers.items()]
        queues = self._queues(seen, now_ns)
        workers = sorted(_workers(seen, wall_ns), key=_by_importance)
        scans = [look.scan for look in seen.servers.values() if look.scan is not None]
        recorder = seen.recorder
        self._growth.forget(now_ns)
        return Snapshot(
            seq=self._seq,
            at_s=wall_ns / 1e9,
            mode=seen.mode,
            subject=seen.subject,
            sources=dict(self._sources(seen, now_ns)),
            totals=self._totals(seen, queues, workers, now_ns),
            queues=tuple(queues),
            workers=tuple(workers[:_MOST_WORKERS]),
            redis=servers[0] if servers else None,
            more_redis=tuple(servers[1:]),
            load=seen.load,
            errors=() if recorder is None else recorder.errors,
            slow_jobs=() if recorder is None else recorder.slow_jobs,
            scan=scans[0] if scans else None,
        )

    def _sources(self, seen: Seen, now_ns: int) -> Iterator[tuple[str, Source]]:
        found: dict[str, tuple[bool, str]] = {}
        broken = [look.reason for look in seen.servers.values() if look.reason is not None]
        if seen.servers:
            many = f"{len(seen.servers)} servers" if len(seen.servers) > 1 else "answers"
            found["redis"] = (not broken, "; ".join(broken) if broken else many)
        elif seen.waiting or seen.trouble:
            found["redis"] = (False, seen.trouble or seen.waiting)
        if unseen := [look.unseen for look in seen.servers.values() if look.unseen]:
            found["workers"] = (False, unseen[0])
        if (recorder := seen.recorder) is not None:
            found["recorder"] = (recorder.reason is None, recorder.reason or recorder.detail)
        if seen.has_load:
            load = seen.load
            # Before the first request nothing is wrong with who sends them.
            found["load"] = (True, "no load yet" if load is None else load.phase or "")
        if seen.cpu_cores is not None:
            count = len(seen.rss_bytes)
            found["processes"] = (count > 0, f"{count} processes" if count else "none can be seen")
        for name, (ok, detail) in found.items():
            before = self._states.get(name)
            since_ns = before[1] if before is not None and before[0] == ok else now_ns
            self._states[name] = (ok, since_ns)
            if ok:
                self._good_ns[name] = now_ns
            good_ns = self._good_ns.get(name)
            yield (
                name,
                Source(
                    ok=ok,
                    detail=detail,
                    since_s=(now_ns - since_ns) / 1e9,
                    age_s=None if good_ns is None else (now_ns - good_ns) / 1e9,
                ),
            )

    def _queues(self, seen: Seen, now_ns: int) -> list[Queue]:
        recorded = _recorded(seen.recorder)
        arrivals = seen.recorder is not None and seen.recorder.counts_arrivals
        queues: dict[str, Queue] = {}
        for server, look in seen.servers.items():
            values = {(each.metric, each.subject): each.value for each in look.readings}
            commands = self._commands(server, look, now_ns) if len(look.queues) == 1 else None
            for name in look.queues:
                queue = _counted(recorded.get(name) or Queue(name=name), values, look)
                net = self._growth.rate(("net", name), now_ns, _unfinished(queue))
                queue = dataclasses.replace(queue, net_rate=net)
                if queue.rate_out is None and commands is not None:
                    came, left = commands
                    queue = dataclasses.replace(queue, rate_in=came, rate_out=left)
                elif queue.rate_out is not None and not arrivals:
                    # What comes in is not recorded: it is what left and what is left of it.
                    rate_in = None if net is None else max(0.0, queue.rate_out + net)
                    queue = dataclasses.replace(queue, rate_in=rate_in)
                queues[name] = queue
        for name in sorted(recorded.keys() - queues.keys()) if seen.searched else ():
            if len(queues) < MOST_QUEUES:
                queues[name] = recorded[name]
        return list(queues.values())

    def _commands(self, server: str, look: RedisLook, now_ns: int) -> tuple[float, float] | None:
        """Enqueued and finished per second by the server's own counts."""
        values = {each.metric: each.value for each in look.readings}
        rates = [
            self._growth.counted((server, name, len(look.queues) == 1), now_ns, values.get(name))
            for name in ("redis.rpush_calls", "redis.hdel_calls")
        ]
        return None if rates[0] is None or rates[1] is None else (rates[0], rates[1])

    def _totals(
        self, seen: Seen, queues: Sequence[Queue], workers: Sequence[Worker], now_ns: int
    ) -> Totals:
        sums = {name: _sum(getattr(each, name) for each in queues) for name in _COUNTS}
        ages = [each.oldest_age_s for each in queues if each.oldest_age_s is not None]
        came, left, origin = self._rates(seen, queues, now_ns)
        sure = [each for each in workers if each.role == "worker"]
        counts = {
            "workers": len(sure),
            "workers_alive": sum(each.alive for each in sure),
            "workers_lost": sum(each.lost for each in workers),
            "clients_alive": sum(each.alive and each.role == "unknown" for each in workers),
        }
        return Totals(
            **sums,
            oldest_age_s=max(ages) if ages else None,
            rate_in=came,
            rate_out=left,
            rates_from=origin,  # type: ignore[arg-type]
            queues=len(queues),
            queues_not_shown=sum(look.not_shown for look in seen.servers.values()),
            **(counts if seen.knows_workers else {}),
            workers_not_shown=max(0, len(workers) - _MOST_WORKERS)
            + sum(
                max(0, look.held.known - len(look.held.holders)) for look in seen.servers.values()
            ),
        )

    def _rates(
        self, seen: Seen, queues: Sequence[Queue], now_ns: int
    ) -> tuple[float | None, float | None, str | None]:
        if seen.recorder is not None and seen.recorder.reason is None and seen.recorder.queues:
            came = [each.rate_in for each in queues if each.rate_in is not None]
            left = [each.rate_out for each in queues if each.rate_out is not None]
            return sum(came) if came else None, sum(left) if left else None, "recorder"
        rates = []
        for server, look in seen.servers.items():
            name = f"{server}/all"
            rates.append(self._commands(name, look, now_ns))
        known = [rate for rate in rates if rate is not None]
        if not known or len(known) < len(rates):
            return None, None, None
        return sum(rate[0] for rate in known), sum(rate[1] for rate in known), "commands"

    def _redis(self, name: str, look: RedisLook, offset_ns: int) -> Redis:
        values = {each.metric: each.value for each in look.readings}
        at_ns = look.readings[-1].at_ns if look.readings else 0
        for each in look.readings:
            if each.metric == "redis.slowlog_ns":
                command = each.subject.rpartition("/")[2] if name else each.subject
                at_s = (each.at_ns + offset_ns) / 1e9
                self._slowlog.appendleft(
                    SlowCommand(command=command, duration_s=each.value / 1e9, at_s=at_s)
                )
        if (count := values.get("redis.slow_commands")) is not None:  # not told on each tick
            self._slow_commands[name] = int(count)
        cpu = self._growth.counted((name, "cpu"), at_ns, values.get("redis.cpu_ns"))
        trip_ns = values.get("redis.round_trip_ns")
        return Redis(
            name=name,
            ops=values.get("redis.ops_per_s"),
            memory_used_bytes=_whole(values.get("redis.memory_bytes")),
            memory_max_bytes=_whole(values.get("redis.memory_limit_bytes")) or None,
            clients=_whole(values.get("redis.clients")),
            cpu=None if cpu is None else cpu / 1e9,
            round_trip_s=None if trip_ns is None else trip_ns / 1e9,
            evicted=_whole(values.get("redis.evicted")),
            expired=_whole(values.get("redis.expired")),
            rejected_connections=_whole(values.get("redis.rejected_connections")),
            fragmentation=values.get("redis.fragmentation"),
            uptime_s=values.get("redis.uptime_s"),
            slow_commands=self._slow_commands.get(name),
            slowlog=tuple(self._slowlog),
        )


def _counted(queue: Queue, values: Mapping[tuple[str, str], float], look: RedisLook) -> Queue:
    """A queue with the counts that Redis tells."""
    name = queue.name
    age_ns = values.get(("queue.oldest_age_ns", name))
    stalled = (look.held.stalled or {}).get(name)
    in_flight = _whole(values.get(("queue.in_flight", name)))
    return dataclasses.replace(
        queue,
        waiting=_whole(values.get(("queue.waiting", name))),
        in_flight=in_flight,
        delayed=_whole(values.get(("queue.delayed", name))),
        dead=_whole(values.get(("queue.dead", name))),
        stalled=stalled if in_flight is not None else None,
        oldest_age_s=None if age_ns is None else age_ns / 1e9,
        problem=look.problems.get(name),
    )


def _recorded(recorder: RecorderLook | None) -> Mapping[str, Queue]:
    """What the recorder tells of queues; where nobody records any more, only what was counted."""
    if recorder is None or recorder.reason is None:
        return {} if recorder is None else recorder.queues
    return {
        name: Queue(name=name, enqueued=each.enqueued, done=each.done, failed=each.failed)
        for name, each in recorder.queues.items()
    }


def _unfinished(queue: Queue) -> float | None:
    parts = (queue.waiting, queue.in_flight, queue.delayed)
    known = [each for each in parts if each is not None]
    return float(sum(known)) if len(known) == len(parts) else None


def _workers(seen: Seen, wall_ns: int) -> Iterator[Worker]:
    processes = () if seen.recorder is None else seen.recorder.processes
    known = {each.broker_id: each for each in processes if each.broker_id}
    shown: set[str] = set()
    for look in seen.servers.values():
        for holder in look.held.holders:
            if holder.broker not in shown:
                shown.add(holder.broker)
                yield _worker(holder, known.get(holder.broker), seen, wall_ns)
    # Of those that Redis does not know, the living: Redis is away, or they have not polled yet.
    for each in processes:
        if each.broker_id not in shown and not each.dead:
            yield _worker(None, each, seen, wall_ns)


def _worker(holder: Holder | None, known: Known | None, seen: Seen, wall_ns: int) -> Worker:
    broker = holder.broker if holder is not None else known.broker_id if known else ""
    role = known.role if known is not None else "unknown"
    if known is None and holder is not None and holder.ever_held:
        role = "worker"
    key = known.key if known is not None else ""
    rss = seen.rss_bytes.get(key)
    alive = (holder is None or not holder.gone) and (known is None or not known.dead)
    return Worker(
        name=known.name if known is not None else broker[:_ID_LENGTH],
        broker_id=broker[:64],
        role=role,  # type: ignore[arg-type]
        alive=alive,
        lost=not alive and role != "producer" and _is_lost(holder, known),
        last_seen_s=None if holder is None else max(0.0, wall_ns / 1e9 - holder.seen_ms / 1e3),
        in_flight=None if holder is None else holder.held,
        in_flight_age_s=None if holder is None else holder.age_s,
        cpu=(seen.cpu_cores or {}).get(key),
        rss_bytes=None if rss is None else int(rss),
        pid=known.pid if known is not None else None,
    )


def _is_lost(holder: Holder | None, known: Known | None) -> bool:
    """Whether it left jobs behind, or the recorder knows that it did not end in order.

    Of one that is silent, holds nothing and is not recorded nobody can tell whether it was stopped
    in order: Redis keeps the heartbeat of both, and each deployment would be an alarm.
    """
    holds = holder is not None and bool(holder.held)
    return holds or (known is not None and known.role == "worker" and not known.closed)


def _by_importance(worker: Worker) -> tuple[bool, bool, bool, str]:
    """Those that are lost first, then workers, then the rest."""
    return not worker.lost, worker.role != "worker", not worker.alive, worker.name


def _sum(values: Iterable[int | None]) -> int | None:
    known = [each for each in values if each is not None]
    return sum(known) if known else None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
