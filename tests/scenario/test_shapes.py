"""Shapes of a phase: which pieces they make, what they offer, and what is refused."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.api.planning import plan_text
from perfkit.plan import build
from perfkit.scenario import (
    Scenario,
    Shaped,
    builtins,
    cautions,
    digest,
    load_document,
    parse,
    workload_digest,
)
from perfkit.scenario.phases import stretch_of
from tests.scenario.documents import changed, parsed, problems

S = 1_000_000_000

SHAPES: dict[str, dict[str, Any]] = {
    "ramp": {"from": 10, "to": 50},
    "step": {"from": 10, "to": 50, "steps": 5},
    "spike": {"low": 10, "high": 90, "width": "4s", "edge": "1s"},
    "sine": {"low": 10, "high": 90, "period": "10s"},
    "burst": {"size": 30, "every": "5s", "rate": 2.0},
}


def document(*phases: dict[str, Any], model: str = "open", **load: Any) -> dict[str, Any]:
    whole, _ = load_document("light-open" if model == "open" else "light")
    whole["load"] = {"model": model, "phase": list(phases), **load}
    whole["window"] = {"warmup": "2s"}
    del whole["threshold"]
    return whole


def shaped(shape: str, **more: Any) -> dict[str, Any]:
    return {"duration": "20s", "shape": shape, **SHAPES[shape], **more}


def course(scenario: Scenario) -> list[tuple[float, float, float, float]]:
    """Begin and end in seconds of the window, and levels."""
    start = scenario.window_start_ns
    return [
        (
            (each.begin_ns - start) / S,
            (each.end_ns - start) / S,
            each.level_start,
            each.level_end,
        )
        for each in scenario.stretches
        if each.phase is not None
    ]


@pytest.mark.parametrize(
    ("shape", "pieces"),
    [
        ("ramp", [(0, 20, 10, 50)]),
        (
            "step",
            [(0, 4, 10, 10), (4, 8, 20, 20), (8, 12, 30, 30), (12, 16, 40, 40), (16, 20, 50, 50)],
        ),
        (
            "spike",
            [(0, 8, 10, 10), (8, 9, 10, 90), (9, 11, 90, 90), (11, 12, 90, 10), (12, 20, 10, 10)],
        ),
        ("sine", [(0, 20, 10, 10)]),
        ("burst", [(0, 20, 2, 2)]),
    ],
)
def test_a_shape_is_made_of_pieces_one_after_the_other(
    shape: str, pieces: list[tuple[float, ...]]
) -> None:
    scenario = parse(document(shaped(shape)), "case")
    assert course(scenario) == pieces
    assert all(isinstance(each, Shaped) for each in scenario.stretches if each.phase is not None)


@pytest.mark.parametrize(
    ("shape", "mean"),
    [
        ("ramp", 30),
        ("step", 30),
        ("spike", (16 * 10 + 2 * 50 + 2 * 90) / 20),
        ("sine", 50),
        ("burst", 2 + 4 * 30 / 20),
    ],
)
def test_a_shape_offers_its_mean(shape: str, mean: float) -> None:
    assert parse(document(shaped(shape)), "case").offered_per_s == pytest.approx(mean)


@pytest.mark.parametrize("shape", [each for each in SHAPES if each != "burst"])
def test_users_come_and_go_in_every_shape_but_bursts(shape: str) -> None:
    scenario = parse(document(shaped(shape), model="closed"), "case")
    assert scenario.peak == scenario.load.connection_limit == (50 if shape in "ramp step" else 90)


def test_a_ramp_leads_from_the_level_before_to_the_first_of_the_shape() -> None:
    flat = {"duration": "10s", "rate": 100}
    scenario = parse(document(flat, shaped("sine", ramp="5s"), flat), "case")
    assert course(scenario) == [
        (0, 10, 100, 100),
        (10, 15, 100, 10),
        (15, 30, 10, pytest.approx(90)),  # a period and a half: it is cut off at its top
        (30, 40, 100, 100),
    ]


def test_a_given_window_stretches_a_spike_and_keeps_a_period_and_the_time_between_bursts() -> None:
    half = document(shaped("spike"), shaped("sine"), shaped("burst"))
    half["window"]["duration"] = "30s"
    scenario = parse(half, "case")
    assert [each[:2] for each in course(scenario)] == [
        (0, 4), (4, 4.5), (4.5, 5.5), (5.5, 6), (6, 10), (10, 20), (20, 30),
    ]  # fmt: skip
    sine, burst = (each for each in scenario.stretches[-2:] if isinstance(each, Shaped))
    assert (sine.period_ns, burst.every_ns) == (10 * S, 5 * S)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from(sorted(SHAPES)), st.integers(0, 3)), min_size=1, max_size=5),
    st.integers(2, 10**6),
)
def test_pieces_lie_side_by_side_from_the_start_of_load_to_its_end(
    asked: list[tuple[str, int]], window_ms: int
) -> None:
    phases = [
        shaped(shape) | ({"ramp": f"{ramp}s"} if number else {})
        for number, (shape, ramp) in enumerate(asked)
    ]
    whole = document(*phases)
    whole["window"]["duration"] = f"{window_ms}ms"
    scenario = parse(whole, "case")
    pieces = scenario.stretches
    assert pieces[0].begin_ns == 0
    assert [each.end_ns for each in pieces[:-1]] == [each.begin_ns for each in pieces[1:]]
    assert pieces[-1].end_ns == scenario.load_ns
    assert all(each.end_ns > each.begin_ns and each.level_start >= 0 for each in pieces)
    assert math.isfinite(scenario.offered_per_s)


def test_only_what_keeps_its_level_is_steady() -> None:
    phases = [{"duration": "10s", "rate": 5}, *(shaped(each) for each in SHAPES)]
    pieces = parse(document(*phases), "case").stretches
    steady = {each.name for each in pieces if each.phase is not None and each.steady}
    assert steady == {"1", "6"}  # the flat one and the bursts


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["flat", *SHAPES]), st.sampled_from(["0s", "3s", "10s"])),
        min_size=1,
        max_size=4,
    )
)
def test_a_threshold_over_the_steady_part_is_refused_where_nothing_is_steady(
    asked: list[tuple[str, str]],
) -> None:
    phases = [
        ({"duration": "10s", "rate": 5.0 + number} if shape == "flat" else shaped(shape))
        | ({"ramp": ramp} if number and shape in ("flat", "burst") else {})
        for number, (shape, ramp) in enumerate(asked)
    ]
    whole = document(*phases)
    pieces = parse(whole, "case").stretches
    is_steady = any(each.steady for each in pieces if each.phase is not None)
    whole["threshold"] = [{"metric": "latency", "expr": "p(95)<500ms", "over": "steady"}]
    if is_steady:
        parse(whole, "case")
        return
    (said,) = problems(whole).values()
    assert said.startswith("threshold.0.over: no part of this load is steady")
    assert "a phase's name" in said


def test_a_piece_is_read_back_from_what_is_stored_of_it() -> None:
    pieces = parse(document(*(shaped(each) for each in SHAPES)), "case").stretches
    assert tuple(stretch_of(asdict(each)) for each in pieces) == pieces


@pytest.mark.parametrize(
    ("phase", "key", "why"),
    [
        ({"shape": "sien", "rate": 1}, "shape", "did you mean 'sine'"),
        ({"shape": "sine", "low": 1}, "high", "needs low and high"),
        (shaped("sine", low=91), "low", "swap them"),
        (shaped("sine", low="6000/min"), "low", "swap them"),
        (shaped("sine", low="6 a minute"), "low", "not a rate"),
        (shaped("sine", rate=5), "rate", 'it is of shape = "flat" or shape = "burst"'),
        (shaped("sine", preiod="5s"), "preiod", "did you mean 'period'"),
        (shaped("step", steps=1), "steps", "greater than or equal to 2"),
        (shaped("spike", width="21s"), "width", "are left for both"),
        (shaped("spike", at="18s"), "width", "ends after its phase"),
        (shaped("spike", edge="3s"), "edge", "within its width"),
        (shaped("burst", size=0), "size", "greater than 0"),
        ({"shape": "burst", "every": "5s"}, "size", "needs size and every"),
        ({"rate": 5, "size": 7}, "size", 'it is of shape = "burst"'),
    ],
)
def test_keys_that_do_not_go_with_a_shape_are_refused_with_a_mend(
    phase: dict[str, Any], key: str, why: str
) -> None:
    whole = document({"duration": "20s"} | phase)
    assert why in problems(whole)[f"load.phase.0.{key}"]


def test_all_that_is_wrong_with_shapes_is_said_at_once() -> None:
    whole = document(
        {"duration": "20s", "shape": "sine"},
        {"duration": "20s", "shape": "step", "from": 1.5, "to": 3, "steps": 2},
        {"duration": "20s", "shape": "burst", "size": 3, "every": "1s"},
        model="closed",
    )
    assert set(problems(whole)) == {
        "load.phase.0.low",
        "load.phase.0.high",
        "load.phase.1.from",
        "load.phase.2.shape",
    }


def test_phases_that_ask_for_nothing_are_refused_and_bursts_ask_for_something() -> None:
    nothing = document(shaped("sine", low=0, high=0), {"duration": "1s", "rate": 0})
    assert "no phase has any load" in problems(nothing)["load.phase"]
    alone = document({"duration": "20s", "shape": "burst", "size": 3, "every": "1s"})
    assert parse(alone, "case").offered_per_s == pytest.approx(3)


def test_a_user_more_than_may_be_in_flight_is_found_in_every_shape() -> None:
    whole = document(shaped("sine"), model="closed", max_in_flight=89)
    assert "less than 90 users" in problems(whole)["load.max_in_flight"]


def test_a_rate_may_be_below_one_a_second_and_in_other_units() -> None:
    assert parsed("smoke", {"load.rate": "6/min"}).offered_per_s == pytest.approx(0.1)
    assert parsed("smoke", {"load.rate": 0.25}).offered_per_s == 0.25
    assert "greater than 0" in problems(changed("smoke", {"load.rate": "0/s"}))["load.rate"]


def test_exact_counts_belong_to_poisson_arrivals() -> None:
    assert parsed("smoke", {"load.exact": True}).load.exact
    wrong = changed("smoke", {"load.exact": True, "load.arrivals": "constant"})
    assert "constant arrivals are exact" in problems(wrong)["load.exact"]
    wrong = changed("light", {"load.exact": True})
    assert "closed model" in problems(wrong)["load.exact"]


@pytest.mark.parametrize(
    ("think", "mean_s"),
    [
        ({"dist": "exponential", "mean": "2s"}, 2),
        ({"dist": "lognormal", "median": "1s", "sigma": 1.0}, math.exp(0.5)),
    ],
)
def test_users_may_think_with_a_long_tail(think: dict[str, Any], mean_s: float) -> None:
    assert parsed("light", {"load.think": think}).offered_per_s == pytest.approx(100 / mean_s)


@pytest.mark.parametrize(
    ("think", "key", "why"),
    [
        ({"dist": "exponential"}, "mean", "needs it"),
        ({"dist": "lognormal", "high": "3s"}, "median", "needs it"),
        ({"dist": "lognormal", "high": "3s"}, "high", "takes median and sigma"),
        ({"dist": "uniform", "mean": "3s"}, "mean", "takes low and high"),
        ({"dist": "lognromal"}, "dist", "did you mean 'lognormal'"),
    ],
)
def test_think_times_that_contradict_themselves_are_refused(
    think: dict[str, Any], key: str, why: str
) -> None:
    assert why in problems(changed("light", {"load.think": think}))[f"load.think.{key}"]


def test_digests_of_what_uses_no_shape_are_what_they_were() -> None:
    """Else no run would compare with one from before there were shapes."""
    smoke = parsed("smoke", {})
    assert workload_digest(smoke)[:16] == "ab86091168817ef4"
    assert digest(smoke) != digest(parsed("smoke", {"load.exact": True}))
    one, other = (parse(document(shaped("sine", high=high)), "case") for high in (90, 91))
    assert workload_digest(one) != workload_digest(other)


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"users": 251, "load.ramp": "0s"}, "set load.ramp"),
        ({"users": 250, "load.ramp": "0s"}, None),
        ({"users": 2000, "load.ramp": "10s"}, None),
    ],
)
def test_a_crowd_that_comes_at_once_is_told_beforehand(
    values: dict[str, Any], why: str | None
) -> None:
    found = cautions(parsed("light", values))
    assert len(found) == (why is not None)
    assert why is None or why in found[0]


def test_jumps_between_phases_and_large_bursts_are_told_beforehand_too() -> None:
    jump = {"duration": "5s", "users": 300}
    calm = {"duration": "5s", "users": 10}
    (told,) = cautions(parse(document(calm, jump, calm, jump, model="closed"), "case"))
    assert "290 users come at once at the begin of '2' (2 such jumps)" in told
    eased = {**jump, "ramp": "2s"}
    assert not cautions(parse(document(calm, eased, calm, eased, model="closed"), "case"))
    (told,) = cautions(parse(document(shaped("burst", size=251)), "case"))
    assert "bursts of 251" in told


def test_no_built_in_scenario_makes_the_generator_late() -> None:
    assert [name for name in builtins() if cautions(parsed(name, {}))] == []


def test_a_plan_says_the_shape_in_words_and_what_to_mind(tmp_path: Path) -> None:
    path = tmp_path / "case.toml"
    path.write_text(_toml(document(*(shaped(each) for each in SHAPES), exact=True)))
    assert "ramp 10 to 50, 5 steps 10 to 50, spike 10 to 90 for 4.00 s, edges of 1.00 s, " in (
        text := plan_text(build([str(path)]))
    )
    assert "open, poisson, exact, " in text
    assert "sine 10 to 90 every 10.0 s, bursts of 30 every 5.00 s beside 2.00/s jobs/s" in text
    assert "warning" not in text
    crowd = plan_text(build(["light"], values={"users": 500, "load.ramp": "0s"}))
    assert "warning: light: 500 users come at once" in crowd


def _toml(whole: dict[str, Any]) -> str:
    load = whole["load"]
    lines = ['name = "case"', "[load]"]
    lines += [f"{key} = {_value(value)}" for key, value in load.items() if key != "phase"]
    for phase in load["phase"]:
        lines += ["[[load.phase]]", *(f"{key} = {_value(value)}" for key, value in phase.items())]
    lines += ["[window]", 'warmup = "2s"', "[[job]]", 'queue = "payments"']
    return "\n".join([*lines, "[gateway.payments]", 'median = "40ms"'])


def _value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value)
