"""A report whose maker is killed: it is not there, or says that it failed; nobody stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.leaks import assert_gone, descendants_of, identities
from tests.runner.conftest import ROOT
from tests.safety.surroundings import child_running
from tests.sealed import Sketch, delivery, request, seal
from tests.waiting import wait_until


@pytest.fixture
def run(tmp_path: Path) -> Path:
    rows = [request(seq) for seq in range(20)]
    return seal(tmp_path / "results", Sketch(rows, [delivery(row) for row in rows])).path


@pytest.fixture
def rendering(run: Path, temporary: Path) -> Iterator[subprocess.Popen[str]]:
    """``perfkit report`` while its notebook runs in a kernel."""
    process = subprocess.Popen(
        [sys.executable, "-m", "perfkit", "report", str(run)],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=ROOT,
    )  # fmt: skip
    with process:
        wait_until(lambda: child_running("ipykernel_launcher", process.pid), 60, "a kernel runs")
        yield process
        process.kill()


def test_a_killed_child_fails_the_report_in_words(
    rendering: subprocess.Popen[str], run: Path, temporary: Path
) -> None:
    everybody = identities(descendants_of(rendering.pid))
    child = child_running("perfkit.reporting.child", rendering.pid)
    assert child is not None
    os.kill(child, signal.SIGKILL)
    said, _ = rendering.communicate(timeout=60)
    assert rendering.returncode == 1
    assert "did not run to its end" in said
    assert "Traceback" not in said
    assert "FAILED: this report is not complete" in (run / "report.html").read_text()
    assert not (run / "report.ipynb").exists()
    assert_gone(everybody)
    assert list(temporary.iterdir()) == []


def test_a_killed_perfkit_takes_child_kernel_and_folder_with_it(
    rendering: subprocess.Popen[str], run: Path, temporary: Path
) -> None:
    everybody = identities(descendants_of(rendering.pid))
    rendering.kill()
    rendering.communicate(timeout=60)
    assert_gone(everybody)
    wait_until(lambda: not list(temporary.iterdir()), 5, "the private folder is gone")
    assert not (run / "report.html").exists()
    assert not (run / "report.ipynb").exists()
