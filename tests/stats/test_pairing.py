"""Comparing two arms over pairs: closed forms, symmetries, and all that is no evidence."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import ttest_rel

from perfkit.stats import (
    Comparison,
    Effect,
    Metric,
    compare_pairs,
    max_t_sign_flip,
    upper_sd,
)
from perfkit.stats.detecting import detectable_by_flips

Array = npt.NDArray[np.float64]

RATE = Metric(name="error rate", scale="difference")
arms = st.integers(2, 8).flatmap(
    lambda pairs: st.tuples(
        *[arrays(np.float64, (pairs, 2), elements=st.floats(0.5, 50)) for _ in range(2)]
    )
)


def _arms(seed: int = 1, effect: float = 0.0, pairs: int = 8) -> tuple[Array, Array]:
    random = np.random.default_rng(seed)
    common = random.normal(3, 0.3, (pairs, 1))
    a, b = (np.exp(common + random.normal(0, 0.03, (pairs, 3))) for _ in range(2))
    return a, b * (1 + effect)


def _only(comparison: Comparison) -> Effect:
    (effect,) = comparison.effects
    return effect


def test_the_effect_is_that_of_the_paired_t_test_on_logs() -> None:
    a, b = _arms(effect=0.1)
    found = compare_pairs(a, b, margin=0.05)
    for place, effect in enumerate(found.effects):
        expected = ttest_rel(np.log(b[:, place]), np.log(a[:, place]))
        low, high = expected.confidence_interval(0.95)
        narrow = expected.confidence_interval(0.9)
        d = np.log(b[:, place] / a[:, place])
        assert effect.estimate.point == pytest.approx(math.expm1(d.mean()))
        assert effect.estimate.low == pytest.approx(math.expm1(low))
        assert effect.estimate.high == pytest.approx(math.expm1(high))
        assert effect.equivalence == pytest.approx(tuple(map(math.expm1, narrow)))
        assert effect.sd == pytest.approx(d.std(ddof=1))
        assert effect.p == max_t_sign_flip(d)[0]
        assert effect.mde == pytest.approx(
            math.expm1(detectable_by_flips(8, 3) * upper_sd(effect.sd, 8))
        )
        assert effect.correlation == pytest.approx(
            np.corrcoef(np.log(a[:, place]), np.log(b[:, place]))[0, 1]
        )
        assert not effect.estimate.warnings
    adjusted = [effect.p_adjusted for effect in found.effects]
    assert adjusted == pytest.approx(max_t_sign_flip(np.log(b / a)))
    assert (found.pairs, found.stability, found.warnings) == (8, "held", ())


def test_an_error_rate_is_compared_as_a_difference() -> None:
    a, b = _arms()
    effect = _only(compare_pairs(a[:, 0], b[:, 0] + 4, margin=1, metrics=[RATE]))
    assert effect.estimate.point == pytest.approx((b[:, 0] + 4 - a[:, 0]).mean())
    assert effect.mde == pytest.approx(detectable_by_flips(8, 1) * upper_sd(effect.sd, 8))


def test_planned_noise_goes_before_that_of_the_experiment() -> None:
    a, b = _arms()
    planned = [Metric(name="x", planned_sd=0.046)]
    effect = _only(compare_pairs(a[:, 0], b[:, 0], margin=0.05, metrics=planned))
    # 5.5 % by one t test (statistics.md, 1.3), and a little more by flips, whose p is coarse.
    assert 0.055 < effect.mde < 0.060


def test_an_effect_as_large_as_is_said_is_found_as_often_as_is_said() -> None:
    random = np.random.default_rng(11)
    metrics = [Metric(name=f"m{place}", planned_sd=0.04) for place in range(12)]
    size = _only_mde(metrics)
    found = 0
    for _ in range(120):
        a, b = (np.exp(random.normal(0, 0.04 / math.sqrt(2), (8, 12))) for _ in range(2))
        b[:, 0] *= 1 + size
        found += compare_pairs(a, b, margin=0.05, metrics=metrics).effects[0].p_adjusted <= 0.05
    assert found / 120 == pytest.approx(0.8, abs=0.11)  # 3 sd


def _only_mde(metrics: list[Metric]) -> float:
    a, b = (np.random.default_rng(seed).lognormal(0, 0.04, (8, len(metrics))) for seed in (1, 2))
    (size,) = {effect.mde for effect in compare_pairs(a, b, margin=0.05, metrics=metrics).effects}
    return size


def test_pairs_that_can_not_reach_the_level_would_have_found_nothing() -> None:
    a, b = _arms(pairs=7)
    found = compare_pairs(a, b, margin=0.05, level=0.99)
    assert {effect.mde for effect in found.effects} == {math.inf}
    assert "no effect can be significant" in found.warnings[0]


def test_arms_without_a_metric_make_no_effects() -> None:
    nothing = np.empty((8, 0))
    found = compare_pairs(nothing, nothing, margin=[], metrics=[])
    assert (found.effects, found.pairs, found.stability) == ((), 8, "held")


@settings(deadline=None, max_examples=60)
@given(arms, st.randoms(use_true_random=False), st.floats(0.01, 100))
def test_pairs_have_no_order_and_metrics_no_unit(
    both: tuple[Array, Array], random: object, unit: float
) -> None:
    a, b = both
    shuffled = list(range(len(a)))
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    one = compare_pairs(a, b, margin=0.05)
    other = compare_pairs(a[shuffled] * unit, b[shuffled] * unit, margin=0.05)
    for x, y in zip(one.effects, other.effects, strict=True):
        if x.estimate.method == y.estimate.method:  # rounding may make a tie, or break one
            assert x.estimate.point == pytest.approx(y.estimate.point, rel=1e-6, abs=1e-9)
            assert x.estimate.low == pytest.approx(y.estimate.low, rel=1e-6, abs=1e-9, nan_ok=True)
            assert x.p == pytest.approx(y.p)


@settings(deadline=None, max_examples=60)
@given(arms)
def test_swapped_arms_swap_the_effect(both: tuple[Array, Array]) -> None:
    one, other = compare_pairs(*both, margin=0.05), compare_pairs(*both[::-1], margin=0.05)
    for x, y in zip(one.effects, other.effects, strict=True):
        assert (1 + x.estimate.point) * (1 + y.estimate.point) == pytest.approx(1)
        if x.estimate.has_interval:
            ends = (x.estimate.low, y.estimate.high)
            if ends[0] > -0.99:  # nearer to -1 its digits are lost
                assert math.log1p(ends[0]) == pytest.approx(-math.log1p(ends[1]), abs=1e-6)
        assert x.p_adjusted == pytest.approx(y.p_adjusted)


@settings(deadline=None, max_examples=150)
@given(
    arrays(np.float64, (6, 2), elements=st.sampled_from([0.0, 1.0, 1.5, 40.0, math.inf, math.nan])),
    arrays(np.float64, (6, 2), elements=st.sampled_from([0.0, 1.0, 1.5, 40.0, math.inf, math.nan])),
)
def test_odd_values_never_give_a_number_that_looks_sound(a: Array, b: Array) -> None:
    for place, effect in enumerate(compare_pairs(a, b, margin=0.05).effects):
        used = np.concatenate([a[:, place], b[:, place]])
        if np.isnan(used).any():
            assert math.isnan(effect.estimate.point)
            assert math.isnan(effect.p_adjusted)
        if np.isnan(used).any() or np.isinf(used).any() or (used == 0).any():
            assert effect.estimate.warnings
            assert math.isnan(effect.sd)
        if effect.estimate.has_interval:
            point = effect.estimate.point
            assert math.isnan(point) or effect.estimate.low <= point <= effect.estimate.high


def test_infinite_quantiles_are_compared_by_rank() -> None:
    a = np.arange(1.0, 9.0)
    b = np.full(8, math.inf)
    effect = _only(compare_pairs(a, b, margin=0.05))
    assert effect.p_adjusted == 2 / 256
    assert (effect.estimate.point, effect.estimate.low) == (math.inf, math.inf)
    assert "by rank" in effect.estimate.warnings[0]
    mixed = _only(compare_pairs(a, np.where(a > 4, b, a * 1.2), margin=0.05))
    assert mixed.estimate.low == pytest.approx(0.2)
    assert mixed.p_adjusted == 2 / 256


def test_what_failed_in_both_arms_is_no_equality() -> None:
    failed = np.full(8, math.inf)
    effect = _only(compare_pairs(failed, failed, margin=0.05))
    assert math.isnan(effect.estimate.point)
    assert (effect.estimate.low, effect.estimate.high) == (-1.0, math.inf)
    assert effect.p_adjusted == 1
    assert "in both arms of 8 pairs" in effect.estimate.warnings[0]
    idle = _only(compare_pairs(np.zeros(8), np.zeros(8), margin=0.05))
    assert math.isnan(idle.estimate.point)


def test_no_errors_in_any_trial_are_no_difference_by_rank() -> None:
    none = np.zeros(8)
    effect = _only(compare_pairs(none, none, margin=0.01, metrics=[RATE]))
    assert (effect.estimate.point, effect.estimate.low, effect.estimate.high) == (0, 0, 0)
    assert effect.estimate.method == "order statistics of the pairs"
    assert effect.estimate.warnings
    few = _only(compare_pairs(none[:3], none[:3], margin=0.01, metrics=[RATE]))
    assert not few.estimate.has_interval


def test_a_difference_that_never_varies_is_not_given_an_interval_of_t() -> None:
    a = np.arange(1.0, 9.0)
    effect = _only(compare_pairs(a, 1.1 * a, margin=0.05))
    assert effect.estimate.low == pytest.approx(0.1)
    assert math.isnan(effect.sd)
    assert math.isnan(effect.mde)
    assert "the same difference in every pair" in effect.estimate.warnings[0]


def test_a_metric_that_is_not_known_everywhere_is_not_compared_and_the_others_are() -> None:
    a, b = _arms(effect=0.2)
    a[2, 1] = math.nan
    found = compare_pairs(a, b, margin=0.05)
    assert "not known in 1 of 8 pairs" in found.effects[1].estimate.warnings[0]
    assert math.isnan(found.effects[1].p_adjusted)
    expected = max_t_sign_flip(np.log(b / a)[:, [0, 2]])
    assert [found.effects[0].p_adjusted, found.effects[2].p_adjusted] == pytest.approx(expected)


@pytest.mark.parametrize("pairs", [0, 1, 2, 5])
def test_too_few_pairs_say_so(pairs: int) -> None:
    a, b = _arms(pairs=pairs)
    found = compare_pairs(a, b, margin=0.05)
    assert f"exploratory: {pairs} pairs" in found.warnings[-1]
    assert all(effect.estimate.has_interval == (pairs >= 2) for effect in found.effects)
    assert all(effect.p >= 0.05 or math.isnan(effect.p) for effect in found.effects)


def test_at_99_percent_seven_pairs_can_prove_nothing_and_eight_can() -> None:
    a, b = _arms(effect=0.5)
    seven = compare_pairs(a[:7], b[:7], margin=0.05, level=0.99)
    assert "7 pairs can't reach p <= 0.01" in seven.warnings[0]
    eight = compare_pairs(a, b, margin=0.05, level=0.99)
    assert not eight.warnings
    assert eight.effects[0].p_adjusted <= 0.01


def test_invalid_pairs_are_left_out_and_counted_by_arm() -> None:
    a, b = _arms()
    a[3], b[5] = math.nan, 1e9
    valid = np.ones((2, 8), dtype=bool)
    valid[0, 3] = valid[1, 5] = False
    found = compare_pairs(a, b, margin=0.05, valid=valid)
    assert (found.pairs, found.planned_pairs, found.invalid) == (6, 8, (1, 1))
    assert not found.lopsided
    rest = [each for each in range(8) if each not in (3, 5)]
    alone = compare_pairs(a[rest], b[rest], margin=0.05)
    assert [each.estimate for each in found.effects] == [each.estimate for each in alone.effects]
    valid[0, 3] = True
    a[3] = b[3]
    lopsided = compare_pairs(a, b, margin=0.05, valid=valid)
    assert lopsided.lopsided
    assert "differ between the arms (0 and 1)" in lopsided.warnings[1]


@pytest.mark.parametrize(
    ("only_a", "only_b", "both", "expected"),
    [
        (0, 0, 0, "held"),
        (0, 8, 0, "candidate unstable"),
        (0, 6, 0, "candidate unstable"),
        (0, 5, 0, "undecided"),  # 2 / 2^5 is above .05
        (6, 0, 2, "baseline unstable"),
        (0, 0, 8, "undecided"),
        (4, 4, 0, "undecided"),
    ],
)
def test_a_load_that_one_arm_did_not_sustain(
    only_a: int, only_b: int, both: int, expected: str
) -> None:
    a, b = _arms()
    unstable = np.zeros((2, 8), dtype=bool)
    unstable[0, : only_a + both] = True
    unstable[1, only_a : only_a + both + only_b] = True
    found = compare_pairs(a, b, margin=0.05, unstable=unstable)
    assert found.stability == expected
    assert found.unstable == (only_a + both, only_b + both)
    assert bool(found.warnings) == (expected != "held")


def test_ends_are_read_in_the_direction_that_is_bad() -> None:
    a, b = _arms(effect=-0.1)
    higher = Metric(name="throughput", better="higher")
    effect = _only(compare_pairs(a[:, 0], b[:, 0], margin=0.05, metrics=[higher]))
    assert effect.estimate.point < 0
    assert effect.best == -effect.estimate.high > 0
    assert effect.worst == -effect.estimate.low > effect.best


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"b": np.ones((7, 3))}, "do not pair up"),
        ({"a": np.ones((2, 2, 2))}, "trials x metrics"),
        ({"a": np.full((8, 3), -1.0)}, "negative"),
        ({"a": np.full((8, 3), -math.inf)}, "-infinity"),
        ({"margin": 0.0}, "margin"),
        ({"margin": math.nan}, "margin"),
        ({"level": 0.4}, "level"),
        ({"metrics": [RATE]}, "1 metrics are named"),
        ({"valid": [True] * 8}, "2 arms x 8 trials"),
    ],
)
def test_what_does_not_fit_is_refused_in_words(change: dict[str, object], words: str) -> None:
    a, b = _arms()
    told: dict[str, object] = {"a": a, "b": b, "margin": 0.05} | change
    with pytest.raises(ValueError, match=words):
        compare_pairs(**told)  # type: ignore[arg-type]
