"""Every trial has a name of its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from perfkit import frames
from tests.sealed import Sketch, seal


def _titles(folder: Path, *facts: Mapping[str, object]) -> list[str]:
    run = seal(folder, *(Sketch(facts=each) for each in facts))
    found = list(frames.titles(run).values())
    assert frames.trials(run)["title"].tolist() == found
    return found


def test_where_labels_differ_they_are_the_names(tmp_path: Path) -> None:
    labels = ["workers=1", "workers=2"]
    assert _titles(tmp_path, *({"label": label} for label in labels)) == labels


def test_scenario_and_repetition_are_said_where_there_are_several(tmp_path: Path) -> None:
    label = {"label": "workers=1"}
    assert _titles(
        tmp_path,
        label | {"scenario": "first"},
        label | {"scenario": "light"},
        label | {"scenario": "light", "repetition": 1},
    ) == ["first, workers=1 #1", "light, workers=1 #1", "light, workers=1 #2"]


def test_a_trial_without_a_label_has_the_name_of_its_scenario(tmp_path: Path) -> None:
    assert _titles(tmp_path, {"label": ""}) == ["test"]


def test_names_that_would_be_alike_are_told_apart_by_the_trial(tmp_path: Path) -> None:
    same = {"label": "workers=1"}
    assert _titles(tmp_path, same, same) == ["workers=1 (trial 0)", "workers=1 (trial 1)"]


def test_an_arm_is_what_is_alike_but_for_workers_and_repetition(tmp_path: Path) -> None:
    axes = [
        {"stack.workers": 1, "load.rate": 90},
        {"stack.workers": 2, "load.rate": 90},
        {"stack.workers": 2, "load.rate": 10},
    ]
    run = seal(tmp_path, *(Sketch(facts={"axes": each}) for each in axes))
    first, second, third = frames.arms(run).values()
    assert first == second == ("test", "rate=90")
    assert third == ("test", "rate=10")
