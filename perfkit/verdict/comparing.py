"""A comparison in words: worse, equivalent, or what could have been found (statistics.md, 2.7).

    p <= 1 - level   and the interval beyond the margin      worse, better
    p <= 1 - level   and a margin inside the interval        slightly worse, slightly better
    the 90 % interval (of a level of 95 %) within +-margin   equivalent
    otherwise                                                no detectable difference

The first row that holds. p is adjusted over all metrics. What comes before all of them: too few
pairs, arms with different numbers of invalid trials, and a load that one arm did not sustain.
tests/verdict/test_comparing.py has the table.
"""

from __future__ import annotations

import math
from typing import Final, Literal, get_args

from perfkit.stats import Comparison, Effect
from perfkit.stats.pairing import LEAST_PAIRS
from perfkit.units import format_percent

__all__ = ["Gate", "Outcome", "describe", "gate", "outcome", "outcome_of", "p_words"]

Outcome = Literal[
    "worse: unstable",
    "worse",
    "inconclusive",
    "slightly worse",
    "better: baseline unstable",
    "better",
    "slightly better",
    "no detectable difference",
    "equivalent",
]
Gate = Literal["pass", "regression", "inconclusive"]

# What is said of a comparison as a whole is what comes first here.
_ORDER: Final[tuple[Outcome, ...]] = get_args(Outcome)
_REGRESSIONS: Final = ("worse", "worse: unstable")


def outcome(comparison: Comparison) -> Outcome:
    """What the comparison says as a whole: of its metrics the one that matters first.

    "inconclusive" goes before "slightly worse": a metric that could not be judged may hide worse.
    """
    found = [outcome_of(comparison, effect) for effect in comparison.effects]
    return min(found, key=_ORDER.index, default="inconclusive")


def outcome_of(comparison: Comparison, effect: Effect) -> Outcome:
    """What the comparison says of one of its metrics."""
    if comparison.lopsided or comparison.pairs < LEAST_PAIRS:
        return "inconclusive"
    if comparison.stability == "candidate unstable":
        return "worse: unstable"
    if comparison.stability == "baseline unstable":
        return "better: baseline unstable"
    if comparison.stability == "undecided":
        return "inconclusive"
    found, margin = effect.estimate, effect.margin
    if not found.has_interval or math.isnan(effect.p_adjusted):
        return "inconclusive"
    if effect.p_adjusted <= 1 - comparison.level:
        if effect.best > margin:
            return "worse"
        if effect.worst < -margin:
            return "better"
        if effect.worst >= margin or effect.best <= -margin:
            return _slightly(effect)
    low, high = effect.equivalence
    if -margin < low and high < margin:
        return "equivalent"
    return "no detectable difference"


def gate(comparison: Comparison) -> Gate:
    """Non-inferiority, what a pipeline may pass on: every metric's bad end is below its margin.

    A regression needs proof as much as a pass does ("worse", "worse: unstable"); all else is
    inconclusive, "slightly worse" too unless its bad end is below the margin. Compare at a level
    of 99 %: the bad end of a two-sided interval errs on the safe side of a one-sided test.
    """
    if outcome(comparison) in _REGRESSIONS:
        return "regression"
    judged = (
        not comparison.lopsided
        and comparison.pairs >= LEAST_PAIRS
        and comparison.stability in ("held", "baseline unstable")
        and bool(comparison.effects)
    )
    # A NaN end is not below anything.
    below = all(effect.worst < effect.margin for effect in comparison.effects)
    return "pass" if judged and below else "inconclusive"


def describe(comparison: Comparison, effect: Effect) -> str:
    """One sentence on one metric: the outcome, the effect with its evidence, the noise."""
    said = outcome_of(comparison, effect)
    change = _signed(effect, effect.estimate.point)
    ends = f"{_signed(effect, effect.estimate.low)}…{_signed(effect, effect.estimate.high)}"
    level = f"{100 * comparison.level:g} % CI"
    evidence = [
        f"{level} {ends}" if effect.estimate.has_interval else f"no {level}",
        f"{comparison.pairs} pairs",
        f"max-T p={p_words(effect.p_adjusted)}",
        f"margin {_plain(effect, effect.margin)}",
    ]
    name = effect.metric.name
    opening = f"{_opening(comparison, effect, said)}: {name} {change} ({', '.join(evidence)})."
    noise = [f"Noise of the pairs s_d {_plain(effect, effect.sd)}"] if _known(effect.sd) else []
    if _known(effect.mde) and said != "no detectable difference":
        noise.append(f"MDE {_plain(effect, effect.mde)}")
    closing = [opening, *([f"{'; '.join(noise)}."] if noise else [])]
    if said == "inconclusive":
        closing += [f"{each[0].upper()}{each[1:]}." for each in comparison.warnings]
    closing += [f"{each[0].upper()}{each[1:]}." for each in effect.estimate.warnings]
    return " ".join(closing)


def _opening(comparison: Comparison, effect: Effect, said: Outcome) -> str:
    a, b = comparison.baseline, comparison.candidate
    kept = f"{comparison.unstable[0]} and {comparison.unstable[1]} of {comparison.pairs} pairs"
    match said:
        case "worse: unstable":
            return f"{b} is worse: unstable, the load was not sustained by {a} and {b} in {kept}"
        case "better: baseline unstable":
            return f"{b} is better: {a} is unstable, the load was not sustained in {kept}"
        case "slightly worse" | "slightly better":
            return f"{b} is {said}; may be below the margin"
        case "equivalent":
            return f"{b} is equivalent within ±{_plain(effect, effect.margin)}"
        case "no detectable difference" if _known(effect.mde):
            found = _plain(effect, effect.mde)
            return (
                "no detectable difference; this experiment would have found ≥ "
                f"{found} with 80 % power"
            )
        case "no detectable difference" if effect.mde == math.inf:
            return "no detectable difference; so few pairs would have found none"
        case "no detectable difference":
            return "no detectable difference; what would have been found is not known"
        case "inconclusive":
            return f"inconclusive whether {b} differs"
        case _:
            return f"{b} is {said}"


def _slightly(effect: Effect) -> Outcome:
    point = effect.estimate.point
    if math.isnan(point):
        return "inconclusive"  # failed in both arms of some pairs: which way is not known
    return (
        "slightly worse" if (point > 0) == (effect.metric.better == "lower") else "slightly better"
    )


def _known(value: float) -> bool:
    return math.isfinite(value)


def p_words(value: float) -> str:
    """A probability as it is printed."""
    if math.isnan(value):
        return "n/a"
    return f"{value:.4f}".lstrip("0") if value < 0.1 else f"{value:.2f}"


def _signed(effect: Effect, value: float) -> str:
    sign = "+" if value > 0 else ""
    return f"{sign}{_plain(effect, value)}"


def _plain(effect: Effect, value: float) -> str:
    """A ratio in percent; a difference as it is."""
    if math.isinf(value):
        return "∞" if value > 0 else "-∞"
    if effect.metric.scale == "ratio":
        return format_percent(value)
    return "n/a" if math.isnan(value) else f"{value:.3g}"
