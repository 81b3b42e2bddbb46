"""What a gate says of each metric, in texts that fit a table.

    worse, worse: unstable                              regression
    the bad end of its interval is below the margin     pass
    otherwise                                           inconclusive

The gate as a whole (`perfkit.verdict.comparing.gate`) is a regression if one metric is, and passes
only if all do. tests/verdict/test_gating.py holds the two together.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from perfkit.stats import Comparison, Effect
from perfkit.stats.pairing import LEAST_PAIRS
from perfkit.units import format_percent
from perfkit.verdict.comparing import Gate, Outcome, describe, outcome_of

__all__ = ["Judged", "judged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One metric before the gate. The texts hold no line break."""

    metric: str
    gate: Gate
    outcome: Outcome
    effect: str
    """B / A - 1 with its sign, or B - A where a ratio means nothing; "n/a" where not known."""
    interval: str
    """At the level of the comparison; "none" where there is too little evidence."""
    margin: str
    """How much worse is allowed."""
    words: str


def judged(comparison: Comparison, distrust: str | None = None) -> tuple[Judged, ...]:
    """Every metric, in the order of the comparison.

    ``distrust``: why nothing may be decided here, in words; then every metric is inconclusive.
    """
    return tuple(_judged(comparison, effect, distrust) for effect in comparison.effects)


def _judged(comparison: Comparison, effect: Effect, distrust: str | None) -> Judged:
    words = describe(comparison, effect)
    found = effect.estimate
    return Judged(
        metric=effect.metric.name,
        gate="inconclusive" if distrust else _gate_of(comparison, effect),
        outcome=outcome_of(comparison, effect),
        effect=_signed(effect, found.point),
        interval=(
            f"{_signed(effect, found.low)} to {_signed(effect, found.high)}"
            if found.has_interval
            else "none"
        ),
        margin=_plain(effect, effect.margin),
        words=f"{distrust}. {words}" if distrust else words,
    )


def _gate_of(comparison: Comparison, effect: Effect) -> Gate:
    if outcome_of(comparison, effect) in ("worse", "worse: unstable"):
        return "regression"
    decided = (
        not comparison.lopsided
        and comparison.pairs >= LEAST_PAIRS
        and comparison.stability in ("held", "baseline unstable")
    )
    # A NaN end is not below anything.
    return "pass" if decided and effect.worst < effect.margin else "inconclusive"


def _signed(effect: Effect, value: float) -> str:
    return f"{'+' if value > 0 else ''}{_plain(effect, value)}"


def _plain(effect: Effect, value: float) -> str:
    if math.isnan(value):
        return "n/a"
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    return format_percent(value) if effect.metric.scale == "ratio" else f"{value:.3g}"
