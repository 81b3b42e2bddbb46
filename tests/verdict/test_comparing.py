"""A comparison in words: every row of the rule, what goes before it, and the gate."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.stats import Comparison, Effect, Estimate, Metric, Stability, compare_pairs
from perfkit.verdict import Gate, Outcome, describe, gate, outcome, outcome_of

P95 = Metric(name="P95")
RATE = Metric(name="throughput", better="higher")


def _effect(
    low: float, high: float, p: float, *, metric: Metric = P95, narrower: float = 0.1
) -> Effect:
    """An effect with this interval, in percent; its 90 % interval is narrower on each side."""
    less = narrower * (high - low)
    estimate = Estimate(
        point=(low + high) / 200,
        low=low / 100,
        high=high / 100,
        confidence=0.95,
        n=8,
        method="by hand",
    )
    return Effect(
        metric=metric,
        estimate=estimate,
        equivalence=((low + less) / 100, (high - less) / 100),
        p=p,
        p_adjusted=p,
        margin=0.05,
        sd=0.046,
        mde=0.055,
        correlation=0.9,
    )


def _comparison(*effects: Effect, pairs: int = 8, stability: Stability = "held") -> Comparison:
    return Comparison(
        baseline="A",
        candidate="B",
        effects=effects,
        level=0.95,
        pairs=pairs,
        planned_pairs=pairs,
        invalid=(0, 0),
        unstable=(0, 0) if stability == "held" else (0, pairs),
        stability=stability,
    )


# Interval in percent, adjusted p, what is said of it where lower is better, and the gate.
ROWS: list[tuple[float, float, float, Outcome, Gate]] = [
    (6.1, 12.8, 0.03, "worse", "regression"),
    (-12.8, -6.1, 0.03, "better", "pass"),
    (1, 9, 0.03, "slightly worse", "inconclusive"),
    (-9, -1, 0.03, "slightly better", "pass"),
    (1, 4, 0.03, "equivalent", "pass"),  # a difference, of no matter
    (-4, 4, 0.9, "equivalent", "pass"),
    (-5.5, 4, 0.9, "equivalent", "pass"),  # its 90 % interval is -4.55 to 3.05
    (-6.5, 4, 0.9, "no detectable difference", "pass"),  # not worse, for all that
    (-4, 6.5, 0.9, "no detectable difference", "inconclusive"),
    (-20, 30, 0.9, "no detectable difference", "inconclusive"),
    (6.1, 12.8, 0.051, "no detectable difference", "inconclusive"),  # p decides, not the interval
    (-1, 12, 0.03, "slightly worse", "inconclusive"),
    (-20, 30, 0.03, "slightly worse", "inconclusive"),
    (-30, 20, 0.03, "slightly better", "inconclusive"),
    (math.nan, math.nan, 0.03, "inconclusive", "inconclusive"),
    (6.1, 12.8, math.nan, "inconclusive", "inconclusive"),
]


@pytest.mark.parametrize(("low", "high", "p", "said", "passes"), ROWS)
def test_each_row_of_the_rule(
    low: float, high: float, p: float, said: Outcome, passes: Gate
) -> None:
    effect = _effect(low, high, p)
    found = _comparison(effect)
    assert outcome_of(found, effect) == said
    assert outcome(found) == said
    assert gate(found) == passes


@pytest.mark.parametrize(("low", "high", "p", "said", "passes"), ROWS)
def test_where_higher_is_better_the_rule_is_mirrored(
    low: float, high: float, p: float, said: Outcome, passes: Gate
) -> None:
    effect = _effect(-high, -low, p, metric=RATE)
    assert outcome_of(_comparison(effect), effect) == said
    assert gate(_comparison(effect)) == passes


@given(st.floats(-50, 50), st.floats(0, 50), st.floats(0, 1))
def test_worse_is_never_said_without_proof_nor_a_pass_of_a_worse_end(
    low: float, width: float, p: float
) -> None:
    effect = _effect(low, low + width, p)
    found = _comparison(effect)
    if outcome(found) == "worse":
        assert p <= 0.05
        assert effect.estimate.low > 0.05
    if gate(found) == "pass":
        assert effect.estimate.high < 0.05


@pytest.mark.parametrize("pairs", [0, 1, 5])
def test_fewer_than_six_pairs_give_no_verdict(pairs: int) -> None:
    found = _comparison(_effect(6, 12, 0.001), pairs=pairs)
    assert outcome(found) == "inconclusive"
    assert gate(found) == "inconclusive"
    assert gate(_comparison(_effect(-1, 1, 0.9), pairs=pairs)) == "inconclusive"


@pytest.mark.parametrize(
    ("stability", "said", "passes"),
    [
        ("candidate unstable", "worse: unstable", "regression"),
        ("undecided", "inconclusive", "inconclusive"),
        ("baseline unstable", "better: baseline unstable", "pass"),
    ],
)
def test_a_load_that_was_not_sustained_goes_before_the_latencies(
    stability: Stability, said: Outcome, passes: Gate
) -> None:
    found = _comparison(_effect(-40, -20, 0.01), stability=stability)
    assert outcome(found) == said
    assert gate(found) == passes


def test_arms_with_different_numbers_of_invalid_trials_prove_nothing() -> None:
    for effect in (_effect(6, 12, 0.01), _effect(-1, 1, 0.9)):
        found = replace(_comparison(effect), invalid=(0, 2))
        assert outcome(found) == "inconclusive"
        assert gate(found) == "inconclusive"
        # As many on both sides are left out, and that is all.
        assert outcome(replace(found, invalid=(2, 2))) != "inconclusive"


def test_the_whole_is_what_matters_first() -> None:
    worse, better = _effect(6, 12, 0.01), _effect(-12, -6, 0.01)
    same, unknown = _effect(-1, 1, 0.9), _effect(math.nan, math.nan, math.nan)
    slightly = _effect(1, 9, 0.01)
    assert outcome(_comparison(same, better, worse)) == "worse"
    assert outcome(_comparison(same, unknown, slightly)) == "inconclusive"
    assert outcome(_comparison(same, better, slightly)) == "slightly worse"
    assert outcome(_comparison(same, better)) == "better"
    assert outcome(_comparison(same, same)) == "equivalent"
    assert outcome(_comparison()) == "inconclusive"
    assert gate(_comparison()) == "inconclusive"


def _text(effect: Effect, stability: Stability = "held", pairs: int = 8) -> str:
    return describe(_comparison(effect, pairs=pairs, stability=stability), effect)


def test_the_sentence_of_the_protocol() -> None:
    assert _text(_effect(6.1, 12.7, 0.031)) == (
        "B is worse: P95 +9.4 % (95 % CI +6.1 %…+12.7 %, 8 pairs, max-T p=.0310, margin 5.0 %). "
        "Noise of the pairs s_d 4.6 %; MDE 5.5 %."
    )


def test_no_difference_is_never_claimed() -> None:
    said = _text(_effect(-20, 30, 0.9))
    assert said.startswith(
        "no detectable difference; this experiment would have found ≥ 5.5 % with 80 % power: P95"
    )
    nothing = _text(replace(_effect(-20, 30, 0.9), mde=math.inf))
    assert "so few pairs would have found none" in nothing
    unknown = _text(replace(_effect(-20, 30, 0.9), mde=math.nan, sd=math.nan))
    assert "what would have been found is not known" in unknown
    assert "nan" not in unknown


@pytest.mark.parametrize(
    ("effect", "stability", "words"),
    [
        (_effect(1, 9, 0.01), "held", "B is slightly worse; may be below the margin: P95 +5.0 %"),
        (_effect(-4, 4, 0.9), "held", "B is equivalent within ±5.0 %: P95 0.0 %"),
        (_effect(1, 9, 0.01), "candidate unstable", "B is worse: unstable, the load was not"),
        (_effect(1, 9, 0.01), "baseline unstable", "B is better: A is unstable"),
        (_effect(math.nan, math.nan, math.nan), "held", "inconclusive whether B differs: P95 n/a"),
    ],
)
def test_each_outcome_has_its_words(effect: Effect, stability: Stability, words: str) -> None:
    assert words in _text(effect, stability)


def _measured(b: npt.ArrayLike) -> Comparison:
    a = np.array([10.0, 11, 9, 12, 10, 11, 9, 10])
    return compare_pairs(a, b, margin=0.05, metrics=[P95])


@pytest.mark.parametrize("odd", [math.inf, math.nan, 0.0])
def test_all_failed_unknown_or_idle_candidates_are_put_into_words(odd: float) -> None:
    found = _measured(np.full(8, odd))
    said = describe(found, found.effects[0])
    expected: dict[float, Outcome] = {math.inf: "worse", 0.0: "better"}
    assert outcome(found) == expected.get(odd, "inconclusive")
    assert ("by rank" if not math.isnan(odd) else "Not known in 8 of 8 pairs") in said


def test_where_both_arms_failed_in_a_pair_no_direction_is_made_up() -> None:
    a = np.array([10.0, 11, 9, 12, 10, 11, 9, math.inf])
    b = a * np.linspace(1.1, 1.5, 8)
    found = compare_pairs(a, b, margin=0.05, metrics=[P95])
    assert found.effects[0].p_adjusted <= 0.05
    assert outcome(found) == "inconclusive"
    assert outcome(compare_pairs(b, a, margin=0.05, metrics=[P95])) == "inconclusive"
    # Where the pair can't change the middle one, the direction is known.
    failed = compare_pairs(a, np.full(8, math.inf), margin=0.05, metrics=[P95])
    assert outcome(failed) == "slightly worse"


def test_a_comparison_that_came_out_of_arrays_is_put_into_words() -> None:
    noise = np.exp(np.random.default_rng(1).normal(0, 0.02, 8))
    found = _measured(np.array([10.0, 11, 9, 12, 10, 11, 9, 10]) * 1.2 * noise)
    assert outcome(found) == "worse"
    assert gate(found) == "regression"
    assert describe(found, found.effects[0]).startswith("B is worse: P95 +")
