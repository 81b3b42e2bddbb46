"""Finding a run again: by path, id, name, or as the newest."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfkit.api.history import example_run, resolve, resolve_run
from perfkit.errors import NotARun


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


def test_a_report_without_a_run_reads_the_example() -> None:
    assert resolve_run("").manifest["synthetic"] is True
    assert example_run("bad").manifest["status"] == "partial"


def test_there_are_two_examples() -> None:
    with pytest.raises(NotARun, match="good or bad"):
        example_run("ugly")
