"""How a machine changed while it was compared."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats as scipy_stats

from perfkit.stats import drift


def test_a_machine_that_slows_down_steadily_is_found_to_the_percent() -> None:
    at = np.arange(8.0)
    found = drift(at, 40.0 * 1.06 ** (at / 7) * np.exp(0.001 * np.sin(9 * at)))
    assert found.point == pytest.approx(0.06, abs=0.004)
    assert found.low < 0.06 < found.high


def test_it_is_the_slope_of_the_logs_over_the_whole_span() -> None:
    at, values = [0.0, 1.0, 3.0, 4.0], [10.0, 12.0, 11.0, 15.0]
    line = scipy_stats.linregress(at, np.log(values))
    half = scipy_stats.t.ppf(0.975, 2) * line.stderr
    found = drift(at, values)
    assert found.point == pytest.approx(math.expm1(4 * line.slope))
    assert found.low == pytest.approx(math.expm1(4 * (line.slope - half)))
    assert found.high == pytest.approx(math.expm1(4 * (line.slope + half)))


def test_its_interval_holds_no_drift_as_often_as_it_says() -> None:
    rng = np.random.default_rng(1)
    at = np.arange(8.0)
    held = 0
    for _ in range(600):
        found = drift(at, np.exp(rng.normal(0, 0.05, 8)))
        held += found.low <= 0 <= found.high
    assert 0.92 < held / 600 < 0.975


@pytest.mark.parametrize("values", [[], [1.0, 2.0, 3.0], [1.0, math.inf, math.nan, 0.0, 2.0]])
def test_too_few_pairs_tell_of_no_drift(values: list[float]) -> None:
    found = drift(range(len(values)), values)
    assert not found.has_interval
    assert "are needed" in found.warnings[0]


def test_instants_and_values_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="instants for"):
        drift([1.0], [1.0, 2.0])
