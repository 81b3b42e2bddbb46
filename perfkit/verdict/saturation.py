"""Whether a trial carried its load. If it did not, what it finished is its capacity.

saturated   there is evidence that it did not sustain its load
carried     there is evidence that it did: the backlog can't have grown by much
undecided   neither: the window was too short to tell
partial     it was cut short
idle        nothing came due
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from perfkit.frames import Session, session, waiting
from perfkit.stats import Estimate, backlog_trend
from perfkit.store import StoredRun
from perfkit.units import format_count, format_percent, format_rate
from perfkit.verdict.lateness import lateness

__all__ = ["Saturation", "State", "saturation"]

State = Literal["carried", "saturated", "undecided", "partial", "idle"]

_GROWTH: Final = 0.01  # of the load: growth below it is none
_CARRIED: Final = 0.05  # of the load: growth surely below it is carried
_LEFT_SD: Final = 3.0
_LEFT_SHARE: Final = 0.05  # of a queue's jobs
_LEAST_LEFT: Final = 5
_LEVEL: Final = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """One trial's state. Rules: statistics.md 1.4 and Decisions 5."""

    state: State
    reasons: tuple[str, ...]  # that it is saturated, or undecided
    throughput_per_s: float  # jobs done in the window, by the window
    due_per_s: float  # what came due in the window, by the window
    trend: Estimate | None  # of the backlog, jobs/s; None where nothing ran
    pushed: bool  # to its capacity: saturated by more than a generator kept from its core

    @property
    def saturated(self) -> bool:
        """Whether it did not sustain its load."""
        return self.state == "saturated"

    @property
    def capacity_per_s(self) -> float:
        """Throughput of a trial that was pushed to its capacity; NaN of any other."""
        return self.throughput_per_s if self.pushed else math.nan


@functools.lru_cache(maxsize=64)
def saturation(run: StoredRun, trial: int) -> Saturation:
    """Judge whether one trial sustained its load.

    It did not if the backlog grew over the window (the 99 % interval of its slope lies above 1 %
    of the load), or more jobs still waited after the drain than 3 standard deviations of the
    backlog in the window (and than 1 % of the window's jobs), or the in-flight cap filled, or the
    generator was kept from its core; or one queue of several grew (at a level stricter by their
    number), or was left with 5 jobs and 5 % of its cohort or more. It did if the interval lies
    below 5 % of the load. Else that is not decided.
    """
    facts = run.facts(trial)
    window_s = facts.instants.window_s
    with session(run, trial) as sql:
        intended, dropped, finished, left = sql.rows("""
            select count(*) filter (in_window),
                   count(*) filter (in_window and sent_ns is null),
                   count(*) filter (done_in_window),
                   (select count(*) from leftovers where place = 'list')
            from job
        """)[0]
        queues = _queues(sql)
    due = intended / window_s
    backlog = waiting(run, trial)
    trend = _trend(backlog) if intended else None
    spread = float(np.std(backlog["waiting"].to_numpy(dtype=np.float64)))
    limit = max(_LEFT_SD * spread, _GROWTH * intended)

    def pushed() -> Iterator[str]:
        if trend is not None and trend.low > _GROWTH * due:
            yield f"the backlog grew by {_grew(trend)}"
        if left > limit:
            yield f"{format_count(left)} jobs still waited when the drain ended"
        if dropped:
            yield (
                f"the in-flight cap filled: {format_count(dropped)} of {format_count(intended)} "
                "requests were dropped"
            )
        if len(queues) > 1:
            for queue in queues:
                yield from _of_queue(run, trial, queue, 1 - (1 - _LEVEL) / len(queues))

    # A trial that was cut short had no drain, or not all of it.
    whole = facts.outcome == "complete"
    found = tuple(pushed()) if whole else ()
    late = lateness(run, trial)
    starved = whole and late.reason is not None and not late.own_making
    reasons = (*found, str(late.reason)) if starved else found
    state: State = "saturated" if reasons else _unsaturated(whole, trend, due)
    if state == "undecided" and trend is not None:
        why = "it is not decided whether the load was carried: lengthen the window"
        reasons = (f"{why} (the backlog grew by {_grew(trend)})",)
    return Saturation(
        state=state,
        reasons=reasons,
        throughput_per_s=finished / window_s,
        due_per_s=due,
        trend=trend,
        pushed=bool(found),
    )


def _unsaturated(whole: bool, trend: Estimate | None, due_per_s: float) -> State:
    if not whole:
        return "partial"
    if trend is None:
        return "idle"
    return "carried" if trend.high < _CARRIED * due_per_s else "undecided"


@dataclass(frozen=True, slots=True)
class _Queue:
    name: str
    cohort: int  # jobs intended in the window
    left: int  # of them, how many no worker had done or buried when the drain ended
    due_per_s: float


def _queues(sql: Session) -> list[_Queue]:
    return [
        _Queue(*row)
        for row in sql.rows("""
            with left_over as (
                select distinct job_id from leftovers
                where place = 'list' or (place = 'acks' and owner_alive)
            )
            select queue, count(*),
                   count(*) filter (not done and job_id in (select job_id from left_over)),
                   count(*) / ((any_value(window_end) - any_value(window_start)) / 1e9)
            from job join facts using (trial) where in_window group by queue order by queue
        """)
    ]


def _of_queue(run: StoredRun, trial: int, queue: _Queue, level: float) -> Iterator[str]:
    trend = _trend(waiting(run, trial, queue=queue.name), level)
    if trend.low > _GROWTH * queue.due_per_s:
        yield f"the backlog of {queue.name} grew by {_grew(trend)}"
    share = queue.left / queue.cohort
    if queue.left >= _LEAST_LEFT and share >= _LEFT_SHARE:
        yield (
            f"{format_count(queue.left)} of {format_count(queue.cohort)} jobs of {queue.name} "
            f"({format_percent(share, 0)}) still waited when the drain ended"
        )


def _trend(backlog: pd.DataFrame, level: float = _LEVEL) -> Estimate:
    return backlog_trend(backlog["at_s"], backlog["waiting"], level=level)


def _grew(trend: Estimate) -> str:
    low, high = format_rate(trend.low), format_rate(trend.high)
    return f"{format_rate(trend.point)} ({low} to {high})"
