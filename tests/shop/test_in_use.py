"""The shop is in use, started by its own commands: it is recorded by one word more."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import perfkit
from perfkit.errors import UsageError
from perfkit.recorder.budget import LEAST_BYTES
from perfkit.recorder.reader import SpoolFollower
from tests.leaks import children_of
from tests.waiting import wait_until

HERE = Path(__file__).resolve().parent
BUYER = """
import shop.tasks
import perfkit.recorder.on

for number in range({count}):
    shop.tasks.resize.send(number, "s", owner="ann")
"""

Started = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def command(clean_redis: str, tmp_path: Path) -> Iterator[Started]:
    """Start ``python ...`` as the shop's owner would, with the two variables of the recorder."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, budget: str = "500MB") -> subprocess.Popen[str]:
        environment = os.environ | {
            "REDIS_URL": clean_redis,
            "PYTHONPATH": f"{HERE}{os.pathsep}{HERE.parents[1]}",
            "PERFKIT_SPOOL": str(tmp_path / "spool"),
            "PERFKIT_SPOOL_BUDGET": budget,
            "dramatiq_worker_timeout": "50",
        }
        started.append(
            subprocess.Popen(
                [sys.executable, *arguments],
                cwd=tmp_path,
                env=environment,
                text=True,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
            )
        )
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.communicate(timeout=30)


def workers(command: Started, budget: str = "500MB") -> subprocess.Popen[str]:
    """The line of the README."""
    line = ("dramatiq", "shop.tasks", "perfkit.recorder.on")
    return command("-m", *line, "--processes", "2", "--threads", "2", budget=budget)


def buy(command: Started, count: int, budget: str = "500MB") -> None:
    process = command("-c", BUYER.format(count=count), budget=budget)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 0, err


def test_every_job_is_in_the_frame_whoever_enqueued_it(command: Started, tmp_path: Path) -> None:
    spool, count = tmp_path / "spool", 60
    running = workers(command)
    buy(command, count)

    def done() -> int:
        return int((perfkit.recorded(spool).jobs["outcome"] == "done").sum())

    wait_until(lambda: done() == 3 * count, 40, "all jobs and those that they enqueued are done")
    follower = SpoolFollower(spool)
    assert sum(len(each.events) for each in follower.read()) >= 3 * count * 3
    assert sum(len(each.events) for each in follower.read()) == 0
    running.terminate()
    _, err = running.communicate(timeout=30)
    assert running.returncode == 0, err
    found = perfkit.recorded(spool)
    assert found.complete
    assert found.processes["ended"].all()
    assert sorted(found.processes["role"]) == ["producer", "worker", "worker"]
    jobs = found.jobs
    assert jobs["actor"].value_counts().to_dict() == dict.fromkeys(
        ("resize", "publish", "written"), count
    )
    stages = ["enqueued_ns", "fetched_ns", "started_ns", "finished_ns", "acked_ns"]
    for earlier, later in itertools.pairwise(stages):
        assert (jobs[earlier] <= jobs[later]).all()
    assert (jobs["queue_wait_ns"] > 0).all()
    assert (jobs["service_ns"] > 0).all()
    # Wall time of this host: after the first process began, and not in the future.
    assert jobs["enqueued_ns"].min() >= found.processes["since_ns"].min()
    assert jobs["acked_ns"].max() < found.processes["since_ns"].max() + 120e9


def test_a_worker_that_is_killed_leaves_what_it_recorded(command: Started, tmp_path: Path) -> None:
    spool, count = tmp_path / "spool", 40
    running = workers(command)
    buy(command, count)
    wait_until(
        lambda: int((perfkit.recorded(spool).jobs["outcome"] == "done").sum()) >= count,
        40, "half is done",
    )  # fmt: skip
    known = set(perfkit.recorded(spool).processes["pid"])
    (victim, *_) = sorted(known & children_of(running.pid))
    os.kill(victim, signal.SIGKILL)
    running.communicate(timeout=40)  # the stock command ends with its first worker that dies
    found = perfkit.recorded(spool)
    ended = found.processes.set_index("pid")["ended"]
    assert not ended[victim]
    assert (found.jobs["outcome"] == "done").sum() >= count


def test_the_oldest_go_when_the_budget_is_used_up_and_are_counted(
    command: Started, tmp_path: Path
) -> None:
    spool, count = tmp_path / "spool", 5000
    spool.mkdir()
    (spool / "of others").write_bytes(bytes(700_000))  # it counts too
    buy(command, count, budget="1MB")
    used = sum(path.stat().st_size for path in spool.iterdir())
    assert used <= LEAST_BYTES
    found = perfkit.recorded(spool)
    assert not found.complete
    (producer,) = found.processes.to_dict("records")
    assert producer["dropped"] > 0
    assert producer["dropped"] + producer["events"] == count
    assert producer["lost"] == producer["holes"] == 0
    assert len(found.jobs) == producer["events"]


@pytest.mark.parametrize("made", [True, False])
def test_a_folder_with_nothing_in_it_is_refused_with_its_mend(tmp_path: Path, made: bool) -> None:
    folder = tmp_path / "spool"
    if made:
        folder.mkdir()
    with pytest.raises(UsageError, match="PERFKIT_SPOOL"):
        perfkit.recorded(folder)
