"""Summaries of a campaign: read, judged against what was expected, refused when they are none."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfkit.api import Reliability, reliability
from perfkit.errors import NotARun
from tests.reliability import cell, document, in_columns, trial

Written = Callable[..., Path]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Writes a summary and says where."""

    def write(trials: list[dict[str, Any]], **expected: Any) -> Path:
        made = document([cell(**expected)], trials)
        (tmp_path / "summary.json").write_text(json.dumps(made))
        return tmp_path

    return write


def deviations(found: Reliability) -> tuple[str, ...]:
    [row] = found.cells.to_dict("records")
    return tuple(row["deviations"])


def test_a_cell_has_the_spread_of_its_turns(written: Written) -> None:
    folder = written(
        [trial(turn=turn, duplicated=turn, recovered_s=2.0 * turn) for turn in (1, 2, 3)]
    )
    [row] = reliability(folder).cells.to_dict("records")
    assert [row[f"duplicated_{of}"] for of in ("least", "median", "most")] == [1, 2, 3]
    assert (row["recovered_least_s"], row["recovered_s"], row["recovered_most_s"]) == (
        2.0,
        4.0,
        6.0,
    )
    assert row["turns"] == 3
    assert row["why"] == {"its worker died": 6}
    assert row["deviations"] == ()


def test_stuck_jobs_are_those_in_a_list_and_those_in_an_ack_set(written: Written) -> None:
    found = reliability(written([trial(pending=2, stranded=3)], stuck="some"))
    assert found.trials["stuck"].tolist() == [5]
    assert deviations(found) == ()


def test_what_was_not_expected_is_told_with_the_number_of_turns(written: Written) -> None:
    found = reliability(written([trial(turn=1), trial(turn=2, lost=4)]))
    assert deviations(found) == ("up to 4 lost, expected none (1 of 2 turns)",)


def test_what_was_expected_of_every_turn_is_missed_when_one_has_none(written: Written) -> None:
    found = reliability(written([trial(turn=1), trial(turn=2, duplicated=0)]))
    assert deviations(found) == ("none run twice in 1 of 2 turns, expected some",)


def test_a_recovery_that_took_longer_than_expected_deviates(written: Written) -> None:
    assert deviations(reliability(written([trial(recovered_s=9.5)]))) == (
        "time to recover: 9.50 s, expected within 8.00 s",
    )
    never = reliability(written([trial(recovered_s="never")]))
    assert deviations(never) == ("time to recover: not within the trial, expected within 8.00 s",)
    assert deviations(reliability(written([trial(recovered_s="never")], within_s="never"))) == ()


def test_an_unexplained_job_and_disagreeing_books_deviate_whatever_was_expected(
    written: Written,
) -> None:
    found = reliability(written([trial(unexplained=1, agree=False)]))
    assert deviations(found) == (
        "1 unexplained",
        "the books or the independent counters disagree in 1 of 1 turns",
    )


def test_a_fault_that_did_not_happen_is_no_observation_as_expected(written: Written) -> None:
    missed = trial(happened=False, redelivered=None, recovered_s=None, error="no worker lives")
    found = reliability(written([missed]))
    assert "the fault was not carried out in 1 of 1 turns" in deviations(found)
    assert math.isnan(found.cells["recovered_s"].iloc[0])


def test_a_cell_without_trials_is_there_and_says_so(written: Written) -> None:
    [row] = reliability(written([])).cells.to_dict("records")
    assert row["turns"] == 0
    assert math.isnan(row["lost_most"])
    assert row["deviations"] == ()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reliability": 1}, "version 1, this perfkit reads 2"),
        ({"trials": None}, "it has no trials"),
        ({"cells": [{"fault": "kill worker at 4s"}]}, "cell 0 is not whole"),
        ({"cells": [cell(lost="often")]}, "lost is one of none, possible, some"),
        (in_columns([trial(fault="another at 1s")]), "trial 0 belongs to no cell"),
        (in_columns([{"turn": 1}]), "trial 0 lacks"),
        ({"trials": [[1]]}, "trial 0 lacks"),
        (in_columns([trial(recovered_s="soon")]), "'soon' is not a number"),
    ],
)
def test_a_file_that_is_no_summary_is_refused_with_the_reason(
    tmp_path: Path, change: dict[str, Any], said: str
) -> None:
    (tmp_path / "summary.json").write_text(json.dumps(document([cell()], []) | change))
    with pytest.raises(NotARun, match=said):
        reliability(tmp_path)


@pytest.mark.parametrize("content", [None, "", "[]", "{}", "\x00"])
def test_a_folder_without_a_summary_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "summary.json").write_text(content)
    with pytest.raises(NotARun, match="make campaign PART=faults"):
        reliability(tmp_path)
