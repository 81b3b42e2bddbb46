"""Opening a run, and refusing to."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from perfkit.errors import NotARun, RunNotSealed
from perfkit.records import SCHEMA_VERSION, TABLES
from perfkit.store import RunWriter, open_run
from tests.sealed import Sketch, delivery, request, seal


def test_an_opened_run_gives_back_what_was_written(tmp_path: Path) -> None:
    wanted = request(0, error='<b>&"')
    sealed = seal(tmp_path, Sketch([wanted], [delivery(wanted)]), Sketch())
    run = open_run(sealed.path)
    assert run.trials == (0, 1)
    assert run.table("requests", 0).to_pylist() == [wanted]
    assert run.table("jobs", 0).schema.equals(TABLES["jobs"])
    assert run.trial_facts(1)["label"] == "trial 1"
    assert run.facts(0).slots == 4
    assert [path.parent.name for path in run.parquet("calls")] == ["trial=0000", "trial=0001"]
    assert open_run(sealed.path / "manifest.json").path == sealed.path


def test_a_trial_that_is_not_there_is_named(tmp_path: Path) -> None:
    run = seal(tmp_path, Sketch())
    with pytest.raises(NotARun, match="has no trial 7"):
        run.table("jobs", 7)
    with pytest.raises(ValueError, match="no table 'job'"):
        run.table("job", 0)


def test_a_run_without_trials_can_be_opened(tmp_path: Path) -> None:
    assert seal(tmp_path, status="partial").trials == ()


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotARun, match="there is no folder"):
        open_run(tmp_path / "nothing")


def test_a_foreign_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(NotARun, match=r"it has no manifest\.json"):
        open_run(tmp_path)
    for foreign in ("not json", "[]", '{"name": "a web page"}', "\xff"):
        (tmp_path / "manifest.json").write_text(foreign, encoding="latin-1")
        with pytest.raises(NotARun) as caught:
            open_run(tmp_path)
        assert caught.value.exit_code == 2
        assert caught.value.mend


def test_a_manifest_that_lacks_something_is_refused(tmp_path: Path) -> None:
    run = seal(tmp_path, Sketch())
    manifest = json.loads((run.path / "manifest.json").read_text())
    del manifest["files"]
    (run.path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(NotARun, match="lacks 'files'"):
        open_run(run.path)


@pytest.mark.parametrize("version", [0, SCHEMA_VERSION + 1, 99])
def test_another_schema_is_refused_with_who_can_read_it(tmp_path: Path, version: int) -> None:
    run = seal(tmp_path, Sketch(), perfkit_version="9.1.0")
    manifest = json.loads((run.path / "manifest.json").read_text())
    (run.path / "manifest.json").write_text(json.dumps(manifest | {"schema_version": version}))
    with pytest.raises(NotARun, match=f"schema {version}.*schema {SCHEMA_VERSION}") as caught:
        open_run(run.path)
    assert "perfkit 9.1.0" in caught.value.mend


def test_the_mend_points_to_the_run_when_a_trial_or_its_parent_is_named(tmp_path: Path) -> None:
    run = seal(tmp_path, Sketch())
    with pytest.raises(NotARun) as caught:
        open_run(run.path / "trial=0000")
    assert str(run.path) in caught.value.mend
    with pytest.raises(NotARun) as caught:
        open_run(run.path.parent)
    assert str(run.path) in caught.value.mend


def test_a_run_that_is_being_measured_is_refused(tmp_path: Path) -> None:
    writer = RunWriter.create(tmp_path, "test", {})
    with pytest.raises(RunNotSealed, match=f"still being measured, by process {os.getpid()}"):
        open_run(writer.path)


def test_a_run_whose_owner_is_dead_wants_repair(tmp_path: Path) -> None:
    path = _abandoned(tmp_path)
    with pytest.raises(RunNotSealed, match="was not sealed") as caught:
        open_run(path)
    assert caught.value.mend == f"perfkit repair {path}"


def _abandoned(root: Path) -> Path:
    writer = RunWriter.create(root, "test", {"scenarios": {}, "plan": []})
    unsealed = writer.path / "manifest.partial.json"
    manifest = json.loads(unsealed.read_text())
    manifest["owner"]["started"] -= 1
    unsealed.write_text(json.dumps(manifest))
    return writer.path
