"""What befell the parts of a trial, by what was recorded of it: the evidence for what it cost.

restarts   Redis died, or was started anew: what it had not written to a disk is gone
outages    a worker could not reach Redis, or Redis refused what it was told
gone       a worker process ended
silences   a worker could not say that it lives, which Redis takes for a death
evictions  Redis threw keys away for want of memory
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from perfkit.frames.session import Session, session
from perfkit.store import StoredRun, TrialFacts
from perfkit.store.facts import FaultEvent

__all__ = ["Incidents", "Outage", "Restart", "Silence", "incidents_of"]

_EVERYSEC_NS: Final = 2_000_000_000  # Redis may be a second late with its flush of each second
_LONG_AFTER: Final = 2**62
_OF_REDIS: Final = ("kill", "stop", "restart", "pause", "fill")
_OF_LINKS: Final = ("cut", "slow")
_SLOW: Final = ("stop", "pause", "slow")
_NO_WORKERS: Final = ("redis", "ingest", "gateway", "supervisor", "relay", "generator")


class Restart(NamedTuple):
    """Redis died; ``kept_ns``: what was written until then came back, None: that is not known."""

    died_ns: int
    kept_ns: int | None
    how: str  # what was lost with it, as a clause


class Outage(NamedTuple):
    """Redis could not be reached, or refused all; ``slow``: or it answered in the end."""

    begin_ns: int
    end_ns: int
    slow: bool


class Silence(NamedTuple):
    """A stretch in which a worker could not reach Redis; no name: none could."""

    worker: str | None
    begin_ns: int
    end_ns: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Incidents:
    """Of one trial; instants in ns of its clock."""

    restarts: tuple[Restart, ...]
    outages: tuple[Outage, ...]
    gone: Mapping[str, int]
    told: Mapping[str, int]  # workers that were told to stop
    silences: tuple[Silence, ...]
    evictions: tuple[int, ...]  # no later than these
    heartbeat_timeout_ns: int | None

    @property
    def forgot(self) -> str:
        """Why Redis may have forgotten something it was told; empty where it can't have."""
        if self.evictions:
            return "Redis evicted keys"
        if any(each.kept_ns is None or each.kept_ns < each.died_ns for each in self.restarts):
            return "Redis died, and had not kept all"
        return ""


@functools.lru_cache(maxsize=64)
def incidents_of(run: StoredRun, trial: int) -> Incidents:
    """Read the incidents of one trial from its faults, its deaths and its samples."""
    facts = run.facts(trial)
    config = facts.redis_config or (run.manifest.get("redis") or {}).get("config") or {}
    done = [each for each in facts.faults if each.done_ns is not None]
    with session(run, trial) as sql:
        restarts = tuple(_restarts(sql, facts, config))
        down = list(_down(sql, facts))
        evictions = tuple(_evictions(sql))
    spans = [Outage(*_span(each, facts), each.action in _SLOW) for each in done if _cuts_off(each)]
    died = [(each.died_ns, _next(down, each.died_ns)) for each in restarts]
    gone = {
        each.name: each.ended_ns
        for each in facts.worker_lives
        if each.ended_ns is not None and each.ended_ns < facts.instants.drain_end
    }
    gone |= {
        death.name: death.at_ns
        for death in facts.deaths
        if facts.role(death.name) not in _NO_WORKERS
    }
    return Incidents(
        restarts=restarts,
        outages=tuple(sorted([*spans, *(Outage(*each, False) for each in (*down, *died))])),
        gone=gone,
        told={
            each.name: each.stop_ns
            for each in facts.worker_lives
            if each.stop_ns is not None and each.stop_ns < facts.instants.drain_end
        },
        silences=tuple(_silences(done, facts)),
        evictions=evictions,
        heartbeat_timeout_ns=facts.heartbeat_timeout_ns,
    )


def _cuts_off(fault: FaultEvent) -> bool:
    """Whether a worker could not do what it wanted with Redis while this fault lasted."""
    if fault.action in _OF_LINKS:
        return fault.target == "worker-redis"
    return fault.action in _OF_REDIS and fault.target == "redis"


def _span(fault: FaultEvent, facts: TrialFacts) -> tuple[int, int]:
    begin = fault.at_ns if fault.done_ns is None else min(fault.at_ns, fault.done_ns)
    end = facts.instants.drain_end if fault.ended_ns is None else fault.ended_ns
    return begin, max(begin, end)


