"""Runs of before: found again, chosen from a list, and a scenario's figures over time."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

import perfkit
from perfkit.api.history import example_run, list_runs, past_trials, resolve, resolve_run
from perfkit.clock import ManualClock
from perfkit.errors import NotARun, UsageError
from tests.fabricated import MS, NEW_YEAR_NS, SECOND, figures, passed, planned, write_run

DAY = 24 * 60  # minutes


@pytest.fixture
def results(tmp_path: Path) -> Path:
    for name, run_id, created in (
        ("first", "20260101-000000-aaaa", 1),
        ("smoke", "20260102-000000-bbbb", 2),
        ("first", "20260103-000000-cccc", 3),
    ):
        folder = tmp_path / name / run_id
        folder.mkdir(parents=True)
        manifest = {"status": "complete", "created_ns": created, "plan": []}
        (folder / "manifest.json").write_text(json.dumps(manifest))
    unsealed = tmp_path / "smoke" / "20260104-000000-dddd"
    unsealed.mkdir()
    (unsealed / "manifest.partial.json").write_text(json.dumps({"created_ns": 4, "owner": {}}))
    return tmp_path


@pytest.mark.parametrize(
    ("given", "found"),
    [
        (None, "20260103-000000-cccc"),
        ("first", "20260103-000000-cccc"),
        ("20260101-000000-aaaa", "20260101-000000-aaaa"),
        ("smoke/20260102-000000-bbbb", "20260102-000000-bbbb"),
        ("20260104-000000-dddd", "20260104-000000-dddd"),
    ],
)
def test_a_run_is_found_by_what_people_have_at_hand(
    results: Path, given: str | None, found: str
) -> None:
    assert resolve(given, results=results).name == found


def test_a_folder_is_taken_as_it_is(results: Path, tmp_path: Path) -> None:
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    assert resolve(str(folder), results=results) == folder


def test_what_is_not_there_is_named_with_where_to_look(results: Path) -> None:
    with pytest.raises(NotARun, match="perfkit list"):
        resolve("nothing", results=results)
    with pytest.raises(NotARun, match="did you mean 'smoke'"):
        resolve("smok", results=results)


def test_a_report_without_a_run_reads_the_example() -> None:
    assert resolve_run("").manifest["synthetic"] is True
    assert example_run("bad").manifest["status"] == "partial"


def test_there_are_two_examples() -> None:
    with pytest.raises(NotARun, match="good or bad"):
        example_run("ugly")


@pytest.fixture
def past(tmp_path: Path) -> Path:
    """Two weeks: heavy every day from the first to the tenth, a sweep, a killed run."""
    for day in range(10):
        write_run(
            tmp_path,
            "heavy",
            minutes=day * DAY,
            summary=passed(figures(p95_ms=100 + 10 * day)) if day != 4 else None,
        )
    sweep = [
        planned("light", f"workers={count}", trial, axes={"stack.workers": count})
        for trial, count in enumerate((1, 2, 4))
    ]
    bad = {"verdict": {"status": "FAIL"}, "trials": [figures(n, status="FAIL") for n in range(3)]}
    write_run(tmp_path, "light", minutes=11 * DAY, of=sweep, summary=bad, status="partial")
    write_run(tmp_path, "spike", minutes=12 * DAY, sealed=False, owner={})
    return tmp_path


@pytest.mark.parametrize(
    ("filters", "days"),
    [
        ({}, [12, 11, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0]),
        ({"name": "heavy", "limit": 2}, [9, 8]),
        ({"name": "[hs]*", "limit": 2}, [12, 9]),
        ({"status": "partial"}, [11]),
        ({"status": ["unsealed", "partial"]}, [12, 11]),
        ({"verdict": "fail"}, [11]),
        ({"verdict": "NONE"}, [12, 4]),
        ({"since": "5d"}, [12, 11, 9, 8]),
        ({"since": "2026-01-09"}, [12, 11, 9, 8]),
        ({"since": "2026-01-09T00:00+00:00", "name": "heavy"}, [9, 8]),
        ({"since": "2026-01-09T00:01", "name": "heavy"}, [9]),
        ({"axes": {"workers": 4}}, [11]),
        ({"axes": {"stack.workers": "4.0"}}, [11]),
        ({"axes": {"workers": 3}}, []),
        ({"name": "none*"}, []),
    ],
)
def test_a_list_holds_what_was_asked_for(
    past: Path, filters: dict[str, Any], days: list[int]
) -> None:
    clock = ManualClock(wall_ns=NEW_YEAR_NS + 13 * DAY * 60 * SECOND)
    entries = list_runs(results=past, clock=clock, **filters)
    assert [
        ((each.created_ns or 0) - NEW_YEAR_NS) // (DAY * 60 * SECOND) for each in entries
    ] == days


@pytest.mark.parametrize(
    ("filters", "words"),
    [
        ({"name": "hevy"}, "did you mean 'heavy'"),
        ({"name": "../heavy"}, "did you mean 'heavy'"),
        ({"status": "sealed"}, "complete, partial"),
        ({"verdict": "pas"}, "did you mean 'pass'"),
        ({"since": "last week"}, "7d"),
        ({"since": "-7d"}, "neither a time ago nor a date"),
        ({"since": "2026-02-30"}, "neither a time ago nor a date"),
        ({"axes": {"wokers": 4}}, "did you mean 'workers'"),
    ],
)
def test_a_filter_that_can_not_be_meant_is_refused(
    past: Path, filters: dict[str, Any], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        list_runs(results=past, **filters) or pytest.fail("an empty list says nothing")


def test_a_results_folder_that_was_named_must_be_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(NotARun, match="there is no results folder"):
        list_runs(results=tmp_path / "nowhere")
    monkeypatch.setenv("PERFKIT_RESULTS", str(tmp_path / "nowhere"))
    with pytest.raises(NotARun, match="there is no results folder"):
        past_trials("heavy")


def test_a_history_is_of_one_scenario_oldest_first_with_changes(past: Path) -> None:
    trials = past_trials("heavy", results=past)
    assert [each.figure("p95_ns") / MS for each in trials[:4]] == [100, 110, 120, 130]
    assert [round(each.change, 3) for each in trials[1:4]] == [0.1, 0.091, 0.083]
    assert math.isnan(trials[0].change)
    assert math.isnan(trials[4].change)  # it has no summary
    assert round(trials[5].change, 3) == round(150 / 130 - 1, 3)  # against the third, not the gap
    assert [each.run.run_id for each in past_trials("heavy", results=past, limit=2)] == [
        each.run.run_id for each in trials[-2:]
    ]


@pytest.mark.parametrize(
    "other",
    [
        {"host": {"fingerprint": "another"}},
        {"synthetic": True},
        {"of": [planned("heavy", digest="another")]},
        {"of": [planned("heavy", digest=None)]},
        {"host": {}},
        {"trials": [{"trial": 0, "outcome": "partial"}]},
        {"summary": passed(figures(status="INVALID"))},
        {"summary": passed(figures(p95_ns="inf"))},
    ],
)
def test_what_can_not_be_compared_is_not(tmp_path: Path, other: dict[str, Any]) -> None:
    write_run(tmp_path, minutes=0, summary=passed(figures(p95_ms=100)))
    write_run(tmp_path, minutes=1, **{"summary": passed(figures(p95_ms=900))} | other)
    write_run(tmp_path, minutes=2, summary=passed(figures(p95_ms=110)))
    changes = [each.change for each in past_trials("heavy", results=tmp_path)]
    assert [math.isnan(change) for change in changes] == [True, True, False]
    assert round(changes[2], 3) == 0.1


def test_the_history_frame_has_its_columns_with_and_without_rows(past: Path) -> None:
    frame = perfkit.history("light", results=past)
    assert list(frame["workers"]) == [1, 2, 4]
    assert list(frame["status"]) == ["FAIL"] * 3
    assert str(frame["created"].dtype).endswith("UTC]")
    assert list(frame.columns) == [*past_trials("light", results=past)[0].document(), "workers"]
    one = perfkit.history("light", results=past, axes={"workers": 2})
    assert list(one["label"]) == ["workers=2"]
    none = perfkit.history("light", results=past, verdict="PASS")
    assert none.empty
    assert list(none.columns) == list(frame.columns)[:-1]


def test_a_scenario_can_be_named_by_its_file(past: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.toml"
    file.write_text('name = "heavy"\n')
    assert len(past_trials(str(file), results=past)) == 10


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("hevy", "did you mean 'heavy'.*measured were heavy, light"),
        ("smoke", "perfkit run smoke"),
        ("spike", "perfkit repair"),
        ("none.toml", "none.toml'?: No such file"),
    ],
)
def test_a_scenario_that_was_not_measured_is_named(past: Path, name: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        past_trials(name, results=past)
