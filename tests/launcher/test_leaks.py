"""Nothing survives, whatever ends the process that holds the stack.

A driver in a process of its own holds a stack up, says which processes and ports that are, and is
ended. Within five seconds of its end all of them must be gone.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from perfkit.launcher.lease import leases, sweep
from perfkit.paths import checkout
from tests.leaks import Identity, assert_gone, bound_ports, descendants_of, identities, living
from tests.waiting import wait_until


class Driver:
    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self.process = process
        self.folder = folder
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line, (folder / "driver.log").read_text()
        said: dict[str, Any] = json.loads(line)
        self.pids: dict[str, int] = said["pids"]
        self.ports: list[int] = said["ports"]
        self.processes: set[Identity] = identities(said["all"])

    def says(self, word: str) -> None:
        assert self.process.stdout is not None
        assert self.process.stdout.readline().decode().strip() == word

    @property
    def keeper(self) -> int:
        (pid,) = {pid for pid, _ in self.processes} - set(self.pids.values())
        return pid

    def assert_all_is_gone(self) -> None:
        assert_gone(self.processes, self.ports, self.folder)


@contextmanager
def driver(folder: Path, mode: str) -> Iterator[Driver]:
    with (
        (folder / "driver.log").open("wb") as log,
        subprocess.Popen(
            [sys.executable, "-m", "tests.launcher.driver", str(folder), mode],
            cwd=checkout(),
            env={**os.environ, "TMPDIR": str(folder)},
            stdout=subprocess.PIPE,
            stderr=log,
        ) as process,
    ):
        try:
            yield Driver(process, folder)
        finally:
            process.kill()


def test_left_by_an_exception_it_stops_everything(tmp_path: Path) -> None:
    with driver(tmp_path, "raise") as one:
        assert one.process.wait(20) == 1
        one.assert_all_is_gone()
        assert leases(tmp_path / "leases") == []


@pytest.mark.parametrize(
    "number", [pytest.param(signal.SIGINT, marks=pytest.mark.full), signal.SIGTERM]
)
def test_ended_by_a_signal_it_stops_everything_before_it_ends(
    tmp_path: Path, number: signal.Signals
) -> None:
    with driver(tmp_path, "wait") as one:
        assert len(one.processes) == 5  # redis, gateway, worker, ingest, keeper
        assert set(one.ports) <= bound_ports()
        one.process.send_signal(number)
        one.assert_all_is_gone()
        one.process.wait(5)
        assert leases(tmp_path / "leases") == []


def test_killed_everything_follows_it(tmp_path: Path) -> None:
    with driver(tmp_path, "wait") as one:
        one.process.kill()
        one.assert_all_is_gone()
        (lease,) = leases(tmp_path / "leases")
        assert lease.stale


@pytest.mark.parametrize(
    ("number", "mode"),
    [
        (signal.SIGTERM, "more"),
        (signal.SIGKILL, "fewer"),
        pytest.param(signal.SIGTERM, "fewer", marks=pytest.mark.full),
        pytest.param(signal.SIGKILL, "more", marks=pytest.mark.full),
    ],
)
def test_ended_in_the_middle_of_scaling_everything_follows_it(
    tmp_path: Path, mode: str, number: signal.Signals
) -> None:
    with driver(tmp_path, mode) as one:
        one.says(mode)
        assert workers_of(tmp_path)
        one.process.send_signal(number)
        one.assert_all_is_gone()
        # Also those that it had no time to tell of.
        wait_until(lambda: not workers_of(tmp_path), 5, "no worker is left")


def workers_of(folder: Path) -> list[int]:
    """Living processes whose command line names the folder, the driver apart."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = path.read_bytes()
        except OSError:
            continue
        if str(folder).encode() in command and b"perfkit.recorder.worker" in command:
            found.append(int(path.parent.name))
    return found


def test_killed_every_server_follows_it_where_each_queue_has_its_own(tmp_path: Path) -> None:
    with driver(tmp_path, "apart") as one:
        assert {"redis-payments", "redis-webhooks"} <= set(one.pids)
        assert len(list(tmp_path.glob("perfkit-*/redis.conf"))) == 2
        one.process.kill()
        one.assert_all_is_gone()


@pytest.mark.full
def test_killed_with_its_keeper_every_server_is_swept(tmp_path: Path) -> None:
    with driver(tmp_path, "apart") as one:
        one.process.send_signal(signal.SIGSTOP)
        os.kill(one.keeper, signal.SIGKILL)
        one.process.kill()
        one.process.wait()
        assert len(sweep(tmp_path / "leases")) == 1
        one.assert_all_is_gone()


@pytest.mark.full
def test_killed_even_a_stopped_worker_follows_it(tmp_path: Path) -> None:
    with driver(tmp_path, "wait") as one:
        os.kill(one.pids["worker-1"], signal.SIGSTOP)
        one.process.kill()
        one.assert_all_is_gone()


def test_killed_together_with_its_keeper_the_rest_is_swept(tmp_path: Path) -> None:
    with driver(tmp_path, "wait") as one:
        # Stopped first, so that it can't start another keeper in between.
        one.process.send_signal(signal.SIGSTOP)
        os.kill(one.keeper, signal.SIGKILL)
        one.process.kill()
        by_lifeline = {each for each in one.processes if each[0] in lifelines(one)}
        wait_until(lambda: not living(by_lifeline), 5, "worker and ingest end by their lifelines")
        one.process.wait()
        assert len(sweep(tmp_path / "leases")) == 1
        one.assert_all_is_gone()
        assert leases(tmp_path / "leases") == []


def lifelines(one: Driver) -> set[int]:
    return {pid for name, pid in one.pids.items() if name.startswith(("worker-", "ingest-"))}


def test_interrupted_while_it_starts_nothing_stays(tmp_path: Path) -> None:
    folder = tmp_path / "trial" / "spool"
    with subprocess.Popen(
        [sys.executable, "-m", "tests.launcher.driver", str(tmp_path), "wait"],
        cwd=checkout(),
        env={**os.environ, "TMPDIR": str(tmp_path)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        wait_until(lambda: list(tmp_path.glob("perfkit-*/redis.conf")), 10, "Redis is being made")
        before = identities(descendants_of(process.pid))
        process.send_signal(signal.SIGINT)
        process.wait(10)
    assert folder.exists()
    assert_gone(before, folder=tmp_path)
    assert leases(tmp_path / "leases") == []
