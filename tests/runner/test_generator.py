"""The generator's process, as the runner starts and ends it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from perfkit.errors import ChildDied
from perfkit.launcher.keeper import start_ticks
from perfkit.runner.generator import GeneratorProcess
from tests.load.specs import spec_for
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
    with pytest.raises(ChildDied, match="ended with -9"):
        generator.ended()


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


def test_one_that_is_stopped_has_nothing_more_to_do(generator: GeneratorProcess) -> None:
    generator.stop()
    wait_until(generator.ended, 5, "it has ended in order")
    generator.go(1)
    generator.stop()
