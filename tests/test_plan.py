"""Plans: what would run, decided before anything runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perfkit.errors import NotARun, ScenarioError, UsageError
from perfkit.plan import SUITE, Plan, build, parse_value, restore


def test_axes_are_fully_crossed_in_the_asked_order() -> None:
    plan = build(["first"], axes={"workers": [1, 2], "threads": [4, 8]})
    assert [trial.label for trial in plan.trials] == [
        "workers=1 threads=4",
        "workers=1 threads=8",
        "workers=2 threads=4",
        "workers=2 threads=8",
    ]
    assert [trial.scenario.stack.workers for trial in plan.trials] == [1, 1, 2, 2]


def test_a_label_has_a_boolean_as_the_scenario_writes_it() -> None:
    plan = build(["first"], axes={"stack.restart": [True, False]})
    assert [trial.label.partition("=")[2] for trial in plan.trials] == ["true", "false"]


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


def test_the_time_of_a_phased_load_is_the_sum_of_its_phases() -> None:
    assert 80e9 < build(["spike"]).least_ns < 90e9
    assert build(["spike"], values={"duration": "30s"}).least_ns == build(["spike"]).least_ns - 30e9


def test_every_bad_member_of_a_set_is_named_before_anything_runs(tmp_path: Path) -> None:
    pools = tmp_path / "pools.toml"
    pools.write_text(
        'name = "pools"\n[load]\nmodel = "open"\nrate = 20.0\n[[job]]\nqueue = "payments"\n'
        '[gateway.payments]\nmedian = "40ms"\n'
        '[[stack.pool]]\nname = "pay"\nqueues = ["payments"]\n'
    )
    with pytest.raises(ScenarioError) as caught:
        build(["light", str(pools), "heavvy"], axes={"workers": [1, 2, 4]})
    text = str(caught.value)
    assert "2 of 3 scenarios: 2 problems" in text
    assert text.count("no shared pool beside [[stack.pool]]") == 1  # not once for each variant
    assert f"{pools} workers=1: stack.workers" in text
    assert "did you mean 'heavy'?" in text


def test_a_suite_is_one_plan_with_axes() -> None:
    plan = build(SUITE, axes={"workers": [1, 2]}, values={"duration": "30s"}, name="suite")
    assert plan.name == "suite"
    assert [trial.scenario.name for trial in plan.trials[::2]] == list(SUITE)
    assert {trial.scenario.window_ns for trial in plan.trials} == {30_000_000_000}


def manifest_of(plan: Plan) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(json.dumps(plan.facts()))
    return {"name": plan.name, **document}


def test_a_plan_is_restored_from_the_manifest_as_it_was() -> None:
    plan = build(["first", "spike"], axes={"workers": [1, 2]}, repetitions=2)
    again = restore(manifest_of(plan))
    assert again == plan
    assert again.digest == plan.digest


def test_a_manifest_that_was_changed_holds_no_plan() -> None:
    manifest = manifest_of(build(["first"], axes={"workers": [1, 2]}))
    manifest["plan"][1]["document"]["load"]["rate"] = 201.0
    with pytest.raises(NotARun, match="not the one that was run"):
        restore(manifest)


@pytest.mark.parametrize("key", ["plan", "plan_digest", "scenarios"])
def test_a_manifest_without_a_plan_is_refused(key: str) -> None:
    manifest = manifest_of(build(["first"]))
    del manifest[key]
    with pytest.raises(NotARun, match="no plan that can be carried on"):
        restore(manifest)


def test_plans_that_ask_for_something_else_have_another_digest() -> None:
    plans = [
        build(["first"]),
        build(["first"], values={"seed": 2}),
        build(["first"], repetitions=2),
        build(["first"], axes={"workers": [2]}),
        build(["smoke"]),
    ]
    assert len({plan.digest for plan in plans}) == len(plans)


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


def test_faults_are_added_to_those_of_every_scenario_and_kept_in_the_plan() -> None:
    plan = build(["light", "smoke"], faults=["kill worker at 1s", "stop redis at 2s for 1s"])
    for trial in plan.trials:
        assert [(each.action, each.target) for each in trial.scenario.fault] == [
            ("kill", "worker"),
            ("stop", "redis"),
        ]
        assert len(trial.document["fault"]) == 2
    with pytest.raises(ScenarioError, match="outside the load"):
        build(["smoke"], faults=["kill worker at 1000s"])
    with pytest.raises(UsageError, match="is not ACTION TARGET at TIME"):
        build(["smoke"], faults=["kill worker"])
