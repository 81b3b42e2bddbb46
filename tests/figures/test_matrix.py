"""The matrix of faults and configurations: words beside colours, expected beside observed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perfkit import figures
from perfkit.api import Reliability, reliability
from perfkit.figures import Chart
from tests.reliability import cell, document, trial

HOSTILE = "kill <b>worker</b> at 4s"


@pytest.fixture
def found(tmp_path: Path) -> Reliability:
    """A safe cell, one that loses jobs where none were expected, and one that nobody measured."""
    return _read(
        tmp_path,
        [cell(), cell(configuration="restarting"), cell(fault=HOSTILE)],
        [
            trial(),
            trial(turn=2, duplicated=7, recovered_s=4.0),
            trial(configuration="restarting", lost=4, why={"evicted by Redis": 4}),
            trial(configuration="restarting", turn=2, recovered_s="never", disturbed=True),
        ],
    )


def _read(folder: Path, cells: list[dict[str, Any]], trials: list[dict[str, Any]]) -> Reliability:
    (folder / "summary.json").write_text(json.dumps(document(cells, trials)))
    return reliability(folder)


def test_the_matrix_says_first_how_many_combinations_lose_jobs(found: Reliability) -> None:
    finding, *cells = figures.matrix(found.cells, found.configurations).plain.splitlines()
    assert finding == (
        "1 of 2 combinations lose jobs, 1 run jobs twice and lose none, 1 were not measured"
    )
    assert cells[0] == (
        "kill worker at 4s | base: runs jobs twice; expected: some twice, some redelivered; flows"
        " again within 8 s; observed: 3–7 twice, 5 redelivered; flows again after 3.10 s to 4.00 s"
    )


def test_a_cell_tells_by_words_what_its_colour_tells(found: Reliability) -> None:
    page = figures.matrix(found.cells, found.configurations).html
    body, _ = page.split("</table>")
    [losing] = [each for each in body.split("<td")[1:] if "loses jobs" in each]
    assert losing.startswith(" class=bad")
    assert "loses jobs ≠" in losing
    assert "expected: some twice" in losing
    assert "observed: 0–4 lost" in losing
    assert "<td class=zero>–</td>" in page  # a combination outside of the campaign


def test_names_from_a_file_can_not_become_tags(found: Reliability) -> None:
    for block in (
        figures.matrix(found.cells, found.configurations),
        figures.cells(found.cells),
        figures.commands(found.cells),
    ):
        assert "<b>worker" not in block.html
        assert "&lt;b&gt;worker" in block.html


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"duplicated": 0}, "safe"),
        ({}, "runs jobs twice"),
        ({"pending": 1}, "jobs stuck"),
        ({"stranded": 1, "lost": 1}, "loses jobs"),
        ({"lost": 1, "unexplained": 1}, "unexplained"),
    ],
)
def test_a_cell_is_named_by_the_worst_it_did(
    tmp_path: Path, changed: dict[str, Any], said: str
) -> None:
    made = _read(tmp_path, [cell()], [trial(**changed)])
    assert f"| base: {said}; " in figures.matrix(made.cells, made.configurations).plain


def test_what_differs_from_what_was_expected_comes_first(found: Reliability) -> None:
    finding, _, first, second, third = figures.cells(found.cells).plain.splitlines()
    assert finding == "1 of 2 combinations differ from what was expected"
    assert first.startswith("differs  kill worker at 4s  restarting  none: 0–4")
    assert "up to 4 lost, expected none (1 of 2 turns)" in first
    assert second.startswith("as expected  kill worker at 4s  base")
    assert third.startswith("not measured")


def test_each_loss_has_its_mechanism_beside_what_was_foreseen(found: Reliability) -> None:
    finding, _, *rows = figures.mechanisms(found.cells).plain.splitlines()
    assert finding == "2 mechanisms explain every job that was lost, kept back or run twice"
    [evicted] = [row for row in rows if "evicted" in row]
    assert evicted.startswith("loses jobs  kill worker at 4s  restarting  4  evicted by Redis")
    assert evicted.endswith("§3 SIGKILL one worker  what it held is handed out again")


def test_nothing_lost_has_no_mechanisms(tmp_path: Path) -> None:
    made = _read(tmp_path, [cell()], [trial(duplicated=0)])
    said = figures.mechanisms(made.cells).plain
    assert said == "No combination lost a job, kept one back or ran one twice."


def test_every_turn_is_a_dot_and_one_that_never_recovered_stands_apart(found: Reliability) -> None:
    chart = figures.recovery_times(found.trials)
    assert isinstance(chart, Chart)
    back, never = chart.panels[0].marks
    assert [each.name for each in (back, never)] == ["a turn", "a turn: not within the trial"]  # type: ignore[union-attr]
    assert sorted(back.x) == [3.1, 3.1, 4.0]  # type: ignore[union-attr]
    assert never.x[0] > 4.0  # type: ignore[union-attr]
    assert "1 of 2 combinations do not always recover within their trial" in chart.title
    assert "<svg" in chart.svg()
    assert chart.plotly()["data"]


def test_what_disturbed_the_measurement_is_said(found: Reliability) -> None:
    said = figures.recorded(found.recorded, found.trials).plain
    assert said.startswith("4 trials, measured 2026-11-24; beside 1 of them another measurement")
    assert "15d6  cpus  2" in said


def test_the_command_of_each_combination_is_there(found: Reliability) -> None:
    assert "perfkit run faults.toml --fault 'kill worker at 4s'" in (
        figures.commands(found.cells).plain
    )
