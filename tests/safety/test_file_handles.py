"""Out of file handles: an error before anything starts, or a trial that failed in words."""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.store import list_runs
from tests.runner.conftest import ROOT, Start
from tests.safety.surroundings import Held


def test_a_limit_that_is_too_low_is_refused_before_anything_starts(
    tmp_path: Path, temporary: Path
) -> None:
    command = [sys.executable, "-m", "perfkit", "run", "smoke", "--no-report"]
    refused = subprocess.run(
        ["sh", "-c", 'ulimit -n 128 && exec "$@"', "sh", *command,
         "--results", str(tmp_path / "r")],
        capture_output=True, text=True, timeout=60, cwd=ROOT, check=False,
    )  # fmt: skip
    assert refused.returncode == 2, refused.stderr
    assert refused.stderr.count("perfkit:") == 1
    assert "open files" in refused.stderr or "need about" in refused.stderr
    assert "ulimit -Hn" in refused.stderr
    assert list_runs(tmp_path / "r") == []
    assert list(temporary.iterdir()) == []


@pytest.mark.full
@pytest.mark.parametrize("spare", [0, 2, 5, 9])
def test_when_they_run_out_in_mid_run_the_trial_fails_in_words(
    measuring: Start, temporary: Path, spare: int
) -> None:
    run = measuring("run", "smoke", "--no-report", "--warmup", "500ms", "--duration", "3s",
                    "--progress", "plain")  # fmt: skip
    run.until_it_says("measuring")
    held = Held.by(run.process.pid, run.results)
    used = len(list(Path(f"/proc/{run.process.pid}/fd").iterdir()))
    _, hard = resource.prlimit(run.process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(run.process.pid, resource.RLIMIT_NOFILE, (used + spare, hard))
    assert run.code(120) in (0, 1, 2, 99), run.said()
    assert "Traceback" not in run.said()
    assert run.said().count("perfkit:") <= 1
    held.assert_given_back(temporary)
    (entry,) = list_runs(run.results)
    if not entry.sealed:
        assert measuring("repair").code() == 0
        (entry,) = list_runs(run.results)
    assert entry.state in ("partial", "complete")
