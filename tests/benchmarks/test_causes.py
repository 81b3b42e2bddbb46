"""The campaign of comparisons: a definition that can be carried out, and what it has left."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perfkit.api.comparing_plan import arms_of
from perfkit.api.runs import open_run
from perfkit.cli.choices import values_of
from perfkit.pairs import PAIRS, are_same, arm_of, pair_up
from perfkit.paths import checkout, example_data
from perfkit.plan import Plan
from perfkit.store.aa import AA
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


def committed(name: str) -> str:
    return (causes.MEASURED / name).read_text(encoding="utf-8")


def test_what_was_measured_has_every_step_and_the_ledger_every_comparison_of_a_thing_with_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    summary = json.loads(committed("compare.json"))
    monkeypatch.setenv("TURNS", str(summary["turns"]))
    told: dict[str, dict[str, Any]] = summary["comparisons"]
    assert set(told) == set(causes.steps())
    ledger = {entry.run: entry for entry in map(AA.parse, committed("aa.jsonl").splitlines())}
    same = {name: row for name, row in told.items() if name.startswith("A/A")}
    assert {row["run"] for row in same.values()} <= set(ledger)
    for row in same.values():
        assert ledger[row["run"]].alarm == row["found"]
