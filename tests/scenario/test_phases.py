"""The course of a load: pieces without a gap, stretched to the window that was asked for."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.scenario import Scenario, Stretch, load_document, parse
from perfkit.scenario.load import Window
from perfkit.scenario.raw import WARMUP_NS
from tests.scenario.documents import changed, parsed, problems

S = 1_000_000_000


def phased(phases: list[dict[str, Any]], **window: str) -> Scenario:
    document, _ = load_document("light")
    del document["load"]["users"]
    document["load"]["phase"] = phases
    document["window"] = {"warmup": "10s", **window}
    del document["threshold"]
    return parse(document, "case")


SPIKE = [
    {"duration": "20s", "users": 100},
    {"name": "spike", "duration": "20s", "users": 2000, "ramp": "5s"},
    {"duration": "20s", "users": 100},
]


def test_a_load_goes_through_its_ramp_warm_up_and_phases_without_a_gap() -> None:
    assert [
        (
            each.name,
            each.begin_ns / S,
            each.end_ns / S,
            each.level_start,
            each.level_end,
            each.phase,
        )
        for each in phased(SPIKE).stretches
    ] == [
        ("ramp", 0, 10, 0, 100, None),
        ("warm-up", 10, 20, 100, 100, None),
        ("1", 20, 40, 100, 100, 0),
        ("spike", 40, 45, 100, 2000, 1),
        ("spike", 45, 60, 2000, 2000, 1),
        ("3", 60, 80, 100, 100, 2),
    ]


def test_a_load_without_phases_is_one_phase() -> None:
    assert parsed("smoke", {}).stretches == (
        Stretch(
            name="warm-up", begin_ns=0, end_ns=2 * S, level_start=150, level_end=150, phase=None
        ),
        Stretch(
            name="window", begin_ns=2 * S, end_ns=12 * S, level_start=150, level_end=150, phase=0
        ),
    )


def test_a_phase_that_is_all_ramp_has_one_stretch_and_it_is_not_steady() -> None:
    phases = [SPIKE[0], {"duration": "5s", "users": 200, "ramp": "5s"}]
    assert [each.steady for each in phased(phases).stretches if each.phase is not None] == [
        True,
        False,
    ]


def test_a_window_is_the_sum_of_its_phases_unless_it_is_given() -> None:
    assert phased(SPIKE).window_ns == 60 * S
    assert phased(SPIKE, duration="30s").window_ns == 30 * S
    assert parsed("light", {}).window_ns == 120 * S


def test_a_window_of_neither_is_twenty_seconds_after_five_of_warm_up() -> None:
    document, _ = load_document("light")
    del document["window"]
    scenario = parse(document, "case")
    assert (scenario.window_ns, scenario.window.warmup_ns) == (20 * S, 5 * S)
    assert Window().warmup_ns == WARMUP_NS  # what contradictions are judged by


def test_a_given_window_stretches_durations_and_ramps_alike() -> None:
    halved = phased(SPIKE, duration="30s").stretches
    assert [(each.name, each.begin_ns / S, each.end_ns / S) for each in halved[2:]] == [
        ("1", 20, 30),
        ("spike", 30, 32.5),
        ("spike", 32.5, 40),
        ("3", 40, 50),
    ]


@given(
    st.lists(st.tuples(st.integers(1, 10_000), st.integers(0, 10_000)), min_size=1, max_size=8),
    st.integers(1_000, 10**8),
)
def test_stretched_phases_end_exactly_where_the_window_does(
    lengths: list[tuple[int, int]], window_ms: int
) -> None:
    phases = [
        {"duration": f"{length}ms", "users": index + 1, "ramp": f"{min(ramp, length)}ms"}
        for index, (length, ramp) in enumerate(lengths)
    ]
    del phases[0]["ramp"]
    scenario = phased(phases, duration=f"{window_ms}ms")
    stretches = scenario.stretches
    assert stretches[0].begin_ns == 0
    assert [each.end_ns for each in stretches[:-1]] == [each.begin_ns for each in stretches[1:]]
    assert stretches[-1].end_ns == scenario.load_ns
    assert all(each.end_ns > each.begin_ns for each in stretches)


def test_the_offered_load_is_the_mean_over_the_window_and_not_over_the_warm_up() -> None:
    # 20 s of 100, 5 s of 1050 in the mean, 15 s of 2000, 20 s of 100: 660.8 users, 2 s of thought.
    mean = (20 * 100 + 5 * 1050 + 15 * 2000 + 20 * 100) / 60
    assert phased(SPIKE).offered_per_s == pytest.approx(mean / 2)
    assert phased(SPIKE, duration="6s").offered_per_s == pytest.approx(mean / 2)


def test_paced_users_offer_one_job_a_pace() -> None:
    assert parsed("light", {"load.pacing": "4s"}).offered_per_s == pytest.approx(25)


def test_the_peak_decides_how_many_connections_there_may_be() -> None:
    assert (phased(SPIKE).peak, phased(SPIKE).load.connection_limit) == (2000, 2000)
    assert parsed("spike-open", {}).load.connection_limit == 1000
    assert parsed("spike", {"load.connections": 7}).load.connection_limit == 7


@pytest.mark.parametrize(
    ("name", "values", "key", "why"),
    [
        ("spike", {"users": 5}, "load.users", r"load.phase.0.users"),
        ("spike-open", {"rate": 5.0}, "load.rate", r"load.phase.0.rate"),
        ("spike", {"rate": 5.0}, "load.rate", "closed model"),
        ("spike", {"load.phase.0.ramp": "1s"}, "load.phase.0.ramp", "load.ramp"),
        ("spike", {"load.phase.1.ramp": "21s"}, "load.phase.1.ramp", "longer than the phase"),
        ("spike", {"load.phase.1.name": "before"}, "load.phase", "two phases are named 'before'"),
        ("spike", {"load.phase.1.name": "steady"}, "load.phase.1.name", "mean something"),
        ("spike", {"load.phase.1.name": "Big Spike"}, "load.phase.1.name", "match"),
        ("spike", {"load.phase.1.rate": 5.0}, "load.phase.1.rate", "use users"),
        ("spike-open", {"load.phase.1.users": 5}, "load.phase.1.users", "use rate"),
        ("spike", {"load.phase.1.usres": 5}, "load.phase.1.usres", "did you mean 'users'"),
        ("spike", {"load.phase.1.users": -1}, "load.phase.1.users", "greater than or equal"),
        ("spike", {"load.phase.1.duration": "0s"}, "load.phase.1.duration", "longer than zero"),
        ("spike", {"load.phase": []}, "load.phase", "no phase has any load"),
        ("spike", {"load.max_in_flight": 1999}, "load.max_in_flight", "less than 2000 users"),
    ],
)
def test_phases_that_can_not_be_are_refused_with_a_mend(
    name: str, values: dict[str, Any], key: str, why: str
) -> None:
    assert why in problems(changed(name, values))[key]


def test_a_phase_without_a_level_is_refused() -> None:
    document = changed("spike", {})
    del document["load"]["phase"][1]["users"]
    assert "missing: the level" in problems(document)["load.phase.1.users"]


def test_a_pause_between_two_phases_is_a_phase_of_nothing() -> None:
    scenario = phased([SPIKE[0], {"duration": "5s", "users": 0}, SPIKE[2]])
    assert scenario.stretches[3].level_end == 0
