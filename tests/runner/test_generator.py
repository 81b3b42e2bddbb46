"""The generator's process, as the runner starts and ends it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from perfkit.launcher.keeper import start_ticks
from perfkit.runner.generator import GeneratorProcess, Sender
from tests.load.specs import S, spec_for
from tests.waiting import wait_until


@pytest.fixture
def generator(tmp_path: Path) -> Iterator[GeneratorProcess]:
    """One that waits for its "go"."""
    (tmp_path / "logs").mkdir()
    process = GeneratorProcess(spec_for(tmp_path), tmp_path)
    process.wait_loaded()
    yield process
    process.close(0)


def test_one_that_is_closed_before_it_was_told_to_go_ends_in_order(
    generator: GeneratorProcess,
) -> None:
    generator.close()
    assert generator.ended()
    generator.close()


def test_one_that_does_not_hear_sigterm_is_killed(generator: GeneratorProcess) -> None:
    os.kill(generator.pid, signal.SIGSTOP)
    generator.close(0.1)
    assert start_ticks(generator.pid) is None
    assert generator.ended()
    assert generator.death is None, "we did that ourselves"


@pytest.mark.parametrize(
    ("number", "how"), [(signal.SIGKILL, "signal 9"), (signal.SIGTERM, "exit status 0")]
)
def test_one_that_ends_before_its_load_has_died_and_is_named(
    generator: GeneratorProcess, number: signal.Signals, how: str
) -> None:
    generator.go(time.monotonic_ns() + 60 * S)
    os.kill(generator.pid, number)
    wait_until(generator.ended, 10, "it has ended")
    assert generator.death is not None
    assert generator.death.name == "generator"
    assert generator.death.text == f"the load generator died ({how}) before its load began"


def test_what_it_died_of_is_told_by_the_last_line_of_its_log(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    process = GeneratorProcess(spec_for(tmp_path), tmp_path)
    try:
        process.wait_loaded()
        (tmp_path / "requests.ledger").mkdir()  # where its rows should go
        process.go(time.monotonic_ns())
        wait_until(process.ended, 10, "it has ended")
        assert process.death is not None
        assert "died (exit status 2) at " in process.death.text
        assert "requests.ledger" in process.death.text
        assert "mend:" not in process.death.text
    finally:
        process.close(0)


def test_one_that_stood_still_while_load_came_due_is_named(generator: GeneratorProcess) -> None:
    generator.go(time.monotonic_ns() - 10 * S)  # its load is long over, and it knows nothing of it
    os.kill(generator.pid, signal.SIGSTOP)
    generator._load_ns = 5 * S
    generator.close(0.1)
    assert start_ticks(generator.pid) is None
    assert generator.death is not None
    assert generator.death.text == (
        "the load generator stood still from 0.0 s on, and had to be killed"
    )


def test_an_interrupt_while_it_is_awaited_does_not_leave_it_alive(
    generator: GeneratorProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.kill(generator.pid, signal.SIGSTOP)
    wait = subprocess.Popen.wait

    def interrupted(self: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        if timeout is not None:
            raise KeyboardInterrupt
        return wait(self)

    monkeypatch.setattr(subprocess.Popen, "wait", interrupted)
    with pytest.raises(KeyboardInterrupt):
        generator.close()
    assert start_ticks(generator.pid) is None


def test_lines_that_are_no_figures_are_passed_over(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    said = 'print("3"); print("[]"); print("x"); print(\'{"loaded": true}\')'
    sender = Sender([sys.executable, "-c", said], os.environ, tmp_path, lead_ns=0)
    try:
        wait_until(lambda: sender._loaded.is_set(), 10, "it is loaded")
    finally:
        sender.close(0)


def test_one_that_is_stopped_has_nothing_more_to_do(generator: GeneratorProcess) -> None:
    generator.stop()
    wait_until(generator.ended, 5, "it has ended in order")
    generator.go(1)
    generator.stop()
