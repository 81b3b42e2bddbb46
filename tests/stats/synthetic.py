"""Trials of M/M/1, whose truth is known, many at once, with drift and noise between them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

__all__ = ["PERCENTILES", "campaigns", "latencies", "quantile_truth"]

Array = npt.NDArray[np.float64]

PERCENTILES = (0.5, 0.95, 0.99)
_AT_ONCE = 50


def quantile_truth(p: float, rho: float) -> float:
    """Quantile of the latency of M/M/1 with a mean service of 1."""
    return -math.log(1 - p) / (1 - rho)


def latencies(waits: Array, gaps: Array, services: Array) -> Array:
    """Lindley's recursion, one trial a row: shape (trials, jobs); ``waits`` are the first jobs'."""
    found = np.empty_like(services)
    wait = waits.copy()
    for place in range(services.shape[1]):
        found[:, place] = wait + services[:, place]
        np.maximum(found[:, place] - gaps[:, place], 0.0, out=wait)
    return found


def campaigns(
    random: np.random.Generator,
    count: int,
    *,
    slower: float = 0.0,
    pairs: int = 8,
    jobs: int = 4000,
    rho: float = 0.7,
    drift: float = 0.06,
    noise: float = 0.01,
    seeded: bool = True,
) -> Iterator[tuple[Array, Array]]:
    """Comparisons as statistics.md 2.9 has them: arms A and B, each (pairs, metrics).

    The metrics are P50, P95, P99 of the latency and the mean service. The machine gets slower by
    ``drift`` over the campaign, each trial is off by ``noise``, each pair is in a random order,
    and (``seeded``) its arms have the same arrivals and draws of service. B's services are longer
    by ``slower``.
    """
    for first in range(0, count, _AT_ONCE):
        yield from _chunk(
            random, min(_AT_ONCE, count - first), slower, pairs, jobs, rho, drift, noise, seeded
        )


def _chunk(
    random: np.random.Generator,
    count: int,
    slower: float,
    pairs: int,
    jobs: int,
    rho: float,
    drift: float,
    noise: float,
    seeded: bool,
) -> Iterator[tuple[Array, Array]]:
    shape = (count, pairs, 1 if seeded else 2, jobs)
    whole = (count, pairs, 2, jobs)
    gaps = np.broadcast_to(random.exponential(1 / rho, shape), whole).reshape(-1, jobs)
    draws = np.broadcast_to(random.exponential(1, shape), whole)
    b_first = random.integers(0, 2, size=(count, pairs))
    turn = np.stack([b_first, 1 - b_first], axis=2) + 2 * np.arange(pairs)[:, None]
    pace = 1 + drift * turn / (2 * pairs - 1)
    pace = pace * np.exp(random.normal(0, noise, pace.shape)) * np.array([1, 1 + slower])
    services = (draws * pace[..., None]).reshape(-1, jobs)
    busy = random.random(shape[:3]) < rho
    waits = np.where(busy, random.exponential(1 / (1 - rho), shape[:3]), 0.0)
    start = np.broadcast_to(waits, whole[:3]).reshape(-1)
    found = latencies(start, gaps, services)
    figures = np.vstack([np.quantile(found, PERCENTILES, axis=1), services.mean(axis=1)])
    table = figures.T.reshape(count, pairs, 2, -1)
    for each in table:
        yield each[:, 0], each[:, 1]
