"""The campaign of comparisons: a definition that can be carried out, and what it has left."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.api.comparing_plan import arms_of
from perfkit.api.runs import open_run
from perfkit.cli.choices import values_of
from perfkit.pairs import PAIRS, are_same, arm_of, pair_up
from perfkit.paths import checkout, example_data
from perfkit.plan import Plan
from tests.benchmarks import causes

ROOT = checkout() or Path()
WINDOWS = ("--warmup", "--duration", "--drain")


def planned(arguments: tuple[str, ...]) -> Plan:
    """What these arguments of ``perfkit`` would measure."""
    verb, first, *rest = arguments
    assert verb == "compare"
    assert rest.pop() == "--no-report"
    second = None if rest[0].startswith("--") else rest.pop(0)
    pairs = list(zip(rest[::2], rest[1::2], strict=True))
    windows = {flag.removeprefix("--"): value for flag, value in pairs if flag in WINDOWS}
    sets = values_of({**windows, "sets": [value for flag, value in pairs if flag == "--set"]})
    only = values_of({"sets": [value for flag, value in pairs if flag == "--set-b"]})
    a, b = arms_of(str(ROOT / first), second and str(ROOT / second), {}, only)
    return pair_up(a, b, pairs=PAIRS, values=sets)


@pytest.mark.parametrize("name", causes.steps())
def test_each_step_is_a_comparison_that_can_be_measured(name: str) -> None:
    plan = planned(causes.steps()[name])
    assert len(plan.trials) == 2 * PAIRS
    arms = {arm_of(trial): trial.scenario for trial in plan.trials}
    assert are_same(arms["A"], arms["B"]) == name.startswith("A/A")


def test_a_whole_campaign_has_six_of_a_thing_with_itself_and_each_cause_three_times(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("TURNS", raising=False)
    names = list(causes.steps())
    assert sum(name.startswith("A/A") for name in names) >= 6
    for cause in causes.CAUSES:
        assert sum(name.startswith(cause.name) for name in names) == 3


def test_of_a_comparison_it_says_whether_the_change_was_found() -> None:
    [row] = causes.rows(open_run(example_data() / "comparison"))
    assert row["found"] is True
    assert row["p"] <= causes.FOUND_AT
    assert row["pairs"] == 8
