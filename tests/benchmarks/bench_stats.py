"""How often the statistics are wrong, and how long a million rows take.

Rates over simulated campaigns with drift and noise (statistics.md, 2.9), each with the interval
of Clopper and Pearson; what they should be stands beside them. Times are those of one call on 10^6
rows, and their ratio to sorting as many numbers once. Nothing is asserted on a time; says no on
exit where a rate is proved wrong: its interval lies outside of what it should be.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy.stats import binomtest

from perfkit import stats
from tests.stats.synthetic import PERCENTILES, campaigns, latencies, quantile_truth

Array = npt.NDArray[np.float64]

_CAMPAIGNS = 500
_ROWS = 10**6
_SETS = 200
_TRIALS = 8
_METRICS = ("p50", "p95", "p99", "service")


class Rate(NamedTuple):
    """How often something happened, and between which shares it should."""

    name: str
    hits: int
    of: int
    least: float
    most: float

    @property
    def ends(self) -> tuple[float, float]:
        found = binomtest(self.hits, self.of).proportion_ci(0.95, "exact")
        return float(found.low), float(found.high)

    @property
    def wrong(self) -> bool:
        low, high = self.ends
        return high < self.least or low > self.most


def _rates(count: int) -> Iterable[Rate]:
    random = np.random.default_rng(1)
    for seeded in (True, False):
        arms = "same draws" if seeded else "other draws"
        found = _compared(random, count, 0.0, seeded)
        alarms = sum(any(each.p_adjusted <= 0.05 for each in one.effects) for one in found)
        yield Rate(f"A/A, {arms}: any of 4 significant", alarms, count, 0, 0.05)
        for place, name in enumerate(_METRICS):
            ends = [one.effects[place].estimate for one in found]
            hits = sum(each.low <= 0 <= each.high for each in ends)
            yield Rate(f"A/A, {arms}: {name} covered", hits, count, 0.9, 0.99)
    found = _compared(random, count, 0.05, True)
    for place, name in enumerate(_METRICS):
        hits = sum(one.effects[place].p_adjusted <= 0.05 for one in found)
        yield Rate(f"+5 % service, same draws: {name} found", hits, count, 0.9, 1)
    hits = sum(one.effects[3].estimate.low <= 0.05 <= one.effects[3].estimate.high for one in found)
    yield Rate("+5 % service, same draws: service covered", hits, count, 0.9, 0.99)


def _compared(
    random: np.random.Generator, count: int, slower: float, seeded: bool
) -> list[stats.Comparison]:
    return [
        stats.compare_pairs(a, b, margin=0.05)
        for a, b in campaigns(random, count, slower=slower, seeded=seeded)
    ]


def _coverage(sets: int) -> Iterable[Rate]:
    """Of the truth of M/M/1 at rho 0.7, 4,000 jobs a trial, 8 trials a set."""
    random, rho, jobs = np.random.default_rng(2), 0.7, 4000
    between: dict[float, int] = dict.fromkeys(PERCENTILES, 0)
    printed: dict[float, list[bool]] = {p: [] for p in PERCENTILES}
    for _ in range(sets):
        busy = random.random(_TRIALS) < rho
        waits = np.where(busy, random.exponential(1 / (1 - rho), _TRIALS), 0.0)
        gaps = random.exponential(1 / rho, (_TRIALS, jobs))
        trials = latencies(waits, gaps, random.exponential(1, (_TRIALS, jobs)))
        for p in PERCENTILES:
            truth, effective = quantile_truth(p, rho), stats.pooled_effective_size(list(trials), p)
            single = [stats.quantile(each, p, effective=effective) for each in trials]
            printed[p] += [each.low <= truth <= each.high for each in single if each.has_interval]
            over = stats.between_trials([each.point for each in single])
            between[p] += over.low <= truth <= over.high
    for p in PERCENTILES:
        yield Rate(f"between 8 trials: P{100 * p:g} covered", between[p], sets, 0.9, 0.99)
    for p in PERCENTILES:
        if printed[p]:
            hits, of = sum(printed[p]), len(printed[p])
            yield Rate(f"one trial, where printed: P{100 * p:g} covered", hits, of, 0.9, 0.99)
        else:
            print(f"one trial: P{100 * p:g} was never printed")


def _times(rows: int) -> dict[str, float]:
    random = np.random.default_rng(3)
    arrivals = np.cumsum(random.exponential(1 / 0.8, rows))
    services = random.exponential(1, rows)
    simulated = stats.simulate_queue(arrivals, services)
    latency = simulated.finishes - arrivals
    stages = np.vstack([simulated.starts - arrivals, services])
    trial = np.arange(rows) // max(1, rows // 10)
    split = list(latency.reshape(10, -1))
    some = np.where(random.random(rows) < 0.01, np.inf, 1.0)
    queue = stats.ggc(3.2, services, 4)
    calls: dict[str, Callable[[], object]] = {
        "sorting once": lambda: np.sort(latency),
        "quantile": lambda: stats.quantile(latency, 0.99),
        "effective_size": lambda: stats.effective_size(latency, 0.99),
        "pooled_effective_size": lambda: stats.pooled_effective_size(split, 0.99),
        "between_trials": lambda: stats.between_trials(latency),
        "compare_pairs": lambda: stats.compare_pairs(latency, latency[::-1], margin=0.05),
        "compare_pairs, by rank": lambda: stats.compare_pairs(latency, latency * some, margin=0.05),
        "max_t_sign_flip": lambda: stats.max_t_sign_flip(latency - latency[::-1]),
        "simulate_queue, 1 server": lambda: stats.simulate_queue(arrivals, services),
        "simulate_queue, 64 servers": lambda: stats.simulate_queue(arrivals, services * 64, 64),
        "check_pathwise": lambda: stats.check_pathwise(
            arrivals, simulated.starts, simulated.finishes, 1, tolerance=1e-6
        ),
        "stage_contributions": lambda: stats.stage_contributions(
            stages, 0.99, beyond=0.5, trial=trial
        ),
        "contributions_within": lambda: stats.contributions_within(stages, 0.99, beyond=0.5),
        "littles_law": lambda: stats.littles_law(arrivals, simulated.finishes),
        "service_demand": lambda: stats.service_demand(
            services[None, :], np.ones(rows), 1.0, resources=["slots"]
        ),
        "mser5": lambda: stats.mser5(latency),
        "backlog_trend": lambda: stats.backlog_trend(arrivals, latency),
        "ggc": lambda: stats.ggc(3.2, services, 4),
        "ggc latency_quantile": lambda: queue.latency_quantile(0.99),
    }
    return {name: _seconds(call) for name, call in calls.items()}


def _seconds(call: Callable[[], object]) -> float:
    """The best of three: the machine does other things too."""
    took = []
    for _ in range(3):
        start = time.perf_counter()
        call()
        took.append(time.perf_counter() - start)
    return min(took)


def main(count: int) -> int:
    """Print both tables; 1 where a rate is proved wrong."""
    print(f"{'rate':<46}  share    95 % interval   should be")
    wrong = 0
    for rate in (*_rates(count), *_coverage(min(count, _SETS))):
        low, high = rate.ends
        mark = "  WRONG" if rate.wrong else ""
        wrong += rate.wrong
        print(
            f"{rate.name:<46}  {rate.hits / rate.of:5.3f}  {low:.3f} to {high:.3f}"
            f"  {rate.least:.2f} to {rate.most:.2f}{mark}"
        )
    found = _times(_ROWS)
    print(f"\n{_ROWS} rows{'':<22}  seconds  x sorting once")
    for name, seconds in found.items():
        print(f"{name:<30}  {seconds:7.3f}  {seconds / found['sorting once']:14.1f}")
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else _CAMPAIGNS))
