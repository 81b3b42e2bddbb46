"""Short real runs, in a process of their own so that signals reach only them."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.leaks import descendants_of
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
Start = Callable[..., "Measuring"]


class Measuring:
    """``perfkit`` in a child process."""

    def __init__(self, results: Path, *arguments: str) -> None:
        self.results = results
        self.log = results.parent / "perfkit.log"
        self._output = self.log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "perfkit", *arguments, "--results", str(results)],
            stdout=self._output,
            stderr=subprocess.STDOUT,
            cwd=ROOT,
            start_new_session=True,
        )

    def until_it_says(self, text: str, timeout_s: float = 60) -> None:
        def said() -> bool:
            assert self.process.poll() is None or text in self.said(), self.said()
            return text in self.said()

        wait_until(said, timeout_s, f"perfkit says {text!r}")

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def code(self, timeout_s: float = 60) -> int:
        return self.process.wait(timeout_s)

    def run_folder(self) -> Path:
        (folder,) = (p for p in self.results.glob("*/*") if not p.parent.name.startswith("."))
        return folder

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self._output.close()


def generators(run: Measuring) -> dict[str, int]:
    """Those that live, by name, as the unsealed trial's lease or process list has them."""
    found = {}
    for pid in descendants_of(run.process.pid):
        with contextlib.suppress(OSError):
            argv = Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
            if "perfkit.load" in argv:
                found[Path(argv[argv.index("perfkit.load") + 1]).parent.name] = pid
    return found


@pytest.fixture
def measuring(tmp_path: Path) -> Iterator[Start]:
    started: list[Measuring] = []

    def start(*arguments: str) -> Measuring:
        started.append(Measuring(tmp_path / "results", *arguments))
        return started[-1]

    yield start
    for each in started:
        each.close()
