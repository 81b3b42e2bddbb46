"""What the recorder tells of jobs while they run: followed in its spools, never written to.

Of what was recorded before the monitor looked only the newest is read; from then on everything.
"""

from __future__ import annotations

import dataclasses
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from perfkit.clock import Clock
from perfkit.monitor.lock_holders import lock_holders
from perfkit.monitor.snapshot import ErrorCount, Queue, SlowJob
from perfkit.monitor.timeline import timeline_of
from perfkit.monitor.windows import Window
from perfkit.recorder.deliveries import deliveries
from perfkit.recorder.events import Event, Kind
from perfkit.recorder.reader import SpoolAnchor, SpoolContents, SpoolFollower
from perfkit.recorder.sidecar import is_held
from perfkit.stats.order import quantile_of_sorted

__all__ = ["Known", "RecorderLook", "RecorderSource"]

_NEWEST: Final = 20_000
_REMEMBERED_IDS: Final = 50_000
_MOST_JOBS: Final = 5_000
_MOST_EVENTS_OF_JOB: Final = 200
_MOST_EVENTS: Final = 60_000  # of all jobs together
_MOST_QUEUES: Final = 200
_MOST_OPEN: Final = 50_000
_MOST_ERRORS: Final = 100
_SLOW: Final = 20
_SLOW_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Known:
    """A process that records."""

    name: str
    broker_id: str
    role: str
    pid: int  # as it calls itself: in a container of its own it may be anybody's here
    dead: bool
    closed: bool  # it ended in order
    seen_pid: int | None = None  # as it is called here; None: it can't be seen, or is dead

    @property
    def key(self) -> str:
        """Its name, and its number: several may have one name, one after another."""
        return f"{self.name}.{self.pid}"


@dataclass(frozen=True, slots=True)
class RecorderLook:
    """What is known at one moment; without a spool ``reason`` says why."""

    reason: str | None
    detail: str = ""
    queues: Mapping[str, Queue] = dataclasses.field(default_factory=dict)
    errors: tuple[ErrorCount, ...] = ()
    slow_jobs: tuple[SlowJob, ...] = ()
    processes: tuple[Known, ...] = ()
    counts_arrivals: bool = False  # whether what comes in is recorded too


