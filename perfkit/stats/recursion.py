"""A queue job by job: each takes the server that is free next.

With recorded arrivals and services this is no model of chance but of the mechanism: it must give
back when each job started. That is the pathwise oracle, decisive without sampling noise.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from heapq import heapify, heapreplace
from typing import Any

import numpy as np
import numpy.typing as npt

__all__ = ["PathwiseCheck", "Simulated", "check_pathwise", "delays_of", "simulate_queue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """When each job started and finished, shape (jobs,), in the unit and type of the arrivals."""

    starts: npt.NDArray[Any]
    finishes: npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class PathwiseCheck:
    """Whether starts that were recorded are those of c servers that take the next in line."""

    holds: bool
    """Every start lies within the tolerance."""
    deviations: npt.NDArray[Any]
    """Recorded less computed start, shape (jobs,): positive where a job started later."""
    worst: float
    """Of the largest size, with its sign; NaN of no jobs."""
    worst_job: int
    """Its place; -1 of no jobs."""
    within: float
    """Share of jobs within the tolerance; NaN of no jobs."""
    tolerance: float
    n: int
    warnings: tuple[str, ...] = ()


def simulate_queue(arrivals: npt.ArrayLike, services: npt.ArrayLike, servers: int = 1) -> Simulated:
    """Starts and finishes, first come first served on ``servers`` equal servers.

    start_i = max(arrival_i, the earliest instant at which a server is free): Kiefer and Wolfowitz
    (1955); of one server Lindley (1952). Integers (nanoseconds) stay exact.

    Args:
        arrivals: shape (jobs,), instants in order; equal ones are served as they stand.
        services: shape (jobs,), how long each keeps its server, in the same unit; +infinity (of
            floats) is a job that never gives it back.
        servers: how many.

    Raises:
        ValueError: shapes differ; arrivals are out of order or not finite; a service is negative
            or NaN; servers < 1.
    """
    came, took = np.asarray(arrivals), np.asarray(services)
    if came.shape != took.shape or came.ndim != 1:
        raise ValueError(f"{came.shape} arrivals for {took.shape} services")
    if servers < 1:
        raise ValueError(f"servers = {servers}: at least one is needed")
    if not (np.issubdtype(came.dtype, np.integer) and np.issubdtype(took.dtype, np.integer)):
        came, took = came.astype(np.float64), took.astype(np.float64)
    if not np.isfinite(came).all() or (np.diff(came) < 0).any():
        raise ValueError("arrivals must be finite and in order; sort jobs by arrival first")
    if np.isnan(took).any() or (took < 0).any():
        raise ValueError("services must not be negative or NaN; a clock went backwards?")
    if not len(came):
        return Simulated(starts=came, finishes=came.copy())
    starts = _starts(came.tolist(), took.tolist(), min(servers, len(came)))
    begun = np.array(starts, dtype=came.dtype)
    return Simulated(starts=begun, finishes=begun + took)


def _starts(came: list[Any], took: list[Any], servers: int) -> list[Any]:
    free = [came[0]] * servers  # a heap
    starts: list[Any] = []
    add = starts.append
    for arrival, service in zip(came, took, strict=True):
        start = free[0]
        if start < arrival:
            start = arrival
        add(start)
        heapreplace(free, start + service)
    return starts


def check_pathwise(
    arrivals: npt.ArrayLike,
    starts: npt.ArrayLike,
    finishes: npt.ArrayLike,
    servers: int,
    *,
    tolerance: float,
) -> PathwiseCheck:
    """Feed recorded arrivals and services to `simulate_queue`; compare each job's start.

    Args:
        arrivals: shape (jobs,), when each job could have been taken; any order.
        starts: shape (jobs,), when it was.
        finishes: shape (jobs,), when its server was free for the next.
        servers: workers times threads.
        tolerance: largest deviation allowed, in the same unit. Work between two jobs that the
            stamps leave out (an ack, a fetch) adds up over a busy period and must fit in here.

    Returns:
        ``holds`` is false, with a warning, of no jobs.

    Raises:
        ValueError: shapes differ; an instant is not finite; a job finishes before it starts; the
            tolerance is negative; servers < 1.
    """
    if not tolerance >= 0:
        raise ValueError(f"tolerance = {tolerance} must not be negative")
    came, begun, ended = (np.asarray(each) for each in (arrivals, starts, finishes))
    if not came.shape == begun.shape == ended.shape or came.ndim != 1:
        raise ValueError(f"{came.shape} arrivals, {begun.shape} starts, {ended.shape} finishes")
    if not all(np.isfinite(each).all() for each in (came, begun, ended)):
        raise ValueError("instants must be finite; leave out jobs that did not finish")
    if not len(came):
        return PathwiseCheck(
            holds=False,
            deviations=came,
            worst=math.nan,
            worst_job=-1,
            within=math.nan,
            tolerance=tolerance,
            n=0,
            warnings=("no jobs",),
        )
    order = np.argsort(came, kind="stable")
    computed = simulate_queue(came[order], (ended - begun)[order], servers).starts
    deviations = np.empty(len(came), dtype=np.result_type(begun, computed))
    deviations[order] = begun[order] - computed
    sizes = np.abs(deviations)
    worst = int(np.argmax(sizes))
    early = int((begun < came).sum())
    warnings = [f"{early} jobs started before they came: clocks differ"] if early else []
    return PathwiseCheck(
        holds=bool(sizes[worst] <= tolerance),
        deviations=deviations,
        worst=float(deviations[worst]),
        worst_job=worst,
        within=float((sizes <= tolerance).mean()),
        tolerance=tolerance,
        n=len(came),
        warnings=tuple(warnings),
    )


def delays_of(
    arrivals: npt.ArrayLike, starts: npt.ArrayLike, finishes: npt.ArrayLike, servers: int
) -> tuple[float, float]:
    """What lies between two stamps: the median delay from arrival, and from a server set free.

    Each job is held against the server that by the records was free first, so that nothing adds up:
    the delay is its start less the later of its arrival and that instant. It is counted as one from
    arrival where the server was free by then, else as one from the server.

    Args:
        arrivals, starts, finishes, servers: as of `check_pathwise`.

    Returns:
        Two medians in the unit of the instants; of no such job 0.0.

    Raises:
        ValueError: shapes differ, or servers < 1.
    """
    came, begun, ended = (np.asarray(each) for each in (arrivals, starts, finishes))
    if not came.shape == begun.shape == ended.shape or came.ndim != 1:
        raise ValueError(f"{came.shape} arrivals, {begun.shape} starts, {ended.shape} finishes")
    if servers < 1:
        raise ValueError(f"servers = {servers}: at least one is needed")
    from_arrival: list[Any] = []
    from_server: list[Any] = []
    if len(came):
        free = [begun.min().item()] * min(servers, len(came))
        heapify(free)
        order = np.argsort(begun, kind="stable")
        for arrival, start, finish in zip(
            came[order].tolist(), begun[order].tolist(), ended[order].tolist(), strict=True
        ):
            first = heapreplace(free, finish)
            if first <= arrival:
                from_arrival.append(start - arrival)
            else:
                from_server.append(start - first)
    return _median(from_arrival), _median(from_server)


def _median(values: list[Any]) -> float:
    return float(np.median(values)) if values else 0.0
