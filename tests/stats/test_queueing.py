"""Closed forms of a queue: published tables, special cases, simulations, limits."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.stats import Queue, ggc, mmc, quantile, simulate_queue

# statistics.md, 4.1, at a service rate of 1.
TABLE = [
    (1, 0.5, 0.500000, 1.000000, 2.000000, 1.386294, 5.991465, 9.210340),
    (1, 0.8, 0.800000, 4.000000, 5.000000, 3.465736, 14.978661, 23.025851),
    (2, 0.8, 0.711111, 1.777778, 2.777778, 2.040031, 7.910684, 11.937370),
    (2, 0.9, 0.852632, 4.263158, 5.263158, 3.769159, 15.297239, 23.344430),
    (4, 0.5, 0.173913, 0.086957, 1.086957, 0.783410, 3.149704, 4.764248),
    (4, 0.8, 0.596432, 0.745541, 1.745541, 1.346199, 4.738019, 6.893204),
    (4, 0.9, 0.787753, 1.969383, 2.969383, 2.254504, 8.165525, 12.193167),
    (8, 0.8, 0.457645, 0.286028, 1.286028, 0.986334, 3.508443, 5.152182),
    (8, 0.9, 0.701533, 0.876916, 1.876916, 1.489355, 4.925147, 7.087347),
    (16, 0.9, 0.591343, 0.369590, 1.369590, 1.078010, 3.623543, 5.269835),
    (32, 0.95, 0.695710, 0.434819, 1.434819, 1.149052, 3.705744, 5.353190),
]


@pytest.mark.parametrize("row", TABLE, ids=lambda row: f"c={row[0]} rho={row[1]}")
def test_mmc_is_the_table(row: tuple[float, ...]) -> None:
    servers, rho = int(row[0]), row[1]
    found = mmc(servers * rho, 1.0, servers)
    said = (found.p_wait, found.wait_mean, found.latency_mean)
    quantiles = tuple(found.latency_quantile(p) for p in (0.5, 0.95, 0.99))
    assert said + quantiles == pytest.approx(row[2:], abs=1e-6)
    assert found.utilisation == pytest.approx(rho)
    assert not found.warnings


@given(st.floats(0.01, 0.99), st.floats(1e-3, 1e6), st.floats(0.001, 0.999))
def test_of_one_server_it_is_the_exponential(rho: float, rate: float, p: float) -> None:
    found = mmc(rho * rate, rate, 1)
    assert found.p_wait == pytest.approx(rho)
    assert found.latency_mean == pytest.approx(1 / (rate * (1 - rho)))
    assert found.latency_quantile(p) == pytest.approx(-math.log1p(-p) / (rate * (1 - rho)))


@given(st.integers(1, 60), st.floats(0.01, 0.99), st.floats(0.01, 0.98))
def test_erlangs_c_is_the_sum_of_its_definition(servers: int, rho: float, p: float) -> None:
    load = servers * rho
    terms = [load**k / math.factorial(k) for k in range(servers)]
    last = load**servers / math.factorial(servers) / (1 - rho)
    found = mmc(load, 1.0, servers)
    assert found.p_wait == pytest.approx(last / (sum(terms) + last))
    assert found.latency_quantile(p) < found.latency_quantile(p + 0.01)


def test_where_the_two_rates_meet_the_tail_is_its_limit() -> None:
    # c mu - lambda = mu: P(R > t) = (1 + P_w mu t) e^(-mu t).
    found = mmc(3.0, 1.0, 4)
    t = found.latency_quantile(0.95)
    assert (1 + found.p_wait * t) * math.exp(-t) == pytest.approx(0.05)
    near = mmc(3.0 + 1e-13, 1.0, 4)
    assert near.latency_quantile(0.95) == pytest.approx(t)


def test_hundreds_of_servers_and_the_far_tail_stay_numbers() -> None:
    found = mmc(990.0, 1.0, 1000)
    assert 0 < found.p_wait < 1
    assert math.isfinite(found.latency_quantile(1 - 1e-12))


def _lognormal(cv2: float, n: int = 200_000, seed: int = 3) -> npt.NDArray[np.float64]:
    sigma = math.sqrt(math.log1p(cv2))
    return np.random.default_rng(seed).lognormal(-(sigma**2) / 2, sigma, n)


@pytest.mark.parametrize("services", [np.ones(5), np.array([0.5, 1.5]), _lognormal(4.0)])
def test_of_one_server_it_is_pollaczek_and_khinchine(services: npt.NDArray[np.float64]) -> None:
    rate = 0.7 / services.mean()
    second = float((services**2).mean())
    assert ggc(rate, services, 1).wait_mean == pytest.approx(rate * second / 2 / (1 - 0.7))


def test_with_other_arrivals_it_is_kingman() -> None:
    services = np.array([0.5, 1.5])  # a squared coefficient of variation of 0.25
    found = ggc(0.8, services, 1, arrival_cv2=0.5)
    assert found.wait_mean == pytest.approx(0.8 / 0.2 * (0.5 + 0.25) / 2 * 1.0)


def test_of_many_servers_it_is_the_mean_of_mmc_with_the_factor_of_allen_and_cunneen() -> None:
    services = np.array([0.5, 1.5])
    found, simple = ggc(3.2, services, 4), mmc(3.2, 1.0, 4)
    assert found.wait_mean == pytest.approx(simple.wait_mean * (1 + 0.25) / 2)
    assert found.p_wait == simple.p_wait


def test_exponential_service_gives_mmc_back() -> None:
    # Services at the middles of equal shares of the exponential distribution.
    services = -np.log1p(-(np.arange(20_000) + 0.5) / 20_000)
    for method in ("allen-cunneen", "whitt"):
        found = ggc(3.2, services, 4, method=method)  # type: ignore[arg-type]
        assert found.wait_mean == pytest.approx(mmc(3.2, 1.0, 4).wait_mean, rel=0.01)
        for p in (0.5, 0.95, 0.99):
            exact = mmc(3.2, 1.0, 4).latency_quantile(p)
            assert found.latency_quantile(p) == pytest.approx(exact, rel=0.01)


@pytest.mark.parametrize(
    ("cv2", "servers", "rho", "allowed"),
    [(0.0, 2, 0.7, 0.09), (0.0, 8, 0.9, 0.12), (0.25, 8, 0.7, 0.05), (1.0, 8, 0.9, 0.1)],
)
def test_it_is_near_a_simulation(cv2: float, servers: int, rho: float, allowed: float) -> None:
    # The errors of statistics.md, 1.7, and some for the simulation itself.
    services = _lognormal(cv2)
    arrivals = np.cumsum(np.random.default_rng(4).exponential(1 / (rho * servers), len(services)))
    truth = float(
        np.quantile(simulate_queue(arrivals, services, servers).finishes - arrivals, 0.95)
    )
    for method in ("allen-cunneen", "whitt"):
        found = ggc(rho * servers, services, servers, method=method)  # type: ignore[arg-type]
        assert found.latency_quantile(0.95) == pytest.approx(truth, rel=allowed)
    if cv2 == 0:  # where M/M/c is worse than useless
        assert mmc(rho * servers, 1.0, servers).latency_quantile(0.95) > 1.7 * truth


def test_whitts_factor_is_one_where_the_formula_is_exact() -> None:
    constant = np.ones(200)
    assert ggc(0.7, constant, 1, method="whitt").wait_mean == pytest.approx(
        ggc(0.7, constant, 1).wait_mean
    )
    # Read off his section 2 by hand: m = 2, rho = .5, ca2 = 1, cs2 = 0: phi = phi1.
    gamma = (1 - 0.5) * 1 * (math.sqrt(14) - 2) / (16 * 2 * 0.5)
    assert ggc(1.0, constant, 2, method="whitt").wait_mean == pytest.approx(
        (1 + gamma) * ggc(1.0, constant, 2).wait_mean
    )
    # ca2 = 0, cs2 = 1/4: constant arrivals.
    services = np.array([0.5, 1.5])
    phi3 = math.exp(-2 * 0.3 / (3 * 0.7))
    psi = ((1 + phi3) / 2) ** (2 * (1 - 0.125))
    assert ggc(0.7, services, 1, arrival_cv2=0, method="whitt").wait_mean == pytest.approx(
        (phi3 / 2 + psi / 2) * ggc(0.7, services, 1, arrival_cv2=0).wait_mean
    )


def test_without_a_queue_the_latency_is_the_service() -> None:
    services = np.array([1.0, 2.0, 3.0, 4.0] * 50)
    idle = ggc(0.0, services, 2)
    assert (idle.p_wait, idle.wait_mean) == (0.0, 0.0)
    assert idle.latency_quantile(0.6) == pytest.approx(3.0)
    # Nothing varies: nobody waits, although the server is busy 90 % of the time.
    clockwork = ggc(0.9, np.ones(100), 1, arrival_cv2=0)
    assert clockwork.wait_mean == 0
    assert clockwork.latency_quantile(0.99) == pytest.approx(1.0)
    assert mmc(0.0, 1.0, 3).latency_quantile(0.5) == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    "found", [mmc(4.0, 1.0, 4), mmc(9.0, 1.0, 4), ggc(4.0, [1.0, 1.0], 4)], ids=str
)
def test_without_spare_capacity_there_is_no_steady_state(found: Queue) -> None:
    assert found.utilisation >= 1
    assert math.isinf(found.latency_mean)
    assert math.isinf(found.latency_quantile(0.5))
    assert "without end" in found.warnings[0]


def test_few_or_wild_service_times_are_warned_of() -> None:
    assert "hardly known" in ggc(0.5, [1.0, 2.0], 2).warnings[-1]
    assert "simulate instead" in ggc(0.5, _lognormal(4.0), 2).warnings[0]


@pytest.mark.parametrize("told", [(-1.0, 1.0, 1), (1.0, 0.0, 1), (math.nan, 1.0, 1), (1.0, 1.0, 0)])
def test_rates_that_are_none_are_refused(told: tuple[float, float, int]) -> None:
    with pytest.raises(ValueError):
        mmc(*told)


@pytest.mark.parametrize("services", [[], [0.0], [-1.0, 1.0], [math.nan], [math.inf]])
def test_service_times_that_are_none_are_refused(services: list[float]) -> None:
    with pytest.raises(ValueError, match="service times"):
        ggc(0.5, services, 1)
    with pytest.raises(ValueError, match="arrival_cv2"):
        ggc(0.5, [1.0], 1, arrival_cv2=-1)


@pytest.mark.parametrize("p", [0.0, 1.0, math.nan])
def test_a_quantile_lies_inside(p: float) -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        mmc(0.5, 1.0, 1).latency_quantile(p)


def test_mm1_and_a_simulated_one_agree() -> None:
    random = np.random.default_rng(5)
    arrivals = np.cumsum(random.exponential(2.0, 200_000))
    finishes = simulate_queue(arrivals, random.exponential(1.0, 200_000)).finishes
    for p in (0.5, 0.95):
        found = quantile(finishes - arrivals, p)
        assert found.low <= mmc(0.5, 1.0, 1).latency_quantile(p) <= found.high
