"""Noticing that a sealed run was changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from perfkit.errors import NotARun
from perfkit.store import StoredRun, verify
from tests.sealed import Sketch, delivery, request, seal


@pytest.fixture
def run(tmp_path: Path) -> StoredRun:
    wanted = request(0)
    return seal(tmp_path, Sketch([wanted], [delivery(wanted)]))


def test_a_whole_run_is_clean(run: StoredRun) -> None:
    assert verify(run.path) == []


def test_a_changed_byte_is_noticed(run: StoredRun) -> None:
    path = run.path / "trial=0000" / "jobs.parquet"
    content = bytearray(path.read_bytes())
    content[20] ^= 1
    path.write_bytes(content)
    assert verify(run.path) == ["trial=0000/jobs.parquet is not the file that was sealed"]


def test_a_missing_file_is_noticed(run: StoredRun) -> None:
    (run.path / "trial=0000" / "trial.json").unlink()
    assert verify(run.path) == ["trial=0000/trial.json is missing"]


def test_rows_and_schema_are_checked_beside_the_hash(run: StoredRun) -> None:
    path = run.path / "trial=0000" / "calls.parquet"
    pq.write_table(pa.table({"other": [1]}), path)
    _relist(run, "trial=0000/calls.parquet", path, rows=0)
    assert verify(run.path) == ["trial=0000/calls.parquet is not in the schema of calls"]
    requests = run.path / "trial=0000" / "requests.parquet"
    _relist(run, "trial=0000/calls.parquet", requests, rows=7)
    shutil.copy(requests, path)
    assert "not in the schema" in verify(run.path)[0]
    _relist(run, "trial=0000/requests.parquet", requests, rows=7)
    assert "trial=0000/requests.parquet has 1 rows; 7 were sealed" in verify(run.path)


def test_files_that_were_added_are_noticed(run: StoredRun) -> None:
    shutil.copy(run.path / "trial=0000" / "jobs.parquet", run.path / "trial=0000" / "more.parquet")
    (run.path / "trial=0001.partial").mkdir()
    assert verify(run.path) == [
        "trial=0000/more.parquet is not listed in the manifest",
        "trial=0001.partial was never finished",
    ]


def test_a_listed_name_can_not_lead_out_of_the_run(run: StoredRun) -> None:
    _relist(run, "../../outside.parquet", run.path / "trial=0000" / "jobs.parquet", rows=1)
    with pytest.raises(NotARun, match=r"outside\.parquet' leads out of the run"):
        verify(run.path)


def test_a_damaged_table_is_refused_when_it_is_read(run: StoredRun) -> None:
    (run.path / "trial=0000" / "jobs.parquet").write_bytes(b"PAR1 torn")
    with pytest.raises(NotARun, match=r"jobs\.parquet can't be read"):
        run.table("jobs", 0)


def _relist(run: StoredRun, name: str, path: Path, rows: int) -> None:
    from perfkit.store.tables import digest

    manifest = json.loads((run.path / "manifest.json").read_text())
    manifest["files"][name] = {"rows": rows, "sha256": digest(path)}
    (run.path / "manifest.json").write_text(json.dumps(manifest))
