"""Carrying on an interrupted run: what is refused, what is kept, and that draws are the same."""

from __future__ import annotations

import json
import os
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from perfkit import __version__
from perfkit.api.comparing import resume_comparison
from perfkit.api.measure import resume, unfinished
from perfkit.errors import NotARun, PerfkitError, RunNotSealed, UsageError
from perfkit.launcher.server import find_server
from perfkit.paths import checkout
from perfkit.plan import build
from perfkit.runner import Options
from perfkit.runner.resuming import resumable
from perfkit.store import RunWriter, open_run, verify
from perfkit.store.tables import digest
from perfkit.telemetry.facts import HostFacts, git_state, versions
from tests.runner.conftest import Measuring, Start
from tests.sealed import Sketch
from tests.waiting import wait_until

SHORT = (
    "--rate", "60", "--warmup", "300ms", "--duration", "1500ms", "--drain", "15s", "--no-report",
)  # fmt: skip


def begun(root: Path, *outcomes: dict[str, Any], **manifest: Any) -> Path:
    """A partial run of four trials on this host, of which these are there."""
    plan = build(["first"], axes={"workers": [1, 2, 3, 4]})
    git = git_state(checkout())
    writer = RunWriter.create(
        root,
        plan.name,
        {
            **plan.facts(),
            "perfkit_version": __version__,
            "git": asdict(git) if git is not None else None,
            "host": asdict(HostFacts.read()),
            "versions": versions(),
            "redis": None,
            **manifest,
        },
    )
    for index, outcome in enumerate(outcomes):
        Sketch(facts=outcome).write(writer, index)
    return writer.seal("partial", "interrupted")


def options(root: Path, **given: Any) -> Options:
    return Options(results=root, **given)


CUT = {"outcome": "partial", "reason": "interrupted"}
ABORTED = {"outcome": "partial", "reason": "aborted: ...", "aborted": {"text": "..."}}


def test_complete_and_aborted_trials_are_kept_and_all_others_measured(tmp_path: Path) -> None:
    found = resumable(begun(tmp_path, {}, ABORTED, CUT), options(tmp_path))
    assert [trial.index for trial in found.todo] == [2, 3]
    assert [trial.label for trial in found.todo] == ["workers=3", "workers=4"]
    assert found.plan == build(["first"], axes={"workers": [1, 2, 3, 4]})


def test_a_run_whose_owner_was_killed_is_sealed_first(tmp_path: Path) -> None:
    path = begun(tmp_path, {}, CUT)
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").unlink()
    (path / "manifest.partial.json").write_text(json.dumps({**manifest, "owner": {}}))
    assert [trial.index for trial in resumable(path, options(tmp_path)).todo] == [1, 2, 3]
    assert open_run(path).manifest["status"] == "partial"


def test_a_run_that_is_still_being_measured_is_refused(tmp_path: Path) -> None:
    plan = build(["first"])
    writer = RunWriter.create(tmp_path, plan.name, plan.facts())
    with pytest.raises(RunNotSealed, match="still being measured"):
        resumable(writer.path, options(tmp_path))


def test_a_complete_run_is_refused(tmp_path: Path) -> None:
    plan = build(["first"])
    writer = RunWriter.create(tmp_path, plan.name, plan.facts())
    Sketch().write(writer, 0)
    path = writer.seal("complete")
    with pytest.raises(UsageError, match="is complete"):
        resumable(path, options(tmp_path))


