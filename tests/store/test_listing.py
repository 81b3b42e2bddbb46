"""Listing runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfkit.clock import ManualClock
from perfkit.errors import UsageError
from perfkit.store import RunWriter, list_runs


def _run(root: Path, name: str, wall_s: int) -> RunWriter:
    clock = ManualClock(wall_ns=wall_s * 1_000_000_000)
    return RunWriter.create(root, name, {"scenarios": {}, "plan": [{}, {}]}, clock=clock)


def test_runs_are_listed_newest_first_sealed_or_not(tmp_path: Path) -> None:
    _run(tmp_path, "first", 1_000_000_000).seal("complete")
    _run(tmp_path, "smoke", 1_000_000_300)
    _run(tmp_path, "smoke", 1_000_000_200).seal("partial", "interrupted")
    entries = list_runs(tmp_path)
    assert [(each.name, each.state) for each in entries] == [
        ("smoke", "measuring"),
        ("smoke", "partial"),
        ("first", "complete"),
    ]
    assert [each.sealed for each in entries] == [False, True, True]
    assert entries[1].reason == "interrupted"
    assert entries[1].trials == 2
    assert entries[2].run_id == entries[2].path.name
    assert [each.name for each in list_runs(tmp_path, "first")] == ["first"]


def test_a_killed_run_is_listed_as_unsealed(tmp_path: Path) -> None:
    path = _run(tmp_path, "first", 1_000_000_000).path / "manifest.partial.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"owner": {"pid": 1}}))
    assert list_runs(tmp_path)[0].state == "unsealed"


def test_what_can_not_be_parsed_is_listed_and_says_so(tmp_path: Path) -> None:
    path = _run(tmp_path, "first", 1_000_000_000).seal("complete")
    (path / "manifest.json").write_text("{")
    entry = list_runs(tmp_path)[0]
    assert entry.state == "unreadable"
    assert entry.reason


def test_other_folders_are_no_runs(tmp_path: Path) -> None:
    (tmp_path / ".host" / "abc").mkdir(parents=True)
    (tmp_path / "first" / "notes").mkdir(parents=True)
    (tmp_path / "README.md").write_text("")
    assert list_runs(tmp_path) == []
    assert list_runs(tmp_path / "nowhere") == []


def test_a_name_can_not_leave_the_results_folder(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        list_runs(tmp_path, "../*")
