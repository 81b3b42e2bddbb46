"""Whether a trial carried its load. If it did not, what it finished is its capacity."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from perfkit.frames import session, waiting
from perfkit.stats import Estimate, backlog_trend
from perfkit.store import StoredRun
from perfkit.units import format_count, format_rate
from perfkit.verdict.lateness import lateness

__all__ = ["Saturation", "saturation"]

_GROWTH: Final = 0.01  # of the offered load
_LEFT_SD: Final = 3.0
_LEVEL: Final = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """One trial's state. Rules: statistics.md 1.4 and Decisions 5."""

    saturated: bool
    reasons: tuple[str, ...]
    throughput_per_s: float  # jobs done in the window, by the window
    due_per_s: float  # what came due in the window, by the window
    trend: Estimate | None  # of the backlog, jobs/s; None where nothing ran

    @property
    def capacity_per_s(self) -> float:
        """Throughput of a saturated trial; NaN of one that was not pushed to its capacity."""
        return self.throughput_per_s if self.saturated else math.nan


@functools.lru_cache(maxsize=64)
def saturation(run: StoredRun, trial: int) -> Saturation:
    """Judge whether one trial sustained its load.

    It did not if the backlog grew over the window (the 99 % interval of its slope lies above 1 %
    of the load), or more jobs still waited after the drain than 3 standard deviations of the
    backlog in the window (and than 1 % of the window's jobs), or the in-flight cap filled, or the
    generator was kept from its core.
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
    backlog = waiting(run, trial)
    due = intended / window_s
    trend = backlog_trend(backlog["at_s"], backlog["waiting"], level=_LEVEL) if intended else None
    spread = float(np.std(backlog["waiting"].to_numpy(dtype=np.float64)))
    limit = max(_LEFT_SD * spread, _GROWTH * intended)

    def reasons() -> Iterator[str]:
        if trend is not None and trend.low > _GROWTH * due:
            yield (
                f"the backlog grew by {format_rate(trend.point)} "
                f"({format_rate(trend.low)} to {format_rate(trend.high)})"
            )
        # A trial that was cut short had no drain, or not all of it.
        if facts.outcome == "complete" and left > limit:
            yield f"{format_count(left)} jobs still waited when the drain ended"
        if dropped:
            yield (
                f"the in-flight cap filled: {format_count(dropped)} of {format_count(intended)} "
                "requests were dropped"
            )
        late = lateness(run, trial)
        if late.reason is not None and not late.own_making:
            yield late.reason

    found = tuple(reasons())
    return Saturation(
        saturated=bool(found),
        reasons=found,
        throughput_per_s=finished / window_s,
        due_per_s=due,
        trend=trend,
    )
