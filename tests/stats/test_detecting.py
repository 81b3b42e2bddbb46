"""What an experiment can find, against a table, a simulation, and its limits."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t as student

from perfkit.stats import minimum_detectable_effect, upper_sd


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
