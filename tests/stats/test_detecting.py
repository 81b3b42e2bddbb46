"""What an experiment can find, against a table, a simulation, and its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student

from perfkit.stats import max_t_sign_flip, minimum_detectable_effect, upper_sd
from perfkit.stats.detecting import detectable_by_flips, interval_multiple


@pytest.mark.parametrize(
    ("pairs", "multiple"),
    [
        (4, 2.128),
        (5, 1.682),
        (6, 1.435),
        (8, 1.157),
        (10, 0.997),
        (12, 0.889),
        (16, 0.750),
        (20, 0.661),
    ],
)
def test_it_is_the_table_of_the_protocol(pairs: int, multiple: float) -> None:
    # statistics.md, 1.3.
    assert math.log1p(minimum_detectable_effect(1.0, pairs)) == pytest.approx(multiple, abs=2e-3)


def test_the_protocols_example() -> None:
    assert minimum_detectable_effect(0.046, 8) == pytest.approx(0.055, abs=5e-4)


def test_the_effect_is_found_with_its_power() -> None:
    random = np.random.default_rng(1)
    sd, pairs = 0.05, 8
    effect = math.log1p(minimum_detectable_effect(sd, pairs))
    differences = random.normal(effect, sd, (4000, pairs))
    t = differences.mean(axis=1) / differences.std(axis=1, ddof=1) * math.sqrt(pairs)
    assert np.mean(np.abs(t) > student.ppf(0.975, pairs - 1)) == pytest.approx(0.8, abs=0.025)


def test_more_pairs_less_noise_and_less_asked_find_less() -> None:
    found = [minimum_detectable_effect(0.05, pairs) for pairs in range(2, 40)]
    assert found == sorted(found, reverse=True)
    assert minimum_detectable_effect(0.1, 8) > minimum_detectable_effect(0.05, 8)
    assert minimum_detectable_effect(0.05, 8, power=0.9) > minimum_detectable_effect(0.05, 8)
    assert minimum_detectable_effect(0.05, 8, level=0.99) > minimum_detectable_effect(0.05, 8)


def test_no_noise_finds_all_and_one_pair_nothing() -> None:
    assert minimum_detectable_effect(0.0, 8) == 0.0
    assert minimum_detectable_effect(0.05, 1) == math.inf
    assert minimum_detectable_effect(1e4, 8) == math.inf


@pytest.mark.parametrize(
    ("sd", "pairs", "power"),
    [
        (-1.0, 8, 0.8),
        (math.nan, 8, 0.8),
        (math.inf, 8, 0.8),
        (0.1, 0, 0.8),
        (0.1, 8, 1.0),
        (0.1, 8, 0.01),
    ],
)
def test_what_makes_no_plan_is_refused(sd: float, pairs: int, power: float) -> None:
    with pytest.raises(ValueError):
        minimum_detectable_effect(sd, pairs, power=power)


def test_the_upper_limit_of_a_noise_is_above_the_truth_as_often_as_it_says() -> None:
    random = np.random.default_rng(2)
    found = random.normal(0, 2, (3000, 4)).std(axis=1, ddof=1)
    above = np.mean([upper_sd(float(each), 4) > 2 for each in found])
    assert above == pytest.approx(0.8, abs=0.025)
    assert upper_sd(1.0, 1) == math.inf
    with pytest.raises(ValueError):
        upper_sd(math.nan, 4)
    with pytest.raises(ValueError):
        upper_sd(1.0, 4, level=0.0)


def _found(pairs: int, metrics: int, level: float, shared: float, times: int) -> float:
    """How often the joint flips find an effect of the size they are said to find."""
    random = np.random.default_rng(7)
    shift = detectable_by_flips(pairs, metrics, level=level)
    hits = 0
    for _ in range(times):
        noise = random.standard_normal((pairs, metrics)) * math.sqrt(1 - shared)
        noise += random.standard_normal((pairs, 1)) * math.sqrt(shared)
        noise[:, 0] += shift
        hits += max_t_sign_flip(noise)[0] <= 1 - level
    return hits / times


@pytest.mark.parametrize(
    ("pairs", "metrics", "level"),
    [(8, 1, 0.95), (8, 12, 0.95), (8, 12, 0.99), (6, 3, 0.95), (10, 9, 0.99), (13, 12, 0.95)],
)
def test_the_flips_find_what_they_are_said_to_find(pairs: int, metrics: int, level: float) -> None:
    # Of 300 an error of 0.023 is one sd.
    times = 300 if pairs < 12 else 150
    assert _found(pairs, metrics, level, 0.0, times) == pytest.approx(0.8, abs=0.08)


def test_metrics_that_hang_together_are_found_more_often() -> None:
    assert _found(8, 12, 0.95, 0.9, 300) >= 0.8


def test_a_metric_among_others_takes_a_larger_effect_than_one_t_test() -> None:
    found = [detectable_by_flips(8, metrics) for metrics in (1, 4, 12)]
    assert found == sorted(found)
    assert 1.157 <= found[0] < 1.3  # statistics.md, 1.3, and what the coarse p costs
    assert found[2] > 1.5 * 1.157


@pytest.mark.parametrize(("pairs", "level"), [(1, 0.95), (5, 0.95), (7, 0.99)])
def test_pairs_whose_smallest_p_is_too_large_find_nothing(pairs: int, level: float) -> None:
    assert detectable_by_flips(pairs, 1, level=level) == math.inf
    assert math.isfinite(detectable_by_flips(pairs + 5, 1, level=level))


def test_flips_of_nothing_are_refused() -> None:
    for pairs, metrics in ((0, 1), (8, 0)):
        with pytest.raises(ValueError, match="at least one of each"):
            detectable_by_flips(pairs, metrics)


@pytest.mark.parametrize(
    ("pairs", "multiple"),
    [(4, 1.591), (5, 1.242), (6, 1.049), (8, 0.836), (10, 0.715), (12, 0.635), (16, 0.533)],
)
def test_half_an_interval_is_that_of_the_table(pairs: int, multiple: float) -> None:
    # statistics.md, 1.3.
    assert interval_multiple(pairs, 0.95) == pytest.approx(multiple, abs=1e-3)


def test_one_pair_has_no_interval() -> None:
    assert interval_multiple(1, 0.95) == math.inf
    with pytest.raises(ValueError, match="1 or more"):
        interval_multiple(0, 0.95)
