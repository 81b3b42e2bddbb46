"""The built-in scenarios: what each asks, and that copies of the same thing stay the same.

Every file is complete and readable by itself; what they share is held together here.
"""

from __future__ import annotations

import math
from typing import Any

import pytest

from perfkit.plan import SUITE
from perfkit.scenario import Scenario, builtins, load_document, parse, settings_of

S = 1_000_000_000
LOADS = ("light", "medium", "heavy", "extreme", "endurance", "spike", "progressive")


def document(name: str) -> dict[str, Any]:
    return load_document(name)[0]


def scenario(name: str) -> Scenario:
    return parse(document(name), name)


@pytest.mark.parametrize("name", builtins())
def test_every_builtin_is_valid_and_named_after_its_file(name: str) -> None:
    assert scenario(name).name == name
    assert scenario(name).description


def test_every_load_has_an_open_twin_and_there_are_no_others() -> None:
    twins = {twin for load in LOADS for twin in (load, f"{load}-open")}
    assert set(builtins()) == twins | {"first", "smoke"}


@pytest.mark.parametrize(
    ("name", "users", "seconds"),
    [
        ("light", [100], 120),
        ("medium", [250], 180),
        ("heavy", [500], 180),
        ("extreme", [1000], 300),
        ("endurance", [100], 1800),
        ("spike", [100, 2000, 100], 60),
        ("progressive", [100, 250, 500, 750, 1000], 300),
    ],
)
def test_a_load_asks_for_its_users_and_its_twin_for_what_they_would_send(
    name: str, users: list[int], seconds: int
) -> None:
    closed, twin = scenario(name), scenario(f"{name}-open")
    assert _levels(closed) == users
    assert _levels(twin) == [each / 2 for each in users]  # 2 s between two requests of a user
    assert closed.window_ns == twin.window_ns == seconds * S
    assert closed.offered_per_s == pytest.approx(twin.offered_per_s)


def _levels(each: Scenario) -> list[float]:
    return [piece.level_end for piece in each.stretches if piece.phase is not None and piece.steady]


@pytest.mark.parametrize("name", LOADS)
def test_twins_differ_in_their_model_and_in_nothing_else(name: str) -> None:
    closed, twin = document(name), document(f"{name}-open")
    for each in (closed, twin):
        del each["name"], each["description"]
        for key in ("model", "users", "think", "rate", "arrivals"):
            each["load"].pop(key, None)
        for phase in each["load"].get("phase", ()):
            phase.pop("users", None)
            phase.pop("rate", None)
    assert closed == twin


@pytest.mark.parametrize("name", [name for name in builtins() if name not in ("first", "smoke")])
def test_all_loads_have_the_same_jobs_gateway_and_targets(name: str) -> None:
    light, other = document("light"), document(name)
    for key in ("job", "gateway", "threshold", "seed"):
        assert other[key] == light[key]


def test_the_targets_are_the_eight_of_the_old_system_and_what_it_claimed() -> None:
    assert [
        (str(each), each.claimed, each.needs_offered_per_s) for each in scenario("light").threshold
    ] == [
        ("latency of payments p(95)<500ms", "487ms", None),
        ("latency of notifications p(95)<300ms", "287ms", None),
        ("latency of webhooks p(95)<1000ms", "876ms", None),
        ("errors rate<5%", "2 to 5 %", None),
        ("queue.backlog max<10000", None, None),
        ("redis.memory.used_ratio max<80%", None, None),
        ("workers.cpu avg in 60%..75%", None, 150.0),
        ("throughput avg>150/s", "202/s", 150.0),
    ]


def test_throughput_is_a_target_only_where_more_than_that_is_offered() -> None:
    needed = scenario("light").threshold[-1].needs_offered_per_s
    assert needed is not None
    below = {name for name in LOADS if scenario(name).offered_per_s <= needed}
    assert below == {"light", "medium", "endurance"}


@pytest.mark.parametrize("name", SUITE)
def test_slots_suffice_for_what_is_offered_on_average(name: str) -> None:
    # Little's law: jobs in service = rate x mean time at the gateway; exp(sigma^2 / 2) is the mean
    # of a log-normal time over its median.
    each = scenario(name)
    weights = sum(job.weight for job in each.job)
    mean_s = sum(
        job.weight / weights * gateway.median_ns / 1e9 * math.exp(gateway.sigma**2 / 2)
        for job in each.job
        for gateway in [each.gateway[job.queue]]
    )
    assert each.offered_per_s * mean_s < 0.6 * settings_of(each).slots


def test_the_suite_is_every_load_but_the_endless_one_closed_then_open() -> None:
    assert (
        *("light", "medium", "heavy", "extreme", "spike", "progressive"),
        *("light-open", "medium-open", "heavy-open"),
        *("extreme-open", "spike-open", "progressive-open"),
    ) == SUITE
