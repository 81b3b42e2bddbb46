"""The disk is full in mid-run: one error, nothing left running, and what was measured is kept.

For real, and without a disk to fill: from the middle of the window on, no process of the run may
write to a file any more (RLIMIT_FSIZE), as on a full disk; what was reserved beforehand and mapped
can still be written, as there. Redis is left alone, since that limit kills a C program.
"""

from __future__ import annotations

import resource
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq

from perfkit.api.runs import open_run
from perfkit.store import verify
from tests.leaks import assert_gone, descendants_of, identities
from tests.runner.conftest import ROOT, Start
from tests.waiting import wait_until


def _is_redis(pid: int) -> bool:
    # A name of its own: Redis and Valkey rename themselves, and so do their threads.
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    return b"python" not in command.partition(b"\0")[0]


def test_a_disk_that_fills_up_in_mid_run_costs_nothing_that_was_measured(
    measuring: Start, tmp_path: Path
) -> None:
    results = tmp_path / "results"
    arguments = ["--warmup", "500ms", "--duration", "6s", "--no-report", "--progress", "plain"]
    # Its output goes to a pipe: a file would be closed to it as well.
    perfkit = subprocess.Popen(
        [sys.executable, "-m", "perfkit", "run", "smoke", *arguments, "--results", str(results)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=ROOT,
    )
    assert perfkit.stdout is not None
    with perfkit, perfkit.stdout:
        for line in perfkit.stdout:
            if "measuring" in line:
                break
        (samples,) = results.glob("smoke/*/trial=0000.partial/samples.arrow")
        wait_until(lambda: samples.stat().st_size > 4096, 10, "samples have been written")
        processes = identities(descendants_of(perfkit.pid))
        for pid in [perfkit.pid, *(pid for pid, _ in processes if not _is_redis(pid))]:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (0, resource.RLIM_INFINITY))
        said = perfkit.stdout.read()

    assert perfkit.returncode == 2, said
    assert "Traceback" not in said
    assert said.count("perfkit:") == 1
    assert "File too large" in said
    assert "`perfkit repair" in said
    assert len(processes) >= 7  # redis, gateway, two workers, ingest, generator, keeper
    assert_gone(processes)

    (folder,) = results.glob("smoke/*")
    assert not (folder / "manifest.json").exists()
    mended = measuring("repair")
    assert mended.code() == 0, mended.said()
    run = open_run(folder)
    assert run.manifest["status"] == "partial"
    assert verify(folder) == []
    for kind in ("requests", "jobs", "samples", "calls"):
        assert pq.read_metadata(folder / f"trial=0000/{kind}.parquet").num_rows > 0, kind
    counts = run.accounting().counts()
    assert counts["done"] > 100
