"""Thresholds with ``abort`` on what can be seen while a trial runs, and the rate (`target`).

Runs beside the measurement, ten times a second: no pandas, no DuckDB, no numpy.

    limit                     fails                                         not before
    max or count, above it    at once                                       abort_after
    all others                on all that was seen so far                   abort_after, and 5 s

Lower limits are among the others: a trial that has just begun has done little yet.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from perfkit.scenario import TELEMETRY, Scenario, Threshold, unit_of
from perfkit.stats.order import quantile_of_sorted
from perfkit.units import format_duration
from perfkit.verdict.showing import shown
from perfkit.verdict.target import TargetRate

__all__ = ["Abort", "Figures", "watch_of"]

Figures = Mapping[str, float]
"""What is known now: ``elapsed_window_s`` (negative before the window); ``sent``, ``dropped``,
``errors`` and ``done`` since the start of load, and where the rate is watched ``due`` and
``planned`` (taken up); telemetry under the names of thresholds, of one
queue as ``queue.backlog:payments``. What is not known now is absent."""

_LEAST_S: Final = 5.0
_COUNTED: Final = ("sent", "dropped", "errors", "done")
_COUNTERS: Final = frozenset({"redis.evicted"})
"""Telemetry that only grows: its growth in the window is judged."""


@dataclass(frozen=True, slots=True)
class Abort:
    """A threshold that failed while running, or a rate that was not sent."""

    threshold: str
    observed: float
    text: str
    behind: float | None = None  # see `perfkit.store.facts.Aborted`


def watch_of(scenario: Scenario) -> Callable[[Figures], Abort | None] | None:
    """A function to call with the figures of each moment; None where nothing aborts.

    It remembers what it was told, so each trial needs its own. It answers with the first threshold
    that failed. A threshold that does not apply at the scenario's load is not watched.
    """
    watched = [
        _Watched(each, _spans(scenario, each.over))
        for each in scenario.threshold
        if each.abort and applies(each, scenario.offered_per_s)
    ]
    below = scenario.load.abort_below
    target = None if below is None else TargetRate(below, scenario.window_ns / 1e9)
    if not watched and target is None:
        return None

    def watch(figures: Figures) -> Abort | None:
        found = [each.look(figures) for each in watched]
        if target is not None and (missed := target.look(figures)) is not None:
            found.append(Abort(target.name, missed.share, missed.text, missed.behind))
        return next((each for each in found if each is not None), None)

    return watch


def applies(threshold: Threshold, offered_per_s: float) -> bool:
    """Whether a threshold is meant for so much load."""
    least = threshold.needs_offered_per_s
    return least is None or offered_per_s > least


def _spans(scenario: Scenario, over: str) -> tuple[tuple[float, float], ...]:
    """The time a threshold speaks of, in seconds from the start of the window."""
    start = scenario.window_start_ns
    return tuple(
        ((each.begin_ns - start) / 1e9, (each.end_ns - start) / 1e9)
        for each in scenario.stretches
        if each.phase is not None
        and (over == "window" or (each.steady if over == "steady" else each.name == over))
    )


@dataclass(slots=True)
class _Watched:
    """One threshold and what it has seen."""

    threshold: Threshold
    spans: tuple[tuple[float, float], ...]
    _last: dict[str, float] = field(default_factory=dict)  # counters at the moment before
    _grown: dict[str, float] = field(default_factory=dict)  # their growth in the time
    _values: list[float] = field(default_factory=list)  # of telemetry, ascending
    _sum: float = 0.0
    _seen_s: float = 0.0
    _before_s: float | None = None

    def look(self, figures: Figures) -> Abort | None:
        """Take in one moment, and judge."""
        elapsed_s = figures.get("elapsed_window_s", -1.0)
        inside = any(begin <= elapsed_s < end for begin, end in self.spans)
        # Growth is counted, as time is, from one moment inside to the next.
        before_s, self._before_s = self._before_s, elapsed_s if inside else None
        self._count(figures, on=inside and before_s is not None)
        if not inside:
            return None
        self._seen_s += elapsed_s - (elapsed_s if before_s is None else before_s)
        self._take(figures)
        observed = self._observed()
        if observed is None or self._holds_yet(observed, elapsed_s):
            return None
        unit = unit_of(self.threshold.metric)
        return Abort(
            threshold=str(self.threshold),
            observed=observed,
            text=(
                f"{self.threshold} failed {format_duration(elapsed_s * 1e9)} into the window: "
                f"{shown(unit, observed)} observed"
            ),
        )

    def _count(self, figures: Figures, *, on: bool) -> None:
        """Growth of what is only ever counted up."""
        for name in (*_COUNTED, self._key) if self.threshold.metric in _COUNTERS else _COUNTED:
            if (value := figures.get(name)) is not None:
                step = max(0.0, value - self._last.get(name, value)) if on else 0.0
                self._grown[name] = self._grown.get(name, 0.0) + step
                self._last[name] = value

    @property
    def _key(self) -> str:
        queue = self.threshold.queue
        return self.threshold.metric + (f":{queue}" if queue else "")

    def _take(self, figures: Figures) -> None:
        if self.threshold.metric not in TELEMETRY:
            return
        known = self._grown if self.threshold.metric in _COUNTERS else figures
        value = known.get(self._key)
        if value is not None and not math.isnan(value):
            bisect.insort(self._values, value)
            self._sum += value

    def _observed(self) -> float | None:
        """What the whole time so far comes to; None where nothing was seen."""
        metric = self.threshold.metric
        if metric in TELEMETRY:
            return self._of_values() if self._values else None
        if self.threshold.queue is not None:
            return None  # the generator does not tell queues apart while it runs
        if metric == "dropped":
            return self._grown.get("dropped")
        if metric == "errors":
            sent = self._grown.get("sent", 0.0)
            return self._grown.get("errors", 0.0) / sent if sent else None
        done = self._grown.get("done")
        return done / self._seen_s if done is not None and self._seen_s else None

    def _of_values(self) -> float:
        parsed = self.threshold.parsed
        match parsed.aggregate:
            case "p":
                return quantile_of_sorted(self._values, (parsed.percentile or 0.0) / 100)
            case "med":
                return quantile_of_sorted(self._values, 0.5)
            case "min":
                return self._values[0]
            case "max":
                return self._values[-1]
            case _:
                return self._sum / len(self._values)

    def _holds_yet(self, observed: float, elapsed_s: float) -> bool:
        """Whether it holds, or it is too early to say."""
        parsed, after_s = self.threshold.parsed, self.threshold.abort_after_ns / 1e9
        if parsed.holds(observed) or elapsed_s < after_s:
            return True
        most = parsed.limit if parsed.high is None else parsed.high
        above = observed >= most and parsed.operator not in (">", ">=")
        final = above and parsed.aggregate in ("max", "count")
        return not final and self._seen_s < _LEAST_S - 1e-9  # a sum of steps may fall short
