"""Plans: what would run, decided before anything runs."""

from __future__ import annotations

import pytest

from perfkit.errors import ScenarioError, UsageError
from perfkit.plan import build, parse_value


def test_axes_are_fully_crossed_in_the_asked_order() -> None:
    plan = build(["first"], axes={"workers": [1, 2], "threads": [4, 8]})
    assert [trial.label for trial in plan.trials] == [
        "workers=1 threads=4",
        "workers=1 threads=8",
        "workers=2 threads=4",
        "workers=2 threads=8",
    ]
    assert [trial.scenario.stack.workers for trial in plan.trials] == [1, 1, 2, 2]


def test_variants_of_one_repetition_share_their_seed() -> None:
    plan = build(["first"], axes={"workers": [1, 2, 4]}, repetitions=3)
    seeds = [{t.seed for t in plan.trials if t.repetition == r} for r in range(3)]
    assert all(len(each) == 1 for each in seeds)
    assert len(set.union(*seeds)) == 3


def test_the_first_repetition_uses_the_scenarios_own_seed() -> None:
    assert build(["first"]).trials[0].seed == 1


def test_the_same_arguments_make_the_same_plan() -> None:
    def once() -> list[tuple[str, int]]:
        plan = build(["first"], axes={"workers": [1, 2, 4]}, repetitions=4)
        return [(trial.label, trial.seed) for trial in plan.trials]

    assert once() == once()


def test_repetitions_are_shuffled_but_each_holds_every_variant() -> None:
    plan = build(["first"], axes={"workers": [1, 2, 3, 4]}, repetitions=5)
    orders = [[t.label for t in plan.trials if t.repetition == r] for r in range(5)]
    assert {tuple(sorted(order)) for order in orders} == {
        ("workers=1", "workers=2", "workers=3", "workers=4")
    }
    assert len({tuple(order) for order in orders}) > 1


def test_the_run_is_named_after_its_scenarios() -> None:
    assert build(["first", "smoke"]).name == "first-smoke"


def test_values_are_set_in_every_trial() -> None:
    plan = build(["first", "smoke"], values={"duration": "3s"})
    assert {trial.scenario.window.duration_ns for trial in plan.trials} == {3_000_000_000}


def test_the_time_it_takes_is_known_beforehand() -> None:
    plan = build(["smoke"])
    assert 12e9 < plan.least_ns < 20e9
    assert plan.most_ns == plan.least_ns + 30_000_000_000


def test_a_bad_variant_is_found_before_anything_runs() -> None:
    with pytest.raises(ScenarioError, match=r"stack\.workers"):
        build(["first"], axes={"workers": [1, 0]})


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"names": []}, "no scenario"),
        ({"names": ["first", "first"]}, "planned twice"),
        ({"names": ["first"], "axes": {"workers": []}}, "no values"),
        ({"names": ["first"], "axes": {"workers": [1, 1]}}, "names a value twice"),
        ({"names": ["first"], "axes": {"workers": [1]}, "values": {"workers": 2}}, "both set"),
        ({"names": ["first"], "repetitions": 0}, "repetitions"),
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(arguments: dict[str, object], why: str) -> None:
    with pytest.raises(UsageError, match=why):
        build(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("text", "value"),
    [("4", 4), ("2.5", 2.5), ("true", True), ("5s", "5s"), ('"x"', "x"), ("[1]", "[1]"), ("", "")],
)
def test_a_value_is_read_as_toml_would_and_else_as_text(text: str, value: object) -> None:
    assert parse_value(text) == value
