"""Tables that a trial may have: sealed and verified like the others, and missed by nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from perfkit.errors import NotARun
from perfkit.records import OPTIONAL, SCHEDULE, TABLES
from perfkit.store import RunWriter, open_run, repair, verify
from perfkit.store.tables import conform
from tests.sealed import Sketch, delivery, request, seal

PLANNED = [
    {"trial": 0, "offset_ns": offset, "user": None, "until_ns": None} for offset in (0, 5, 5, 9)
]


def unsealed(root: Path) -> RunWriter:
    """A run with one trial that has a schedule."""
    writer = RunWriter.create(root, "test", {"scenarios": {}, "plan": [{}]})
    trial = writer.trial(0)
    trial.write_table("schedule", pa.Table.from_pylist(PLANNED, SCHEDULE))
    wanted = request(0)
    Sketch([wanted], [delivery(wanted)]).write(writer, 0)
    return writer


def test_a_schedule_is_sealed_with_its_trial_and_read_back(tmp_path: Path) -> None:
    path = unsealed(tmp_path).seal("complete")
    run = open_run(path)
    assert run.table("schedule", 0).to_pylist() == PLANNED
    assert run.manifest["files"]["trial=0000/schedule.parquet"]["rows"] == 4
    assert verify(path) == []


def test_a_schedule_that_was_changed_or_lost_is_noticed(tmp_path: Path) -> None:
    path = unsealed(tmp_path).seal("complete")
    file = path / "trial=0000" / "schedule.parquet"
    content = file.read_bytes()
    file.write_bytes(content[:-1] + b"x")
    assert "not the file that was sealed" in verify(path)[0]
    file.unlink()
    assert "is missing" in verify(path)[0]


def test_the_schedule_of_a_killed_run_is_kept_by_its_repair(tmp_path: Path) -> None:
    path = unsealed(tmp_path).path
    (path / "trial=0000").rename(path / "trial=0000.partial")  # killed before its last rename
    manifest = path / "manifest.partial.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"owner": {"pid": 1}}))
    assert repair(path).rebuilt == (0,)
    assert open_run(path).table("schedule", 0).num_rows == 4
    assert verify(path) == []


def test_a_run_without_a_schedule_is_as_whole_as_before(tmp_path: Path) -> None:
    wanted = request(0)
    run = seal(tmp_path, Sketch([wanted], [delivery(wanted)]))
    assert verify(run.path) == []
    with pytest.raises(NotARun):
        run.table("schedule", 0)


def test_a_schedule_must_fit_its_schema() -> None:
    assert not set(OPTIONAL) & set(TABLES)
    with pytest.raises(ValueError, match="another trial"):
        conform("schedule", pa.Table.from_pylist(PLANNED, SCHEDULE), 1)
    with pytest.raises(ValueError, match="no table 'plan'"):
        conform("plan", pa.Table.from_pylist(PLANNED, SCHEDULE), 0)
