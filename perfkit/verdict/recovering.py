"""What each fault cost, and how soon it was over.

    before      fault done         mended     backlog back     after
    ----------------|=================|------------|-------------------
                    |<- while it was broken, and what it left ->| calm

Calm is when it is mended, the backlog is back at its level, and what was handed out again has
started. What was handed out again is told to the fault that struck its first worker; what else
happens is a fault's until the next one is done. Faults done in the same instant share it.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from perfkit.frames import (
    Redelivery,
    Session,
    incidents_of,
    redeliveries,
    session,
    stalls,
    waiting_at,
    within,
)
from perfkit.store import StoredRun, TrialFacts
from perfkit.store.facts import FaultEvent
from perfkit.verdict.evidence import evidence
from perfkit.verdict.repeating import repeats

__all__ = ["Recovery", "clear_of", "recoveries", "recovery"]

_BEFORE_NS: Final = 5_000_000_000
_STEP_NS: Final = 100_000_000
_CALM: Final = 0.95
_NOTICED_NS: Final = 1_000_000_000  # a fault is written down a moment after it was done
_SUSTAINED: Final = 5  # steps: a shorter rise is chance
_LASTING: Final = ("stop", "restart", "pause", "fill", "cut", "slow", "outage")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recovery:
    """One fault of one trial; NaN is what does not apply, all of it where it was not done."""

    trial: int
    label: str
    fault: int  # index, in the order in which they were planned
    action: str
    target: str
    victim: str | None
    at_s: float
    done_s: float
    ended_s: float
    time_to_first_redelivery_s: float
    backlog_recovered_s: float
    redelivered: float
    lost: float
    stranded: float
    duplicated: float
    dead: float
    p99_before_ns: float
    p99_during_ns: float
    p99_after_ns: float
    ingest_availability: float
    error: str | None
    calm_ns: int | None  # on the trial's clock; None: it was not done

    @property
    def recovered(self) -> bool:
        """Whether the backlog came back, as far as that is known."""
        return not math.isinf(self.backlog_recovered_s)


_COLUMNS: Final = {
    "trial": "int64",
    "label": "str",
    "fault": "int64",
    "action": "str",
    "target": "str",
    "victim": "str",
    **dict.fromkeys(
        (
            "at_s",
            "done_s",
            "ended_s",
            "time_to_first_redelivery_s",
            "backlog_recovered_s",
            "redelivered",
            "lost",
            "stranded",
            "duplicated",
            "dead",
            "p99_before_ns",
            "p99_during_ns",
            "p99_after_ns",
            "ingest_availability",
        ),
        "float64",
    ),
    "error": "str",
}


def recovery(run: StoredRun) -> pd.DataFrame:
    """One row per fault of each trial: what it cost, and how soon it was over.

    Columns: trial, label, fault (index), action, target, victim; at_s (planned), done_s, ended_s
    (mended), in seconds from the start of load; and from when it was done:
    time_to_first_redelivery_s (until a message that was taken was started by another worker),
    backlog_recovered_s (until as few waited in the queues as in 95 % of the 5 s before; 0 where
    there were never more, +infinity where that did not happen before the next fault or the end).

    redelivered (messages that were handed to a second worker, started by the first or only fetched;
    see `perfkit.frames.redelivering`), lost, stranded, duplicated, dead (jobs). p99_before_ns,
    p99_during_ns, p99_after_ns (latency of the accepted jobs: of those that were finished before
    the fault, of those that were not and were intended before all was calm again, of those intended
    later), ingest_availability (share of what was intended
    from the fault until then that was answered 2xx), error (why it was not done).

    NaN is what does not apply; of a fault that was not done, all.
    """
    found = [each for trial in run.trials for each in recoveries(run, trial)]
    rows = [[getattr(each, name) for name in _COLUMNS] for each in found]
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)


class _Costs(NamedTuple):
    """What befell the jobs of a trial: instants at which each can be told to a fault."""

    again: list[Redelivery]
    lost: list[int]  # when Redis last got them
    stranded: list[int]
    repeated: list[tuple[str | None, int]]  # the worker that had them first, and when again
    dead: list[int]


@functools.lru_cache(maxsize=64)
def recoveries(run: StoredRun, trial: int) -> tuple[Recovery, ...]:
    """Every fault of one trial in the order in which they were planned."""
    facts = run.facts(trial)
    if not facts.faults:
        return ()
    done = [each for each in facts.faults if each.done_ns is not None]
    spans = sorted((each.done_ns or 0, _mended(each, facts)) for each in done)
    with session(run, trial) as sql:
        costs = _costs(run, trial, sql)
        # The view joins all tables of the trial: once, and not some times for each fault.
        sql.rows("create temp table sent_job as select * from job")
        found: list[Recovery] = []
        calm = facts.instants.window_start
        for index, fault in enumerate(facts.faults):
            one = _Fault(run, facts, sql, index, fault, spans)
            found.append(one.judged(costs, calm))
            calm = found[-1].calm_ns or calm
    return tuple(found)


def clear_of(run: StoredRun, trial: int, begin: int, end: int) -> list[tuple[int, int]]:
    """The parts of a stretch of time in which no fault was at work."""
    clear = [(begin, end)]
    for each, fault in zip(recoveries(run, trial), run.facts(trial).faults, strict=True):
        if each.calm_ns is None or fault.done_ns is None:
            continue
        cut = []
        for since, until in clear:
            cut += [(since, min(until, fault.done_ns)), (max(since, each.calm_ns), until)]
        clear = [(since, until) for since, until in cut if since < until]
    return clear


def _mended(fault: FaultEvent, facts: TrialFacts) -> int:
    """When nothing was broken any more; of what is done in an instant, then."""
    if fault.ended_ns is not None:
        return fault.ended_ns
    for_good = fault.action == "kill" and fault.target in ("redis", "ingest")
    if fault.action in _LASTING or for_good:
        return facts.instants.drain_end
    return fault.done_ns or facts.instants.drain_end


def _costs(run: StoredRun, trial: int, sql: Session) -> _Costs:
    incidents = incidents_of(run, trial)
    written = sql.rows(
        f"with {evidence(run, trial)} select written_ns, starts_with(class, 'lost') from classed"
        " where (starts_with(class, 'lost') or starts_with(class, 'stranded'))"
        " and written_ns is not null"
    )
    return _Costs(
        again=redeliveries(sql, incidents),
        lost=[at_ns for at_ns, is_lost in written if is_lost],
        stranded=[at_ns for at_ns, is_lost in written if not is_lost],
        repeated=[
            (each.first, at) for each in repeats(sql, incidents) if (at := each.at_ns) is not None
        ],
        dead=[
            at
            for (at,) in sql.rows("""
                select max(coalesce(finished_ns, acked_ns)) from jobs
                where outcome = 'dead' group by job_id
            """)
            if at is not None
        ],
    )


class _Fault:
    """One fault beside all of its trial."""

    def __init__(
        self,
        run: StoredRun,
        facts: TrialFacts,
        sql: Session,
        index: int,
        fault: FaultEvent,
        spans: Sequence[tuple[int, int]],
    ) -> None:
        self._run = run
        self._facts = facts
        self._sql = sql
        self._index = index
        self._fault = fault
        self._spans = spans  # of all that were done: until they were mended

    def judged(self, costs: _Costs, calm_before: int) -> Recovery:
        """Its recovery; ``calm_before``: since when the fault before was over."""
        fault, facts = self._fault, self._facts
        done = fault.done_ns
        if done is None:
            return self._row({}, None)
        limit = min((at for at, _ in self._spans if at > done), default=facts.instants.drain_end)
        mine = [
            each
            for each in costs.again
            if self._blamed(each.first, each.since_ns, each.started_ns, each.first is None)
        ]
        mended = min(_mended(fault, facts), limit)
        last = max([each.started_ns for each in mine], default=done)
        back = self._backlog_back(done, max(mended, last), limit)
        calm = max(mended, last)
        if math.isinf(back):
            calm = limit
        elif not math.isnan(back):
            calm = max(calm, done + round(back * 1e9))
        start = calm_before if calm_before < done else facts.instants.load_start
        figures = {
            "time_to_first_redelivery_s": (
                (min(each.started_ns for each in mine) - done) / 1e9 if mine else math.nan
            ),
            "backlog_recovered_s": back,
            "redelivered": float(len({each.redis_message_id for each in mine})),
            "lost": self._since_written(costs.lost),
            "stranded": self._since_written(costs.stranded),
            "duplicated": float(
                sum(self._blamed(first, at, at, False) for first, at in costs.repeated)
            ),
            "dead": float(sum(done <= at < limit for at in costs.dead)),
            "p99_before_ns": self._p99(start, done, f"(done and finished_ns < {done})"),
            "p99_during_ns": self._p99(start, calm, f"not (done and finished_ns < {done})"),
            "p99_after_ns": self._p99(calm, min(limit, facts.instants.load_end)),
            "ingest_availability": self._availability(done, calm),
        }
        return self._row(figures, calm)

    def _row(self, figures: dict[str, float], calm: int | None) -> Recovery:
        fault, start = self._fault, self._facts.instants.load_start

        def seconds(at_ns: int | None) -> float:
            return math.nan if at_ns is None else (at_ns - start) / 1e9

        floats = [name for name, kind in _COLUMNS.items() if kind == "float64"]
        return Recovery(
            trial=self._facts.trial,
            label=self._facts.label,
            fault=self._index,
            action=fault.action,
            target=fault.target,
            victim=fault.victim,
            error=fault.error,
            calm_ns=calm,
            **{
                **dict.fromkeys(floats, math.nan),
                **figures,
                "at_s": seconds(fault.at_ns),
                "done_s": seconds(fault.done_ns),
                "ended_s": seconds(fault.ended_ns),
            },
        )

    def _since_written(self, written: Iterable[int]) -> float:
        """How many of these it is to blame for: the first fault that was later, or still lasted."""
        ends = [end for _, end in self._spans]
        own = [done for done, _ in self._spans].index(self._fault.done_ns or 0)
        blamed = (
            next((place for place, end in enumerate(ends) if end >= at), len(ends) - 1)
            for at in written
        )
        return float(sum(place == own for place in blamed))

    def _blamed(self, first: str | None, since: int, at: int, ahead: bool) -> bool:
        """Whether it is to blame that what one worker had began elsewhere at this instant.

        The last fault that struck that worker; of what was fetched ahead, the one with which it was
        lost; if there is none, the last before.
        """
        done = [each for each in self._facts.faults if each.done_ns is not None]
        struck = [each for each in done if first in each.victims and (each.done_ns or 0) <= at]
        if ahead:
            struck = [each for each in done if (each.done_ns or 0) <= since + _NOTICED_NS]
        earlier = struck or [each for each in done if (each.done_ns or 0) <= at]
        last = max((each.done_ns or 0 for each in earlier), default=None)
        return last == self._fault.done_ns and (not struck or self._fault in struck)

    def _backlog_back(self, done: int, horizon: int, limit: int) -> float:
        """As ``backlog_recovered_s``; a rise counts that began by the horizon, or soon after."""
        since = max(self._facts.instants.load_start, done - _BEFORE_NS)
        if since >= done:
            return math.nan
        level = float(np.quantile(self._waiting(since, done), _CALM))
        above = self._waiting(done, limit) > level
        rises = [
            (begin, end)
            for begin, end in _stretches(above)
            if end - begin >= _SUSTAINED and begin * _STEP_NS <= horizon - done + 2 * 10**9
        ]
        if not rises:
            return 0.0
        end = rises[-1][1]
        return math.inf if end >= len(above) else end * _STEP_NS / 1e9

    def _waiting(self, begin: int, end: int) -> npt.NDArray[np.int64]:
        """What waited in the queues: neither what was forgotten, nor what a worker kept."""
        grid = np.arange(begin, max(end, begin + 1), _STEP_NS, dtype=np.int64)
        counts = waiting_at(self._run, self._facts.trial, grid)
        for since, until in _aside(self._run, self._facts.trial):
            counts = counts - ((grid >= since) & (grid < until))
        return counts

    def _p99(self, begin: int, end: int, which: str = "true") -> float:
        found = self._sql.rows(f"""
            select type7(list(latency_ns order by latency_ns), 0.99) from sent_job
            where accepted and {which} and {within("intended_ns", ((begin, end),))}
        """)[0][0]
        return math.nan if found is None else float(found)

    def _availability(self, begin: int, end: int) -> float:
        answered, asked = self._sql.rows(f"""
            select count(*) filter (accepted), count(*) from sent_job
            where {within("intended_ns", ((begin, end),))}
        """)[0]
        return answered / asked if asked else math.nan


@functools.lru_cache(maxsize=16)
def _aside(run: StoredRun, trial: int) -> tuple[tuple[int, int], ...]:
    """When each message that never started, or not yet, was in no queue any more."""
    incidents = incidents_of(run, trial)
    end = run.facts(trial).instants.drain_end + 1
    with session(run, trial) as sql:
        rows = sql.rows("""
            select redis_message_id, min(enqueued_ns), min(started_ns),
                   redis_message_id in (select redis_message_id from leftovers)
            from jobs where enqueued_ns is not null group by redis_message_id
        """)
    known = {rid: (enqueued, started) for rid, enqueued, started, _ in rows}
    found = [
        (each.begin_ns, each.end_ns if each.end_ns < end - 1 else end)
        for each in stalls(run, trial)
        if each.redis_message_id in known
        and (known[each.redis_message_id][1] or end) >= each.end_ns
    ]
    losses = [*(each.died_ns for each in incidents.restarts), *incidents.evictions]
    for _, enqueued, started, is_left in rows:
        if started is None and not is_left and (after := [at for at in losses if at >= enqueued]):
            found.append((min(after), end))
    return tuple(found)


def _stretches(above: npt.NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Half-open stretches of true; a gap too short to count does not end one."""
    found: list[tuple[int, int]] = []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], above, [False]]).astype(np.int8)))
    for begin, end in zip(edges[::2], edges[1::2], strict=True):
        if found and begin - found[-1][1] < _SUSTAINED:
            begin = found.pop()[0]
        found.append((int(begin), int(end)))
    return found
