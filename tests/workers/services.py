"""Processes of the sample system, each started for a test and proved gone after it."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3

from tests.waiting import wait_until

ROOT = Path(__file__).parents[2]

QUICK = {
    queue: {"median_ms": 2, "sigma": 0.1, "errors": 0}
    for queue in ("payments", "notifications", "webhooks")
}


def environment(**settings: str) -> dict[str, str]:
    """A child's environment with no setting of the application but these."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    return {**kept, "PYTHONPATH": str(ROOT), **settings}


def group_is_gone(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return True
    return False


@contextmanager
def child(
    folder: Path, name: str, arguments: list[str], settings: Mapping[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    """``python -m ...`` with its output in a file; nothing of its session outlives the block."""
    with (folder / f"{name}.out").open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, *arguments],
            env=environment(**settings),
            cwd=folder,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(15)
            wait_until(lambda: group_is_gone(process.pid), 5, f"{name}'s children are gone")
        finally:
            if not group_is_gone(process.pid):
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(5)


@dataclass(frozen=True)
class Service:
    """A running HTTP service and what to say to it."""

    url: str
    process: subprocess.Popen[bytes]
    folder: Path

    def ask(
        self,
        method: str,
        path: str,
        body: object = None,
        headers: Mapping[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Status and JSON answer; a body that is not bytes is sent as JSON."""
        with urllib3.PoolManager() as pool:
            answer = pool.request(
                method,
                self.url + path,
                body=body if isinstance(body, bytes) else json.dumps(body),
                headers=headers,
                retries=False,
            )
            return answer.status, json.loads(answer.data)

    def calls(self) -> list[dict[str, str]]:
        """The gateway's log so far."""
        with (self.folder / "gateway.csv").open(newline="") as log:
            return list(csv.DictReader(log))


@contextmanager
def service(
    folder: Path, name: str, port: int, arguments: list[str], settings: Mapping[str, str]
) -> Iterator[Service]:
    with child(folder, name, arguments, settings) as process:
        running = Service(f"http://127.0.0.1:{port}", process, folder)

        def is_up() -> bool:
            if process.poll() is not None:
                raise AssertionError((folder / f"{name}.out").read_text())
            try:
                return running.ask("GET", "/healthz")[0] == 200
            except urllib3.exceptions.HTTPError:
                return False

        wait_until(is_up, 15, f"{name} answers")
        yield running


StartGateway = Callable[..., Service]
StartIngest = Callable[..., Service]