class RecorderSource:
    """Follows the spools of one folder; `look` and `job` may be called by different threads."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._follower = SpoolFollower(folder, newest=_NEWEST, remember=_REMEMBERED_IDS)
        self._windows: dict[str, Window] = {}
        self._open: dict[tuple[str, int, int], Event] = {}
        self._errors: dict[tuple[str, str, str], tuple[int, float]] = {}
        self._slow: list[SlowJob] = []
        self._arrivals = False
        self._was_there = False
        self._over: set[tuple[str, int, int]] = set()  # those that are dead, which they stay
        self._seen_pids: dict[tuple[str, int, int], int] = {}
        # Of each job, events by the process that recorded them.
        self._events = 0
        self._jobs: OrderedDict[str, list[tuple[SpoolContents, Event]]] = OrderedDict()

    def look(self, clock: Clock) -> RecorderLook:
        """Read what is new, and tell what is known."""
        try:
            spools = self._follower.read()
        except FileNotFoundError:
            gone = "is gone: nothing is recorded there any more"
            return RecorderLook(f"{self.folder} {gone if self._was_there else 'is not there'}")
        except (OSError, ValueError) as error:
            return RecorderLook(f"{self.folder} can't be read: {error}")
        except (TypeError, KeyError, AttributeError) as error:  # written by somebody else
            kind = type(error).__name__
            return RecorderLook(f"{self.folder} holds what is no spool of perfkit ({kind})")
        self._was_there = True
        if not spools:
            return RecorderLook(f"{self.folder} holds no spool yet")
        for spool in spools:
            about = dataclasses.replace(spool, events=[])
            for event in spool.events:
                self._take(about, event)
        now_s = clock.wall_ns() / 1e9
        self._slow = [each for each in self._slow if each.at_s > now_s - _SLOW_S]
        processes = self._processes(spools)
        alive = sum(not each.dead for each in processes)
        killed = sum(each.dead and not each.closed for each in processes)
        detail = f"{alive} {'process records' if alive == 1 else 'processes record'}"
        return RecorderLook(
            reason=None if alive else "no process that records is alive",
            detail=detail + (f", {killed} died" if killed else "") + _losses(spools),
            queues={name: _queue(name, each, now_s) for name, each in self._windows.items()},
            errors=tuple(
                ErrorCount(queue=queue, actor=actor, type=kind, count=count, last_s=last_s)
                for (queue, actor, kind), (count, last_s) in sorted(
                    self._errors.items(), key=lambda item: -item[1][1]
                )
            ),
            slow_jobs=tuple(sorted(self._slow, key=lambda each: -each.latency_s)[:_SLOW]),
            processes=processes,
            counts_arrivals=self._arrivals,
        )

    def quantile(self, queue: str | None, what: str, share: float, now_s: float) -> float | None:
        """Of the last minute's waits_s, runs_s or latencies_s, of one queue or of all."""
        windows = list(self._windows.values()) if queue is None else [self._windows.get(queue)]
        values = sorted(
            value for each in windows if each is not None for value in each.values(now_s, what)
        )
        return quantile_of_sorted(values, share) if values else None

    def job(self, job_id: str) -> dict[str, Any] | None:
        """The timeline of one of the last few thousand jobs."""
        events = list(self._jobs.get(job_id, ()))
        if not events:
            return None
        parts: dict[tuple[str, int], SpoolContents] = {}
        for about, event in events:
            part = parts.setdefault((about.name, about.pid), dataclasses.replace(about, events=[]))
            part.events.append(event)
        rows = [row for _, row in deliveries(list(parts.values()))]
        return timeline_of(job_id, rows, events[0][0].anchor)

    def _processes(self, spools: list[SpoolContents]) -> tuple[Known, ...]:
        """Who records, who did, and by which number the living are known here."""
        keys = [(each.name, each.pid, each.anchor.mono_ns) for each in spools]
        sidecars = [self.folder / f"{each.name}.{each.pid}.jsonl" for each in spools]
        for key, spool, sidecar in zip(keys, spools, sidecars, strict=True):
            if key not in self._over and (spool.closed or not is_held(sidecar)):
                self._over.add(key)
        living = {
            key: path for key, path in zip(keys, sidecars, strict=True) if key not in self._over
        }
        if living.keys() - self._seen_pids.keys():
            holders = lock_holders(living.values())
            self._seen_pids = {
                key: holders[path] for key, path in living.items() if path in holders
            }
        return tuple(
            Known(
                name=spool.name,
                broker_id=spool.broker_id,
                role="worker" if spool.role == "worker" else "producer",
                pid=spool.pid,
                dead=key in self._over,
                closed=spool.closed,
                seen_pid=None if key in self._over else self._seen_pids.get(key),
            )
            for key, spool in zip(keys, spools, strict=True)
        )

    def _take(self, about: SpoolContents, event: Event) -> None:
        self._remember(about, event)
        if event.delayed:
            return
        window = self._windows.get(event.queue)
        if window is None:
            if len(self._windows) >= _MOST_QUEUES:
                return
            window = self._windows[event.queue] = Window()
        anchor = about.anchor
        match event.kind:
            case Kind.ENQ if event.t1_ns is not None:
                window.at(_wall_s(anchor, event.t1_ns)).came += 1
                window.came += 1
                self._arrivals = self._arrivals or about.role != "worker"
            case Kind.START:
                if len(self._open) < _MOST_OPEN:
                    self._open[about.name, about.pid, event.thread_id] = event
            case Kind.END if event.t1_ns is not None:
                self._ended(about, event, window, event.t1_ns)
            case Kind.ACK | Kind.NACK if (event.t2_ns or event.t1_ns) is not None:
                window.at(_wall_s(anchor, event.t2_ns or event.t1_ns or 0)).left += 1
            case _:
                pass

    def _ended(self, about: SpoolContents, event: Event, window: Window, finished_ns: int) -> None:
        at_s = _wall_s(about.anchor, finished_ns)
        second = window.at(at_s)
        if event.error:
            second.failed += 1
            window.failed += 1
            self._count_error(event, event.error, at_s)
        else:
            second.done += 1
            window.done += 1
        start = self._open.pop((about.name, about.pid, event.thread_id), None)
        if start is None or start.redis_message_id != event.redis_message_id:
            return
        if start.t1_ns is None or start.t3_ns is None:
            return
        wait_s, run_s = (start.t3_ns - start.t1_ns) / 1e9, (finished_ns - start.t3_ns) / 1e9
        second.took(wait_s, run_s)
        self._keep_slow(
            SlowJob(
                id=event.message_id,
                queue=event.queue,
                actor=event.actor,
                latency_s=wait_s + run_s,
                wait_s=wait_s,
                run_s=run_s,
                outcome="failed" if event.error else "done",
                at_s=at_s,
            )
        )

    def _count_error(self, event: Event, kind: str, at_s: float) -> None:
        key = (event.queue, event.actor, kind)
        if key not in self._errors and len(self._errors) >= _MOST_ERRORS:
            del self._errors[min(self._errors, key=lambda each: self._errors[each][1])]
        count, last_s = self._errors.get(key, (0, 0.0))
        self._errors[key] = count + 1, max(last_s, at_s)

    def _keep_slow(self, job: SlowJob) -> None:
        """Twice as many as are shown: some fall out by age before they are told."""
        if len(self._slow) < 2 * _SLOW:
            self._slow.append(job)
            return
        least = min(range(len(self._slow)), key=lambda place: self._slow[place].latency_s)
        if job.latency_s > self._slow[least].latency_s:
            self._slow[least] = job

    def _remember(self, about: SpoolContents, event: Event) -> None:
        events = self._jobs.get(event.message_id)
        if events is None:
            events = self._jobs[event.message_id] = []
        if len(events) < _MOST_EVENTS_OF_JOB:
            events.append((about, event))
            self._events += 1
        while len(self._jobs) > _MOST_JOBS or self._events > _MOST_EVENTS:
            self._events -= len(self._jobs.popitem(last=False)[1])


