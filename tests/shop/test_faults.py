"""A foreign application is broken on purpose: what befell its jobs is told to the last of them."""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from perfkit.api.document import outcome
from perfkit.api.measure import measure
from perfkit.api.runs import Run, open_run
from perfkit.errors import ScenarioError
from perfkit.plan import build
from tests.leaks import children_of, no_leaks
from tests.runner.conftest import Start, measuring
from tests.soundness import assert_sound
from tests.waiting import wait_until

__all__ = ["measuring"]

SHOP = str(Path(__file__).resolve().parent / "shop.toml")
# Short recovery, so that what a dead worker held comes back within the trial.
SHORT: Mapping[str, Any] = {
    "warmup": "1s",
    "duration": "8s",
    "drain": "20s",
    "stack.preset": "low-latency",
    "stack.restart": True,
    "stack.heartbeat_timeout": "2s",
    "stack.maintenance_chance": 100_000,
    "redis.profile": "aof-always",
}


def broken(tmp_path: Path, *faults: str) -> tuple[dict[str, Any], Run]:
    """What the run says, after which nothing is left running."""
    with no_leaks():
        found = measure(
            build([SHOP], values=SHORT, faults=faults), results=tmp_path / "results", report=False
        )
    told = outcome(found)
    assert_sound(told)
    assert [each["done"] for each in told["faults"]] == [True] * len(faults)
    assert told["accounting"]["unexplained"] == 0
    return told, found


@pytest.mark.full
def test_workers_redis_and_the_way_between_them_break_and_no_job_is_unexplained(
    tmp_path: Path,
) -> None:
    _, run = broken(
        tmp_path,
        "stop worker:worker-1 at 500ms for 500ms",
        "slow worker-redis at 1s for 500ms amount 20ms",
        "kill worker:worker-2 at 2s",
        "pause redis at 3s for 300ms",
        "cut worker-redis at 4s for 300ms",
        "terminate worker:worker-1 at 6s",
    )
    assert run.accounting().balanced
    assert run.trial_facts(0)["stack"]["links"] == ["worker-redis"]


@pytest.mark.full
@pytest.mark.parametrize("length", ["for 300ms", ""])
def test_its_redis_is_restarted(tmp_path: Path, length: str) -> None:
    told, run = broken(tmp_path, f"restart redis at 2s {length}".strip())
    assert told["accounting"]["lost"] == 0  # each command was on the disk
    assert run.accounting().balanced


@pytest.mark.parametrize(
    ("fault", "why"),
    [
        ("outage gateway at 1s for 1s", "the simulated gateway belongs to the sample"),
        ("outage gateway:images at 1s for 1s", "the simulated gateway belongs to the sample"),
        ("slow worker-gateway at 1s for 1s amount 9ms", "belongs to the sample"),
        ("kill ingest at 1s", "no ingest is started"),
        ("cut ingest-redis at 1s for 1s", "no ingest is started"),
        ("poison queue:images at 1s", "only the sample's actors know"),
    ],
)
def test_what_it_does_not_have_is_refused_before_anything_starts(fault: str, why: str) -> None:
    with pytest.raises(ScenarioError, match=why) as caught:
        build([SHOP], faults=[fault])
    (problem,) = caught.value.problems
    assert problem.key == "fault.0.target"
    assert problem.mend


def test_of_a_producer_that_is_killed_all_that_it_had_sent_is_accounted_for(
    measuring: Start,
) -> None:
    run = measuring(
        *("run", SHOP, "--no-report", "--progress", "plain"),
        *("--warmup", "500ms", "--duration", "60s"),
    )
    run.until_it_says("measuring")
    (producer,) = (pid for pid in children_of(run.process.pid) if enqueues(pid))
    sent = f"{run.results}/shop"
    wait_until(lambda: "sent" in run.said(), 20, f"jobs are sent into {sent}")
    os.kill(producer, signal.SIGKILL)
    run.code(60)
    found = open_run(run.run_folder())
    counts = found.accounting(0).counts()
    assert counts["accepted"] > 20
    assert counts["unexplained"] == 0
    assert counts["planned"] == counts["accepted"] + counts["errored"] + counts["dropped"]
    facts = found.trial_facts(0)
    assert facts["outcome"] == "partial"
    assert "the process that enqueues died (signal 9)" in facts["reason"]
    assert [death["name"] for death in facts["deaths"]] == ["generator"]


def enqueues(pid: int) -> bool:
    return b"perfkit.recorder.enqueue" in Path(f"/proc/{pid}/cmdline").read_bytes()