FOREIGN = {"private": False, "url": "redis://:***@elsewhere:6379/0"}


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        ({"perfkit_version": "0.0.1"}, r"perfkit 0\.0\.1 measured it, and this is"),
        ({"git": {"commit": "f" * 40, "dirty": False}}, "commit ffffffffff measured it"),
        ({"host": {"fingerprint": "another"}}, "another host"),
        ({"versions": versions() | {"dramatiq": "0.1"}}, "dramatiq was 0.1, and is"),
        ({"plan": [{}]}, "no plan that can be carried on"),
        ({"redis": FOREIGN}, "name the same server with --redis URL"),
        ({"redis": {"private": True, "binary_sha256": "x", "binary": "/r"}}, "another server"),
    ],
)
def test_what_would_mix_measurements_is_refused_and_the_run_stays_as_it_was(
    tmp_path: Path, manifest: dict[str, Any], why: str
) -> None:
    path = begun(tmp_path, {}, CUT, **manifest)
    before = {file: digest(file) for file in path.rglob("*") if file.is_file()}
    with pytest.raises(UsageError, match=why):
        resume(path, results=tmp_path, report=False)
    assert {file: digest(file) for file in path.rglob("*") if file.is_file()} == before


def test_all_that_differs_is_named_at_once(tmp_path: Path) -> None:
    path = begun(tmp_path, {}, perfkit_version="0.0.1", host={"fingerprint": "another"})
    with pytest.raises(UsageError, match=r"0\.0\.1.*another host"):
        resumable(path, options(tmp_path))


def test_a_run_of_another_schema_is_refused(tmp_path: Path) -> None:
    path = begun(tmp_path, {})
    manifest = json.loads((path / "manifest.json").read_text())
    (path / "manifest.json").write_text(json.dumps({**manifest, "schema_version": 99}))
    with pytest.raises(NotARun, match="schema 99"):
        resumable(path, options(tmp_path))


def test_the_redis_of_the_beginning_is_taken_again(tmp_path: Path) -> None:
    private = {"private": True, "binary_sha256": find_server().sha256, "binary": "/r"}
    assert resumable(begun(tmp_path, {}, redis=private), options(tmp_path)).todo
    with pytest.raises(UsageError, match="begun on a private Redis"):
        resumable(begun(tmp_path, {}, redis=private), options(tmp_path, redis_url="redis://x:1/0"))
    foreign = options(tmp_path, redis_url="redis://:hunter2@elsewhere:6379/0")
    assert resumable(begun(tmp_path, {}, redis=FOREIGN), foreign).todo


def test_a_name_finds_its_run_and_no_name_the_newest_that_is_unfinished(tmp_path: Path) -> None:
    with pytest.raises(NotARun, match="is unfinished"):
        resume(results=tmp_path)
    path = begun(tmp_path, {}, perfkit_version="0.0.1")
    for name in (None, path, str(path), path.name, f"{path.parent.name}/{path.name}"):
        with pytest.raises(UsageError, match=rf"{path.name} can't be resumed here"):
            resume(name, results=tmp_path)
    with pytest.raises(NotARun, match="there is no run 'other'"):
        resume("other", results=tmp_path)


# Real sweeps, interrupted and killed.


def rows(folder: Path, trial: int, *columns: str) -> list[tuple[Any, ...]]:
    table = pq.read_table(folder / f"trial={trial:04d}" / "requests.parquet")
    return sorted(zip(*(table[column].to_pylist() for column in columns), strict=True))


def draws(folder: Path, trial: int) -> list[tuple[Any, ...]]:
    """What was drawn for every request: its key, queue and instant from the start of load."""
    facts = json.loads((folder / f"trial={trial:04d}" / "trial.json").read_text())
    start_ns = facts["instants_ns"]["load_start"]
    found = rows(folder, trial, "key", "queue", "intended_ns")
    return [(key, queue, at_ns - start_ns) for key, queue, at_ns in found]


def outcomes(folder: Path) -> list[tuple[int, str]]:
    manifest = json.loads((folder / "manifest.json").read_text())
    return [(each["trial"], each["outcome"]) for each in manifest["trials"]]


def in_its_second_trial(run: Measuring, of: int) -> None:
    run.until_it_says(f"trial 2 of {of}")
    wait_until(lambda: (run.run_folder() / "trial=0000").is_dir(), 10, "the first is whole")