def _losses(spools: list[SpoolContents]) -> str:
    lost = sum(each.lost + each.corrupt for each in spools)
    dropped = sum(each.dropped for each in spools)
    return (f", {lost} events lost" if lost else "") + (
        f", {dropped} dropped for want of disk" if dropped else ""
    )


def _wall_s(anchor: SpoolAnchor, mono_ns: int) -> float:
    return (anchor.wall_ns + mono_ns - anchor.mono_ns) / 1e9


def _queue(name: str, window: Window, now_s: float) -> Queue:
    p50, p95, p99 = window.quantiles(now_s, "latencies_s", 0.5, 0.95, 0.99)
    wait_p50, wait_p95, wait_p99 = window.quantiles(now_s, "waits_s", 0.5, 0.95, 0.99)
    run_p50, run_p95, run_p99 = window.quantiles(now_s, "runs_s", 0.5, 0.95, 0.99)
    return Queue(
        name=name,
        rate_in=window.rate(now_s, "came"),
        rate_out=window.rate(now_s, "left"),
        errors_rate=window.rate(now_s, "failed"),
        latency_p50_s=p50,
        latency_p95_s=p95,
        latency_p99_s=p99,
        wait_p50_s=wait_p50,
        wait_p95_s=wait_p95,
        wait_p99_s=wait_p99,
        run_p50_s=run_p50,
        run_p95_s=run_p95,
        run_p99_s=run_p99,
        enqueued=window.came if window.came else None,
        done=window.done,
        failed=window.failed,
    )