def _next(down: Iterable[tuple[int, int]], died_ns: int) -> int:
    """When Redis, dead since then, was seen again; if it never was away, at once."""
    return max((end for begin, end in down if begin <= died_ns <= end), default=died_ns)


def _silences(done: Iterable[FaultEvent], facts: TrialFacts) -> Iterator[Silence]:
    for each in done:
        begin, end = _span(each, facts)
        if each.action == "stop" and each.target.partition(":")[0] in ("worker", "workers"):
            for name in each.victims or (None,):
                yield Silence(name, begin, end)
        elif _cuts_off(each) and each.action != "fill":
            yield Silence(None, begin, end)


def _restarts(sql: Session, facts: TrialFacts, config: Mapping[str, str]) -> Iterator[Restart]:
    died = [death.at_ns for death in facts.deaths if facts.role(death.name) == "redis"]
    ended = [
        each.done_ns
        for each in facts.faults
        if each.done_ns is not None
        and each.target == "redis"
        and each.action in ("kill", "restart")
    ]
    # Its uptime fell: between two readings there was a new server.
    seen = [
        (before, after)
        for before, after in sql.rows("""
            select before_ns, at_ns from (
                select at_ns, value, lag(value) over w as before, lag(at_ns) over w as before_ns
                from samples where metric = 'redis.uptime_s'
                window w as (partition by subject order by at_ns)
            ) where value < before
        """)
    ]
    # One death has several witnesses: a supervisor, whoever did it, the server's own counters.
    instants: list[int] = []
    for at_ns in sorted([*died, *ended]):
        if not instants or at_ns - instants[-1] > _EVERYSEC_NS:
            instants.append(at_ns)
        else:
            instants[-1] = at_ns
    for before, after in sorted(seen):
        if not any(before - _EVERYSEC_NS <= each <= after for each in instants):
            instants.append(after)
    for at_ns in sorted(instants):
        kept, how = _kept(sql, config, at_ns)
        yield Restart(at_ns, kept, how)


def _kept(sql: Session, config: Mapping[str, str], died_ns: int) -> tuple[int | None, str]:
    """Until when what was written came back, and what is to be said of the rest."""
    if not {"appendonly", "save"} <= set(config):
        return None, "Redis died after it was enqueued"
    if config["appendonly"] == "yes":
        if config.get("appendfsync") == "always":
            return _LONG_AFTER, ""
        how = "Redis died before its append-only file was on the disk"
        return died_ns - _EVERYSEC_NS, how
    if not config["save"].strip():
        return -1, "Redis died, and keeps nothing on a disk"
    saved = sql.rows(
        """
        select max(at_ns) from (
            select at_ns, value,
                   lag(value) over (partition by subject order by at_ns) as before
            from samples where metric = 'redis.unsaved_changes' and at_ns <= $1
        ) where value = 0 or value < before
        """,
        [died_ns],
    )[0][0]
    readings = sql.rows("select count(*) from samples where metric = 'redis.unsaved_changes'")
    if not readings[0][0]:
        return None, "Redis died after it was enqueued"
    return (-1 if saved is None else int(saved)), "Redis died before it had saved what it held"


def _down(sql: Session, facts: TrialFacts) -> Iterator[tuple[int, int]]:
    """Stretches in which Redis did not answer the sampler, from the last answer to the next."""
    rows = sql.rows("""
        select subject, at_ns, value from samples where metric = 'redis.up' order by subject, at_ns
    """)
    before: tuple[str, int] | None = None
    begin: int | None = None
    for subject, at_ns, value in rows:
        if before is not None and before[0] != subject:
            if begin is not None:
                yield begin, facts.instants.drain_end
            before, begin = None, None
        if not value and begin is None:
            begin = at_ns if before is None else before[1]
        elif value and begin is not None:
            yield begin, at_ns
            begin = None
        before = (subject, at_ns)
    if begin is not None:
        yield begin, facts.instants.drain_end


def _evictions(sql: Session) -> Iterator[int]:
    """When the counter of evicted keys was seen to have risen; a restart sets it to nought."""
    yield from (
        at_ns
        for (at_ns,) in sql.rows("""
            select at_ns from (
                select at_ns, value, lag(value) over (partition by subject order by at_ns) as before
                from samples where metric = 'redis.evicted'
            ) where value > before or (value < before and value > 0)
            order by at_ns
        """)
    )