def test_a_sweep_that_was_killed_goes_on_where_it_was(measuring: Start) -> None:
    run = measuring("sweep", "smoke", "--axis", "threads=4,8", *SHORT)
    in_its_second_trial(run, 2)
    os.kill(run.process.pid, signal.SIGKILL)
    run.code()
    folder = run.run_folder()
    first = {file.name: digest(file) for file in (folder / "trial=0000").iterdir()}

    again = measuring("sweep", "--resume", "--no-report")
    assert again.code(120) == 0, again.said()
    assert again.run_folder() == folder
    assert "trial 2 of 2" in again.said()
    assert "trial 1 of 2" not in again.said()
    assert verify(folder) == []
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert outcomes(folder) == [(0, "complete"), (1, "complete")]
    assert {file.name: digest(file) for file in (folder / "trial=0000").iterdir()} == first
    assert draws(folder, 0) == draws(folder, 1)
    assert [each["trials"] for each in manifest["resumed"]] == [[1]]


@pytest.mark.full
def test_a_resume_that_is_interrupted_can_be_resumed(measuring: Start) -> None:
    run = measuring("sweep", "smoke", "--axis", "threads=4,6,8", *SHORT)
    in_its_second_trial(run, 3)
    run.send(signal.SIGTERM)
    run.code()
    second = measuring("sweep", "--resume", run.run_folder().name, "--no-report")
    second.until_it_says("trial 3 of 3")
    second.send(signal.SIGTERM)
    assert second.code() == 130, second.said()
    assert dict(outcomes(run.run_folder()))[1] == "complete"
    third = measuring("sweep", "--resume", str(run.run_folder()), "--no-report")
    assert third.code(120) == 0, third.said()
    assert "trial 2 of 3" not in third.said()
    manifest = json.loads((run.run_folder() / "manifest.json").read_text())
    assert [each["trials"] for each in manifest["resumed"]] == [[1, 2], [2]]
    refused = measuring("sweep", "--resume", str(run.run_folder()))
    assert refused.code() == 2
    assert "is complete" in refused.said()


@pytest.mark.full
def test_a_run_with_a_trial_that_failed_measures_that_one_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from perfkit.api.measure import measure
    from perfkit.runner import conductor

    real = conductor.run_trial

    def failing(trial: Any, *arguments: Any, **named: Any) -> bool:
        if trial.index == 0:
            raise PerfkitError("redis was killed by SIGKILL")
        return real(trial, *arguments, **named)

    values = {"warmup": "300ms", "duration": "1s", "drain": "15s", "rate": 40.0}
    plan = build(["smoke"], values=values, axes={"threads": [4, 8]})
    monkeypatch.setattr(conductor, "run_trial", failing)
    run = measure(plan, results=tmp_path, report=False)
    assert outcomes(run.path) == [(0, "failed"), (1, "complete")]
    assert run.manifest["reason"] == "1 trial failed"
    monkeypatch.setattr(conductor, "run_trial", real)
    assert resume(results=tmp_path, report=False).manifest["status"] == "complete"
    assert outcomes(run.path) == [(0, "complete"), (1, "complete")]


def test_a_sweep_and_a_comparison_are_not_carried_on_for_each_other(tmp_path: Path) -> None:
    swept = begun(tmp_path, {})
    compared = begun(tmp_path, {}, comparison={})
    assert unfinished(None, tmp_path) == swept
    assert unfinished(None, tmp_path, compared=True) == compared
    for named in (compared, compared.name):
        with pytest.raises(UsageError, match="is a comparison") as told:
            resume(named, results=tmp_path, report=False)
        assert "perfkit compare --resume" in told.value.mend
    with pytest.raises(UsageError, match="is no comparison") as told:
        resume_comparison(swept, results=tmp_path, report=False)
    assert "perfkit sweep --resume" in told.value.mend


def test_a_sweep_that_is_called_like_a_comparison_is_none(tmp_path: Path) -> None:
    RunWriter.create(tmp_path, "compare-mine", {"plan": []}).seal("partial", "interrupted")
    with pytest.raises(NotARun, match="no comparison in"):
        resume_comparison(results=tmp_path, report=False)
