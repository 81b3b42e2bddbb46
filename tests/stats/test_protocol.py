"""The protocol of a comparison end to end, on simulated queues with drift and noise.

Quick sizes; tests/benchmarks/bench_stats.py has five hundred of each. The noise is that of
statistics.md, 2.9: 6 % drift over the campaign, trials 1 % off, pairs in random order.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt
import pytest

from perfkit.stats import (
    Comparison,
    Metric,
    between_trials,
    compare_pairs,
    pooled_effective_size,
    quantile,
)
from tests.stats.synthetic import PERCENTILES, campaigns, latencies, quantile_truth

Array = npt.NDArray[np.float64]

METRICS = [Metric(name=name) for name in ("p50", "p95", "p99", "service")]


def _compared(seed: int, count: int, slower: float, *, seeded: bool) -> list[Comparison]:
    random = np.random.default_rng(seed)
    return [
        compare_pairs(a, b, margin=0.05, metrics=METRICS)
        for a, b in campaigns(random, count, slower=slower, seeded=seeded, jobs=2000)
    ]


def _significant(comparison: Comparison) -> bool:
    return any(effect.p_adjusted <= 0.05 for effect in comparison.effects)


@pytest.mark.parametrize("seeded", [True, False])
def test_the_same_system_twice_is_rarely_called_different(seeded: bool) -> None:
    found = _compared(1, 200, 0.0, seeded=seeded)
    # 10 of 200 are expected at most; 20 would be seen once in 300 times.
    assert sum(map(_significant, found)) <= 20
    for place in range(len(METRICS)):
        ends = [each.effects[place].estimate for each in found]
        assert 0.9 <= np.mean([each.low <= 0 <= each.high for each in ends]) <= 0.99


def test_five_percent_of_service_time_is_found_with_the_same_draws() -> None:
    found = _compared(2, 60, 0.05, seeded=True)
    for place in range(len(METRICS)):
        assert np.mean([each.effects[place].p_adjusted <= 0.05 for each in found]) >= 0.9
    service = [each.effects[3].estimate for each in found]
    assert 0.88 <= np.mean([each.low <= 0.05 <= each.high for each in service]) <= 1


def test_the_same_draws_are_what_finds_it() -> None:
    found = _compared(3, 60, 0.05, seeded=False)
    assert np.mean([each.effects[1].p_adjusted <= 0.05 for each in found]) < 0.8


def _trials(random: np.random.Generator, count: int, jobs: int, rho: float) -> Array:
    busy = random.random(count) < rho
    waits = np.where(busy, random.exponential(1 / (1 - rho), count), 0.0)
    gaps, services = (
        random.exponential(1 / rho, (count, jobs)),
        random.exponential(1, (count, jobs)),
    )
    return latencies(waits, gaps, services)


def _sets_of_trials() -> Iterator[Array]:
    random = np.random.default_rng(4)
    yield from _trials(random, 480, 4000, 0.7).reshape(60, 8, 4000)


def test_between_trials_the_truth_is_covered() -> None:
    covered: dict[float, list[bool]] = {p: [] for p in PERCENTILES}
    for trials in _sets_of_trials():
        for p in PERCENTILES:
            found = between_trials([quantile(each, p).point for each in trials])
            covered[p].append(found.low <= quantile_truth(p, 0.7) <= found.high)
    # 57 of 60 are expected.
    assert all(sum(each) >= 52 for each in covered.values()), covered


def test_what_is_printed_is_covered_where_the_trials_decide_together() -> None:
    """Each trial deciding alone prints those that don't know how dependent their values are."""
    alone: list[bool] = []
    together: list[bool] = []
    truth = quantile_truth(0.95, 0.7)
    for trials in _sets_of_trials():
        effective = pooled_effective_size(list(trials), 0.95)
        for trial in trials:
            for found, kept in (
                (quantile(trial, 0.95), alone),
                (quantile(trial, 0.95, effective=effective), together),
            ):
                if found.has_interval:
                    kept.append(found.low <= truth <= found.high)
    assert len(together) >= 30
    assert np.mean(alone) < 0.9
    assert 0.9 <= np.mean(together) <= 0.99
