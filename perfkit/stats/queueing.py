"""Closed forms of a queue with one waiting line and c equal servers.

M/M/c is exact for Poisson arrivals and exponential service, which job systems rarely have. G/G/c
is an approximation by means and variabilities: within 7 % of a simulation where the squared
coefficient of variation of service is at most 1, up to 24 % at 4 (statistics.md, 1.7). To predict
from measured service times prefer `simulate_queue`; these are its cross-check.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
from scipy.optimize import brentq

__all__ = ["Queue", "ggc", "mmc"]

Array = npt.NDArray[np.float64]
Tail = Callable[[float], float]

_STEEPEST: Final = 700.0  # exp() of more overflows


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """The steady state of a queue; times in the unit of time of the rates.

    Where the load is not below capacity there is none: times are +infinity, with a warning.
    """

    utilisation: float
    """Of the servers: arrival rate over capacity; 1 or more is overload."""
    p_wait: float
    """Share of jobs that wait at all."""
    wait_mean: float
    latency_mean: float
    """Wait and service."""
    method: str
    warnings: tuple[str, ...] = ()
    _beyond: Tail = field(repr=False, compare=False)
    """Share of jobs whose latency exceeds t."""
    _scale: float = field(repr=False, compare=False)

    def latency_quantile(self, p: float) -> float:
        """The latency that a share ``p`` of the jobs does not exceed, by root finding.

        Raises:
            ValueError: p is outside 0, 1.
        """
        if not 0 < p < 1:
            raise ValueError(f"p = {p} must lie between 0 and 1")
        if math.isinf(self.latency_mean):
            return math.inf
        high = self._scale
        while self._beyond(high) > 1 - p:
            high *= 2
        found = brentq(lambda t: self._beyond(t) - (1 - p), 0.0, high, xtol=high * 1e-13)
        return float(found)


def mmc(arrival_rate: float, service_rate: float, servers: int) -> Queue:
    """M/M/c: Poisson arrivals, exponential service, first come first served.

    P(wait) is Erlang's C from the recursion of Erlang's B; the wait of those who wait is
    exponential with rate c mu - lambda (Erlang 1917; Kleinrock 1975, section 3.5).

    Args:
        arrival_rate: jobs per unit of time, 0 or more.
        service_rate: jobs per unit of time of one busy server.
        servers: c.

    Raises:
        ValueError: a rate is negative, zero (of service) or not finite; servers < 1.
    """
    _check_rates(arrival_rate, service_rate, servers)
    utilisation = arrival_rate / service_rate / servers
    if utilisation >= 1:
        return _overloaded(utilisation, "M/M/c")
    p_wait = _erlang_c(arrival_rate / service_rate, servers)
    spare = servers * service_rate - arrival_rate
    wait = p_wait / spare
    slow, gap = min(spare, service_rate), abs(spare - service_rate)

    def beyond(t: float) -> float:
        # (e^-slow t - e^-fast t) / (fast - slow), whose limit is t e^-t slow.
        bend = t if gap * t < 1e-12 else -math.expm1(-gap * t) / gap
        return math.exp(-service_rate * t) + p_wait * service_rate * math.exp(-slow * t) * bend

    return Queue(
        utilisation=utilisation,
        p_wait=p_wait,
        wait_mean=wait,
        latency_mean=wait + 1 / service_rate,
        method="M/M/c, exact",
        _beyond=beyond,
        _scale=1 / service_rate,
    )


def ggc(
    arrival_rate: float,
    services: npt.ArrayLike,
    servers: int,
    *,
    arrival_cv2: float = 1.0,
    method: Literal["allen-cunneen", "whitt"] = "allen-cunneen",
) -> Queue:
    """G/G/c from measured service times: the mean wait of M/M/c times (ca2 + cs2) / 2.

    That is Allen and Cunneen's formula (Allen 1990, section 5.3); of one server it is Kingman's
    (1961), and with Poisson arrivals the exact one of Pollaczek and Khinchine. "whitt" corrects it
    by the factor of Whitt (1993, "Approximations for the GI/G/m queue", section 2). The latency
    is a measured service and a wait that is zero with chance 1 - P(wait) of M/M/c, else
    exponential.

    Args:
        arrival_rate: jobs per unit of time, 0 or more.
        services: shape (n,), service times; each as likely as the others.
        servers: c.
        arrival_cv2: variance of the gaps between arrivals over their squared mean: 1 for Poisson
            arrivals, 0 for a constant rate.
        method: see above.

    Raises:
        ValueError: there are no service times, or one is negative or not finite, or all are zero;
            the rate or arrival_cv2 is negative or not finite; servers < 1.
    """
    times = np.sort(np.asarray(services, dtype=np.float64).ravel())
    if not len(times):
        raise ValueError("no service times; leave out jobs that did not finish, but not all")
    if not np.isfinite(times).all() or times[0] < 0 or times[-1] == 0:
        raise ValueError("service times must be finite and not negative, and not all zero")
    if not (math.isfinite(arrival_cv2) and arrival_cv2 >= 0):
        raise ValueError(f"arrival_cv2 = {arrival_cv2} must be finite and not negative")
    mean = float(times.mean())
    _check_rates(arrival_rate, 1 / mean, servers)
    name = f"G/G/c, {method}"
    utilisation = arrival_rate * mean / servers
    if utilisation >= 1:
        return _overloaded(utilisation, name)
    simple = mmc(arrival_rate, 1 / mean, servers)
    service_cv2 = float(times.var()) / mean**2
    wait = simple.wait_mean * (arrival_cv2 + service_cv2) / 2
    if method == "whitt":
        wait *= _whitt(arrival_cv2, service_cv2, utilisation, servers)
    warnings = []
    if service_cv2 > 1 or arrival_cv2 > 1:
        warnings.append("more variable than exponential: off by up to a quarter; simulate instead")
    if len(times) < 100:
        warnings.append(f"{len(times)} service times: their tail is hardly known")

    def beyond(t: float) -> float:
        within = times[: int(np.searchsorted(times, t, side="right"))]
        later = 1 - len(within) / len(times)
        if not len(within) or wait == 0:
            return later
        rate = simple.p_wait / wait
        # A service that is far below t adds nothing.
        first = int(np.searchsorted(within, t - _STEEPEST / rate))
        late = float(np.exp((within[first:] - t) * rate).sum()) / len(times)
        return later + simple.p_wait * late

    return Queue(
        utilisation=utilisation,
        p_wait=simple.p_wait,
        wait_mean=wait,
        latency_mean=wait + mean,
        method=name,
        warnings=tuple(warnings),
        _beyond=beyond,
        _scale=mean,
    )


def _erlang_c(load: float, servers: int) -> float:
    blocked = 1.0
    for each in range(1, servers + 1):
        blocked = load * blocked / (each + load * blocked)
    return blocked / (1 - load / servers * (1 - blocked))


def _whitt(ca2: float, cs2: float, rho: float, servers: int) -> float:
    """Whitt's factor phi; 1 where nothing varies."""
    if ca2 + cs2 == 0 or rho == 0:
        return 1.0
    crowd = (1 - rho) * (servers - 1) * (math.sqrt(4 + 5 * servers) - 2) / (16 * servers * rho)
    gamma = min(0.24, crowd)
    constant_service = 1 + gamma
    constant_arrivals = (1 - 4 * gamma) * math.exp(-2 * (1 - rho) / (3 * rho))
    both = (ca2 + cs2) / 2
    mixed = min(1.0, (constant_service + constant_arrivals) / 2)
    psi = 1.0 if both >= 1 else mixed ** (2 * (1 - both))
    if ca2 >= cs2:
        whole = 4 * ca2 - 3 * cs2
        return (4 * (ca2 - cs2) * constant_service + cs2 * psi) / whole
    whole = 2 * (ca2 + cs2)
    return ((cs2 - ca2) * constant_arrivals + (cs2 + 3 * ca2) * psi) / whole


def _overloaded(utilisation: float, method: str) -> Queue:
    return Queue(
        utilisation=utilisation,
        p_wait=1.0,
        wait_mean=math.inf,
        latency_mean=math.inf,
        method=method,
        warnings=("the load is not below capacity: the backlog grows without end",),
        _beyond=lambda _t: 1.0,
        _scale=math.inf,
    )


def _check_rates(arrival_rate: float, service_rate: float, servers: int) -> None:
    if not (math.isfinite(arrival_rate) and arrival_rate >= 0):
        raise ValueError(f"arrival_rate = {arrival_rate} must be finite and not negative")
    if not (math.isfinite(service_rate) and service_rate > 0):
        raise ValueError(f"service_rate = {service_rate} must be finite and positive")
    if servers < 1:
        raise ValueError(f"servers = {servers}: at least one is needed")
