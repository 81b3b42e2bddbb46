"""``perfkit sweep``: the suite, resuming, and what can't be asked together."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfkit.api import measure
from perfkit.cli import main
from perfkit.cli.measuring import sweep as sweep_command
from perfkit.plan import SUITE, Plan


class Asked(Exception):
    """What the command line would have done."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Any]]:
    """Instead of measuring, note what was asked for."""
    calls: list[tuple[str, Any]] = []

    def note(name: str) -> Any:
        def called(what: Any, **_: Any) -> Any:
            calls.append((name, what))
            raise Asked

        return called

    monkeypatch.setattr(measure, "measure", note("measure"))
    monkeypatch.setattr(measure, "resume", note("resume"))
    return calls


def sweep(*arguments: str) -> None:
    with pytest.raises(Asked):
        sweep_command.main(list(arguments), standalone_mode=False)


def test_the_suite_is_one_run_of_all_its_scenarios(asked: list[tuple[str, Plan]]) -> None:
    sweep("--suite", "--duration", "30s")
    ((_, plan),) = asked
    assert plan.name == "suite"
    assert tuple(trial.scenario.name for trial in plan.trials) == SUITE
    assert {trial.scenario.window_ns for trial in plan.trials} == {30_000_000_000}


def test_the_suite_can_be_crossed_with_axes_and_repeated(asked: list[tuple[str, Plan]]) -> None:
    sweep("--suite", "--axis", "workers=1,2", "--repeat", "2")
    ((_, plan),) = asked
    assert len(plan.trials) == 2 * 2 * len(SUITE)


def test_scenarios_need_no_axis(asked: list[tuple[str, Plan]]) -> None:
    sweep("light", "heavy")
    assert [trial.label for trial in asked[0][1].trials] == ["light", "heavy"]


@pytest.mark.parametrize(
    ("arguments", "run"),
    [
        (["--resume"], None),
        (["--resume", "--no-report"], None),
        (["--resume", "20260101-000000-abcd"], "20260101-000000-abcd"),
        (["--resume=results/first/20260101-000000-abcd"], "results/first/20260101-000000-abcd"),
    ],
)
def test_what_is_resumed_can_be_named(
    asked: list[tuple[str, Any]], arguments: list[str], run: str | None
) -> None:
    sweep(*arguments)
    assert asked == [("resume", run)]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["no scenario was named", "perfkit scenarios"]),
        (["light", "--suite"], ["the suite has its own scenarios", "leave out the names"]),
        (["--resume", "x", "light"], ["plan of its run", "light"]),
        (["--resume", "--suite"], ["plan of its run", "--suite"]),
        (["--resume", "--axis", "workers=1,2"], ["plan of its run", "workers"]),
        (["--resume", "--rate", "5"], ["plan of its run", "load.rate"]),
        (["--resume", "--repeat", "2"], ["plan of its run", "--repeat"]),
        (["--resume"], ["is unfinished", "perfkit list"]),
        (["--resume", "nonsense"], ["there is no run 'nonsense'", "perfkit list"]),
        (["light", "havy"], ["there is no scenario 'havy'", "did you mean 'heavy'"]),
        (["spike", "--users", "5"], ["load.users", "load.phase.0.users"]),
        (["light", "--set", "threshold.99.expr=x"], ["the next is threshold.8"]),
        (["light", "--axis", "stack.pool.0.workers=1,2"], ["stack.workers", "no shared pool"]),
    ],
)
def test_what_can_not_be_asked_together_is_refused_before_anything_starts(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    words: list[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["sweep", *arguments, "--results", str(tmp_path)])
    said = capsys.readouterr()
    assert caught.value.code == 2
    assert said.out == ""
    for word in words:
        assert word in said.err
    assert list(tmp_path.iterdir()) == []
