"""Two runs at once do not disturb each other, and say that their numbers suffer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from perfkit.api.runs import open_run
from perfkit.api.text import run_text
from perfkit.figures import environment, first_screen
from perfkit.launcher.guard import Guard
from perfkit.launcher.neighbours import Neighbours, owners
from perfkit.store import verify
from tests.runner.conftest import ROOT
from tests.safety.surroundings import Held
from tests.sealed import Sketch, request, seal
from tests.soundness import MEASURED
from tests.waiting import wait_until

RUN = ("run", "smoke", "--no-report", "--warmup", "500ms", "--duration", "2s", "--rate", "60",
       "--progress", "none")  # fmt: skip
HOLDER = """
import sys
from collections.abc import Iterator
from perfkit.launcher.guard import Guard
guard = Guard()
print("up", flush=True)
sys.stdin.read()
guard.close()
"""


def started(results: Path, log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(
            [sys.executable, "-m", "perfkit", *RUN, "--results", str(results)],
            stdout=output, stderr=subprocess.STDOUT, cwd=ROOT,
        )  # fmt: skip


@pytest.mark.full
def test_two_runs_in_one_folder_do_not_disturb_each_other_and_warn(
    tmp_path: Path, temporary: Path
) -> None:
    results = tmp_path / "results"
    logs = [tmp_path / "one.log", tmp_path / "two.log"]
    runs = [started(results, log) for log in logs]
    try:
        wait_until(lambda: len(list((results / ".leases").glob("*.json"))) == 2, 60, "both are up")
        held = [Held.by(run.pid, results) for run in runs]
        codes = [run.wait(120) for run in runs]
    finally:
        for run in runs:
            run.kill()
    said = [log.read_text() for log in logs]
    assert all(code in MEASURED for code in codes), said
    for each in held:
        each.assert_given_back(temporary)
    folders = [path for path in results.glob("smoke/*") if path.is_dir()]
    assert len(folders) == 2
    for folder in folders:
        assert verify(folder) == []
        run = open_run(folder)
        counts = run.accounting().counts()
        assert run.manifest["status"] == "complete"
        assert counts["planned"] == counts["done"] > 60
        assert counts["unexplained"] == counts["phantom"] == counts["duplicated"] == 0
        assert any("another perfkit" in words for words in run.manifest["warnings"])
    for pid, other in zip((runs[1].pid, runs[0].pid), said, strict=True):
        assert f"warning: another perfkit (process {pid}) has a stack up on this machine" in other


@pytest.fixture
def neighbour() -> Iterator[int]:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdout is not None
    assert process.stdout.readline() == b"up\n"
    with process:
        yield process.pid


def test_who_has_a_stack_up_is_seen_whatever_its_results_folder(neighbour: int) -> None:
    assert neighbour in owners()


def test_ones_own_stack_is_no_neighbour() -> None:
    guard = Guard()
    try:
        assert os.getpid() not in owners()
    finally:
        guard.close()


def test_each_neighbour_is_told_of_once_and_looked_for_every_five_seconds(neighbour: int) -> None:
    around = Neighbours()
    words = [text for text in around.news(0) if str(neighbour) in text]
    assert len(words) == 1
    assert "these numbers suffer" in words[0]
    assert around.news(4_999_999_999) == []
    assert not [text for text in around.news(5_000_000_000) if str(neighbour) in text]


def test_the_warning_is_on_the_first_screen_in_the_environment_and_in_the_text(
    tmp_path: Path,
) -> None:
    stored = seal(tmp_path, Sketch([request(0)]), warnings=["another <perfkit> was there"])
    run = open_run(stored.path)
    screen = first_screen(
        run.verdict(), run.headline(), run.trials(), run.manifest, run.trial_facts
    )
    for block in (screen, environment(run.manifest)):
        assert "<strong>Warning:</strong> another &lt;perfkit&gt; was there" in block.html
        assert "warning: another <perfkit> was there" in block.plain
    assert "warning: another <perfkit> was there" in run_text(run)
