"""Progress of long sweeps: which trial, and how long it still takes at least."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.cli.output import progress_view
from perfkit.clock import ManualClock
from perfkit.plan import SUITE, build, trial_ns
from perfkit.runner import Progress
from perfkit.runner.narrator import Narrator

S = 1_000_000_000


def test_the_time_that_is_left_counts_down_over_the_whole_suite() -> None:
    plan = build(SUITE, values={"duration": "30s"}, name="suite")
    told: list[Progress] = []
    clock = ManualClock()
    narrator = Narrator(plan, plan.trials, told.append, clock)
    for trial in plan.trials:
        narrator.begin(trial)
        narrator.say("start")
        clock.advance(trial_ns(trial.scenario)[0])
        narrator.say("collect")
        clock.advance(S)  # what no estimate knows
    narrator.say("sealed")
    assert [each.trial for each in told[::2]] == [*range(12), 11]
    assert {each.trials for each in told} == {12}
    assert told[0].left_s == pytest.approx(plan.least_ns / 1e9)
    left = [each.left_s for each in told]
    assert left == sorted(left, reverse=True)
    assert told[-1].left_s == 0


def test_a_resumed_run_counts_its_trials_by_the_plan_and_its_time_by_what_is_left() -> None:
    plan = build(["first"], axes={"workers": [1, 2, 3, 4]})
    todo = [plan.trials[1], plan.trials[3]]
    told: list[Progress] = []
    narrator = Narrator(plan, todo, told.append, ManualClock())
    narrator.begin(todo[0])
    narrator.say("start")
    narrator.begin(todo[1])
    narrator.say("start")
    one_s = trial_ns(plan.trials[0].scenario)[0] / 1e9
    assert [(each.trial, each.trials) for each in told] == [(1, 4), (3, 4)]
    assert [each.left_s for each in told] == pytest.approx([2 * one_s, one_s])


def test_a_resumed_run_of_which_nothing_is_left_can_say_that_it_is_sealed() -> None:
    plan = build(["first"])
    told: list[Progress] = []
    Narrator(plan, [], told.append, ManualClock()).say("sealed")
    assert told[0].left_s == 0


def test_a_beginning_says_of_a_stack_only_where_one_is_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    elsewhere = tmp_path / "orders.toml"
    elsewhere.write_text(
        'name = "orders"\nload = { model = "open", rate = 5.0 }\n'
        'target = { url = "http://orders.test/" }\n'
    )
    for plan, words in (
        (build(["light"]), "starting the stack"),
        (build([str(elsewhere)]), "starting the load generator"),
    ):
        with progress_view("plain") as show:
            Narrator(plan, plan.trials, show, ManualClock()).say("start")
        assert f"  {words}  " in capsys.readouterr().err


def test_lines_tell_a_long_time_in_minutes_and_a_short_one_in_seconds(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with progress_view("plain") as show:
        for trial, left_s in ((2, 734.0), (11, 42.4)):
            show(
                Progress(
                    phase="measure", trial=trial, trials=12, label="light", elapsed_s=9.0,
                    left_s=left_s,
                )
            )  # fmt: skip
    first, second = capsys.readouterr().err.splitlines()
    assert first.endswith("trial 3 of 12  light  measuring    about 12 m 14 s left")
    assert second.endswith("trial 12 of 12  light  measuring    about 42 s left")
