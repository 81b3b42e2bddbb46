"""What a comparison of two arms says: records without arithmetic."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from perfkit.stats.estimate import Estimate
from perfkit.stats.spread import Scale

__all__ = ["Comparison", "Effect", "Metric", "Stability"]

Stability = Literal["held", "candidate unstable", "baseline unstable", "undecided"]
"""Whether the arms sustained their load: both in every pair; or significantly more often one than
the other; or neither of these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """What is compared, and how.

    On the ratio scale an effect is B / A - 1 and the metric is never negative; on the difference
    scale it is B - A, in the metric's unit (an error rate, which may be zero).
    """

    name: str
    scale: Scale = "ratio"
    better: Literal["lower", "higher"] = "lower"
    planned_sd: float = math.nan
    """Of the pairs' log ratios (or differences) in A/A pairs; NaN where none were measured."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """One metric of a comparison. Ends and margin are in the unit of ``estimate``."""

    metric: Metric
    estimate: Estimate
    equivalence: tuple[float, float]
    """The interval at 2 level - 1 (90 % of 95 %): two one-sided tests of the margin."""
    p: float
    """Of the exact sign flip, this metric alone."""
    p_adjusted: float
    """The same among all metrics of the comparison: max-T over joint flips."""
    margin: float
    sd: float
    """Of the differences, on the log scale for a ratio; NaN where the interval is by rank."""
    mde: float
    """Found with a power of 80 % by the test that compares, among all the metrics, in the unit of
    ``estimate``; from the planned noise, else from an upper limit of this experiment's. +infinity
    where the pairs are too few to find anything."""
    correlation: float
    """Between the arms over the pairs, on the log scale for a ratio: what pairing gained."""

    @property
    def worst(self) -> float:
        """The end of the interval on the bad side, positive where worse."""
        ends = self.estimate
        return ends.high if self.metric.better == "lower" else -ends.low

    @property
    def best(self) -> float:
        """The end of the interval on the good side, positive where even that is worse."""
        ends = self.estimate
        return ends.low if self.metric.better == "lower" else -ends.high


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Candidate against baseline over interleaved pairs, every metric in one family."""

    baseline: str
    candidate: str
    effects: tuple[Effect, ...]
    level: float
    pairs: int
    """Of which both trials are valid; the effects are theirs."""
    planned_pairs: int
    invalid: tuple[int, int]
    """Trials of the baseline and of the candidate that are INVALID; their pairs are left out."""
    unstable: tuple[int, int]
    """Valid pairs' trials that did not sustain their load, of the baseline and the candidate."""
    stability: Stability
    warnings: tuple[str, ...] = ()

    @property
    def lopsided(self) -> bool:
        """Whether one arm has more invalid trials: then the pairs left are a selection."""
        return self.invalid[0] != self.invalid[1]
