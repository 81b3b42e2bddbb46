"""Writing and sealing a run."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import pyarrow as pa
import pytest

from perfkit.clock import ManualClock
from perfkit.errors import ResultsNotWritable, UsageError
from perfkit.owner import this_process
from perfkit.records import CALLS, REQUESTS, SCHEMA_VERSION
from perfkit.store import RunWriter, open_run, verify
from perfkit.store import durable as durable_module
from tests.sealed import Sketch, delivery, facts, request, seal


def test_a_sealed_run_lists_every_file_with_its_rows_and_hash(tmp_path: Path) -> None:
    wanted = request(0)
    run = seal(tmp_path, Sketch([wanted], [delivery(wanted)]), Sketch())
    files = run.manifest["files"]
    assert len(files) == 12
    assert files["trial=0000/requests.parquet"]["rows"] == 1
    assert files["trial=0001/requests.parquet"]["rows"] == 0
    assert files["trial=0000/trial.json"]["rows"] is None
    assert all(len(each["sha256"]) == 64 for each in files.values())
    assert verify(run.path) == []


def test_sealing_leaves_no_trace_of_the_unsealed_state(tmp_path: Path) -> None:
    run = seal(tmp_path, Sketch())
    names = {path.name for path in run.path.iterdir()}
    assert names == {"manifest.json", "trial=0000"}
    assert "owner" not in run.manifest


def test_a_run_id_is_the_utc_time_and_four_hex_digits(tmp_path: Path) -> None:
    clock = ManualClock(wall_ns=1_767_323_045_000_000_000)
    writer = RunWriter.create(tmp_path, "test", {}, clock=clock)
    assert writer.path.name.startswith("20260102-030405-")
    assert len(writer.path.name) == 20
    assert writer.manifest["created_ns"] == 1_767_323_045_000_000_000


@pytest.mark.parametrize("name", ["..", ".", "../other", "/etc", "a/b", ".host", "", "a\0b"])
def test_a_name_can_not_leave_the_results_folder(tmp_path: Path, name: str) -> None:
    root = tmp_path / "results"
    with pytest.raises(UsageError, match="can't name a folder"):
        RunWriter.create(root, name, {})
    with pytest.raises(UsageError, match="can't name a folder"):
        RunWriter.create(root, "test", {}, run_id=name or "/")
    assert not list(root.rglob("manifest*"))


def test_a_results_folder_below_a_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ResultsNotWritable, match="--results DIR") as caught:
        RunWriter.create(tmp_path / "file" / "results", "test", {})
    assert caught.value.exit_code == 2


def test_a_nearly_full_disk_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = type(shutil.disk_usage(tmp_path))(total=10**9, used=10**9 - 4096, free=4096)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ResultsNotWritable, match=r"only 0 MiB are free.*needs 64 MiB"):
        RunWriter.create(tmp_path, "test", {})


def test_a_run_that_will_write_much_asks_for_more_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = 1000 * 1024**2
    usage = type(shutil.disk_usage(tmp_path))(total=2 * free, used=free, free=free)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    RunWriter.create(tmp_path, "test", {}, needs_bytes=936 * 1024**2)
    with pytest.raises(ResultsNotWritable, match=r"only 1000 MiB are free.*needs 1001 MiB"):
        RunWriter.create(tmp_path, "test", {}, needs_bytes=936 * 1024**2 + 1)


def test_what_was_killed_before_it_had_a_name_is_cleared(tmp_path: Path) -> None:
    killed, creating, bare, new = (tmp_path / "test" / f".{n}.new" for n in "abcd")
    for folder, owner in ((killed, {"pid": 1}), (creating, this_process())):
        folder.mkdir(parents=True)
        (folder / "manifest.partial.json").write_text(json.dumps({"owner": owner}))
    bare.mkdir()
    os.utime(bare, (1, 1))
    new.mkdir()
    writer = RunWriter.create(tmp_path, "test", {})
    assert set((tmp_path / "test").iterdir()) == {creating, new, writer.path}


def test_a_disk_that_fills_while_measuring_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = RunWriter.create(tmp_path, "test", {})
    trial = writer.trial(0)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(durable_module.os, "fsync", full)
    with pytest.raises(ResultsNotWritable, match="no room left"):
        trial.write_table("calls", CALLS.empty_table())


def test_a_table_must_be_in_the_schema_of_its_kind(tmp_path: Path) -> None:
    trial = RunWriter.create(tmp_path, "test", {}).trial(0)
    with pytest.raises(ValueError, match="no table 'job'"):
        trial.write_table("job", CALLS.empty_table())
    with pytest.raises(ValueError, match="must have the columns"):
        trial.write_table("calls", CALLS.empty_table().drop_columns(["key"]))
    with pytest.raises(ValueError, match=r"requests.*key"):
        trial.write_table("requests", _requests(request(0, key=None)))
    with pytest.raises(ValueError, match="rows of another trial than 0"):
        trial.write_table("requests", _requests(request(0, trial=1)))
    with pytest.raises(ValueError, match="facts of trial 3"):
        trial.write_facts(facts(3))


def _requests(row: dict[str, object]) -> pa.Table:
    loose = pa.schema([field.with_nullable(True) for field in REQUESTS])
    return pa.Table.from_pylist([row], loose)


def test_a_trial_is_not_finished_before_it_is_whole(tmp_path: Path) -> None:
    trial = RunWriter.create(tmp_path, "test", {}).trial(0)
    trial.write_facts(facts())
    with pytest.raises(ValueError, match=r"lacks requests\.parquet"):
        trial.finish()
    assert trial.path.name == "trial=0000.partial"


def test_what_was_not_finished_is_lost_when_the_run_is_sealed(tmp_path: Path) -> None:
    writer = RunWriter.create(tmp_path, "test", {"scenarios": {}, "plan": []})
    Sketch().write(writer, 0)
    writer.trial(1).write_facts(facts(1))
    writer.fail(2, "Redis did not start")
    run = open_run(writer.seal("partial", "interrupted"))
    assert [each["outcome"] for each in run.manifest["trials"]] == ["complete", "failed", "failed"]
    assert run.manifest["trials"][2]["reason"] == "Redis did not start"
    assert run.trials == (0,)
    assert (run.path / "lost" / "trial=0001.partial" / "trial.json").is_file()
    assert verify(run.path) == []


def test_the_manifest_can_be_amended_while_measuring(tmp_path: Path) -> None:
    writer = RunWriter.create(tmp_path, "test", {"scenarios": {}, "plan": [1]})
    writer.amend(plan=[1, 2])
    shown = json.loads((writer.path / "manifest.partial.json").read_text())
    assert shown["plan"] == [1, 2]
    assert shown["owner"]["pid"]


def test_a_caller_can_not_set_what_the_store_sets(tmp_path: Path) -> None:
    run = seal(tmp_path, Sketch(), run_id="elsewhere", schema_version=99)
    assert run.manifest["run_id"] == run.path.name
    assert run.manifest["schema_version"] == SCHEMA_VERSION


def test_no_password_reaches_the_disk_in_a_reason(tmp_path: Path) -> None:
    words = "can't reach redis://:s3cr3t@127.0.0.1:6379/0"
    writer = RunWriter.create(tmp_path, "test", {"scenarios": {}, "plan": [{}]})
    writer.fail(0, words)
    run = open_run(writer.seal("partial", words))
    assert b"s3cr3t" not in (run.path / "manifest.json").read_bytes()
    assert run.manifest["reason"] == "can't reach redis://:***@127.0.0.1:6379/0"
    assert run.manifest["trials"][0]["reason"] == run.manifest["reason"]
    assert verify(run.path) == []


def test_no_password_reaches_the_disk(tmp_path: Path) -> None:
    url = "redis://:s3cr3t@127.0.0.1:6379/0"
    run = seal(
        tmp_path,
        Sketch(facts={"reason": f"can't reach {url}"}),
        command=["perfkit", "run", "smoke", "--redis", url, "--password", "s3cr3t"],
        redis={"config": {"url": url}},
    )
    written = b"".join(path.read_bytes() for path in run.path.rglob("*") if path.is_file())
    assert b"s3cr3t" not in written
    assert run.manifest["command"][4] == "redis://:***@127.0.0.1:6379/0"
