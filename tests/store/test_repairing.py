"""Repairing what a killed perfkit left behind."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest

from perfkit.errors import NotARun, RunNotSealed
from perfkit.records import TABLES
from perfkit.store import RunWriter, TrialWriter, open_run, repair, verify
from tests.sealed import Sketch, delivery, facts, request, seal


def _killed(root: Path) -> Path:
    """A run with one whole trial and two unfinished ones, whose owner is dead."""
    writer = RunWriter.create(root, "test", {"scenarios": {}, "plan": [{}, {}, {}]})
    wanted = request(0)
    Sketch([wanted], [delivery(wanted)]).write(writer, 0)
    (writer.trial(1).path / "spool").mkdir()
    writer.trial(2).write_facts(facts(2))
    (writer.path / "trial=0002.partial" / "jobs.parquet").write_bytes(b"PAR1 torn")
    unsealed = writer.path / "manifest.partial.json"
    unsealed.write_text(json.dumps(json.loads(unsealed.read_text()) | {"owner": {"pid": 1}}))
    return writer.path


def _rebuild(folder: Path) -> None:
    """What the measuring wing does, in small: tables from what a trial left."""
    if not (folder / "spool").is_dir():
        raise KeyError("no spool")
    index = int(folder.name.removeprefix("trial=").removesuffix(".partial"))
    trial = TrialWriter(folder.parent, index)
    for kind, schema in TABLES.items():
        trial.write_table(kind, pa.Table.from_pylist([], schema))
    trial.write_facts(facts(index))


def test_whole_trials_stay_and_unfinished_ones_are_lost_without_a_rebuilder(
    tmp_path: Path,
) -> None:
    path = _killed(tmp_path)
    report = repair(path)
    assert (report.kept, report.rebuilt, report.lost) == ((0,), (), (1, 2))
    run = open_run(path)
    assert run.manifest["status"] == "partial"
    assert run.trials == (0,)
    assert [each["outcome"] for each in run.manifest["trials"]] == ["complete", "failed", "failed"]
    assert (path / "lost" / "trial=0001.partial" / "spool").is_dir()
    assert verify(path) == []


def test_an_unfinished_trial_is_rebuilt_and_marked_partial(tmp_path: Path) -> None:
    path = _killed(tmp_path)
    report = repair(path, _rebuild)
    assert (report.kept, report.rebuilt, report.lost) == ((0,), (1,), (2,))
    assert "KeyError" in report.notes[0]
    run = open_run(path)
    assert run.trials == (0, 1)
    assert run.facts(0).outcome == "complete"
    assert run.facts(1).outcome == "partial"
    assert run.facts(1).reason == "perfkit ended before the run was done"
    assert verify(path) == []


def test_a_trial_that_only_lacked_its_name_keeps_its_tables(tmp_path: Path) -> None:
    path = _killed(tmp_path)
    (path / "trial=0000").rename(path / "trial=0000.partial")
    assert repair(path).rebuilt == (0,)
    assert open_run(path).table("requests", 0).num_rows == 1


def test_a_rebuilder_that_makes_nothing_loses_the_trial(tmp_path: Path) -> None:
    report = repair(_killed(tmp_path), lambda _: None)
    assert report.lost == (1, 2)
    assert "requests.parquet was not written" in report.notes[0]


def test_a_sealed_run_is_left_alone(tmp_path: Path) -> None:
    path = seal(tmp_path, Sketch()).path
    before = (path / "manifest.json").read_bytes()
    (path / "manifest.partial.json").write_text("{}")
    assert not repair(path).repaired
    assert (path / "manifest.json").read_bytes() == before
    assert not (path / "manifest.partial.json").exists()


def test_a_folder_that_never_got_its_name_is_cleared(tmp_path: Path) -> None:
    path = _killed(tmp_path)
    unnamed = path.with_name(".20260102-030405-abcd.new")
    unnamed.mkdir()
    (unnamed / "manifest.partial.json").write_text('{"owner": {"pid": 1}}')
    repair(path)
    assert list(path.parent.iterdir()) == [path]


def test_a_run_is_repaired_once(tmp_path: Path) -> None:
    path = _killed(tmp_path)
    assert repair(path).repaired
    assert not repair(path).repaired


def test_a_living_owner_is_not_robbed(tmp_path: Path) -> None:
    writer = RunWriter.create(tmp_path, "test", {})
    with pytest.raises(RunNotSealed, match="still being measured"):
        repair(writer.path)


def test_a_foreign_folder_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "trial=0000.partial").mkdir()
    with pytest.raises(NotARun):
        repair(tmp_path)
    assert (tmp_path / "trial=0000.partial").is_dir()
