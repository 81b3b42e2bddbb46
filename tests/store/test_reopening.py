"""Reopening a partial run: one process at a time, and killed anywhere it never reads as whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from perfkit.clock import ManualClock
from perfkit.errors import ResultsNotWritable, RunNotSealed, UsageError
from perfkit.store import RunWriter, open_run, repair, verify
from perfkit.store import writer as writer_module
from tests.sealed import Sketch, delivery, request


def sketch() -> Sketch:
    wanted = request(0)
    return Sketch([wanted], [delivery(wanted)])


def partial(root: Path) -> Path:
    """Trial 0 is complete, 1 was cut short, 2 failed, 3 never began."""
    writer = RunWriter.create(
        root, "test", {"scenarios": {}, "plan": [{}] * 4, "redis": None}, clock=ManualClock()
    )
    sketch().write(writer, 0)
    cut = sketch()
    cut.facts = {"outcome": "partial", "reason": "interrupted"}
    cut.write(writer, 1)
    writer.fail(2, "redis died")
    (writer.path / "logs" / "trial=0001").mkdir(parents=True)
    (writer.path / "logs" / "trial=0001" / "worker-1.log").write_text("old")
    path = writer.seal("partial", "interrupted")
    (path / "report.html").write_text("of the beginning")
    (path / "summary.json").write_text("{}")
    return path


def tree(path: Path) -> set[str]:
    return {str(each.relative_to(path)) for each in path.rglob("*") if each.is_file()}


def test_what_is_to_be_measured_again_is_set_aside_and_the_rest_stays(tmp_path: Path) -> None:
    path = partial(tmp_path)
    kept = (path / "trial=0000" / "requests.parquet").read_bytes()
    RunWriter.reopen(path, [1, 2, 3])
    assert (path / "trial=0000" / "requests.parquet").read_bytes() == kept
    assert not (path / "trial=0001").exists()
    assert (path / "lost" / "trial=0001" / "trial.json").is_file()
    assert (path / "logs" / "lost" / "trial=0001" / "worker-1.log").read_text() == "old"


def test_a_reopened_run_is_unsealed_and_what_was_rendered_from_it_is_gone(tmp_path: Path) -> None:
    path = partial(tmp_path)
    RunWriter.reopen(path, [1, 2, 3])
    with pytest.raises(RunNotSealed, match="still being measured"):
        open_run(path)
    assert not tree(path) & {"manifest.json", "report.html", "summary.json"}


def test_it_is_sealed_again_as_one_run_with_its_old_name_and_date(tmp_path: Path) -> None:
    path = partial(tmp_path)
    before = open_run(path).manifest
    writer = RunWriter.reopen(path, [1, 2, 3], resumed=[{"trials": [1, 2, 3]}])
    for index in (1, 2, 3):
        sketch().write(writer, index)
    run = open_run(writer.seal("complete"))
    assert verify(path) == []
    assert [each["outcome"] for each in run.manifest["trials"]] == ["complete"] * 4
    assert run.manifest["resumed"] == [{"trials": [1, 2, 3]}]
    for key in ("run_id", "name", "created_ns", "plan"):
        assert run.manifest[key] == before[key]


def test_a_failure_that_is_not_tried_again_keeps_its_reason(tmp_path: Path) -> None:
    path = partial(tmp_path)
    writer = RunWriter.reopen(path, [3])
    sketch().write(writer, 3)
    trials = open_run(writer.seal("partial", "1 trial failed")).manifest["trials"]
    assert [(each["outcome"], each["reason"]) for each in trials] == [
        ("complete", None),
        ("partial", "interrupted"),
        ("failed", "redis died"),
        ("complete", None),
    ]


def test_a_complete_run_is_not_reopened(tmp_path: Path) -> None:
    writer = RunWriter.create(tmp_path, "test", {"scenarios": {}, "plan": [{}]})
    sketch().write(writer, 0)
    path = writer.seal("complete")
    before = tree(path)
    with pytest.raises(UsageError, match="is complete"):
        RunWriter.reopen(path, [0])
    assert tree(path) == before


def test_of_two_that_reopen_a_run_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = partial(tmp_path)
    before = json.loads((path / "manifest.json").read_bytes())
    RunWriter.reopen(path, [1])
    # The second had read the manifest just before the first gave it another name.
    monkeypatch.setattr(writer_module, "read_json", lambda _: before)
    with pytest.raises(UsageError, match="by another process"):
        RunWriter.reopen(path, [1])


def test_without_room_for_the_rest_the_run_stays_as_it_was(tmp_path: Path) -> None:
    path = partial(tmp_path)
    before = tree(path)
    with pytest.raises(ResultsNotWritable, match="are free"):
        RunWriter.reopen(path, [1], needs_bytes=2**60)
    assert tree(path) == before
    assert open_run(path).manifest["status"] == "partial"


class Killed(BaseException):
    """What no handler of ours catches, as a kill is caught by none."""


STEPS = 9  # rename; write and rename; two rendered files; a folder and a move, twice


def killed_at(step: int, monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    """Reopen, and be killed before the numbered change of the file system."""
    left = [step]

    def counting(real: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **named: Any) -> Any:
            if not left[0]:
                raise Killed
            left[0] -= 1
            return real(*arguments, **named)

        return call

    with monkeypatch.context() as patched:
        for name in ("replace", "unlink", "mkdir", "write_bytes"):
            patched.setattr(Path, name, counting(getattr(Path, name)))
        # Nobody is alive who was killed.
        patched.setattr(writer_module, "this_process", dict)
        RunWriter.reopen(path, [1, 2, 3])


@pytest.mark.parametrize("step", range(STEPS))
def test_killed_anywhere_it_never_reads_as_whole_and_can_be_carried_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    path = partial(tmp_path)
    with pytest.raises(Killed):
        killed_at(step, monkeypatch, path)
    try:
        assert open_run(path).manifest["status"] == "partial"
    except RunNotSealed:
        repair(path)
    run = open_run(path)
    assert run.manifest["status"] == "partial"
    assert verify(path) == []
    assert 0 in run.trials
    writer = RunWriter.reopen(path, [1, 2, 3])
    for index in (1, 2, 3):
        sketch().write(writer, index)
    assert open_run(writer.seal("complete")).trials == (0, 1, 2, 3)
    assert verify(path) == []


def test_there_are_no_more_steps_at_which_it_can_be_killed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed_at(STEPS, monkeypatch, partial(tmp_path))
