"""A run as text: every trial by the name it has everywhere, with what it was asked and got."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from perfkit.api.text import next_command, run_text, targets_text
from tests.examples import example


def test_each_trial_has_its_name_its_load_its_n_and_all_that_is_said_of_it() -> None:
    run = example("bad")
    lines = run_text(run).splitlines()
    [head] = [line for line in lines if line.lstrip().startswith("trial ")]
    assert head.split("  ")[1:2] == ["trial"]
    for column in ("offered", "came due", "achieved", " n ", "state"):
        assert column in head
    rows = lines[lines.index(head) + 1 :]
    for trial, row in zip(run.trials().to_dict("records"), rows, strict=False):
        assert row.lstrip().startswith(trial["title"])
        assert row.endswith(f"{trial['status'].lower()}, {trial['state']}")


def test_each_target_is_one_line_however_many_trials_there_are() -> None:
    run = example("bad")
    head, *lines = targets_text(run)
    assert head == "targets:"
    assert len(lines) == len({(each.metric, each.queue, each.expr) for each in run.thresholds()})
    assert lines[0].split("  ")[1].startswith("failed in ")
    [latency] = [line for line in lines if "latency of payments, P95" in line]
    assert "< 500 ms" in latency
    assert "claimed 187ms" in latency
    assert " at death (n " in latency or " at spike (n " in latency or " at errors" in latency
    assert "targets:" in run_text(run)


def test_a_target_that_does_not_apply_is_not_called_held() -> None:
    lines = targets_text(example("bad"))
    [needs] = [line for line in lines if "> 150/s" in line]
    assert needs.strip().startswith("not applicable at this load")
    assert "held" not in needs


def test_without_targets_nothing_is_said_of_them() -> None:
    assert targets_text(example("good")) == []


def planned(axes: dict[str, Any], known: dict[str, Any]) -> Any:
    """A run of one scenario, as far as the next command asks."""
    plan = [{"scenario": "mine", "axes": axes}]
    return SimpleNamespace(manifest={"plan": plan, "scenarios": {"mine": known}})


POOLS = {"document": {"stack": {"pool": [{"name": "a"}]}}}


@pytest.mark.parametrize(
    ("axes", "known", "command"),
    [
        ({}, {}, "perfkit sweep mine --axis workers=1,2,4"),
        ({}, {"source": "my own.toml"}, "perfkit sweep 'my own.toml' --axis workers=1,2,4"),
        (
            {"stack.workers": 1},
            {"source": "a.toml"},
            "perfkit sweep a.toml --workers 2 --axis preset=stock,low-latency",
        ),
        ({}, POOLS, "perfkit sweep mine --axis preset=stock,low-latency"),
        (
            {"stack.preset": "stock"},
            POOLS,
            "perfkit sweep mine --axis preset=stock,low-latency --repeat 3",
        ),
    ],
)
def test_the_next_command_can_be_typed_as_it_stands(
    axes: dict[str, Any], known: dict[str, Any], command: str
) -> None:
    assert next_command(planned(axes, known)) == command
