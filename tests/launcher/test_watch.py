from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator

import pytest

from perfkit.launcher.child import Child
from perfkit.launcher.watch import Watch
from tests.waiting import wait_until

PAUSE = "import signal; signal.pause()"


@pytest.fixture(params=["pidfd", "no pidfd"])
def watch(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watch]:
    if request.param == "no pidfd":

        def not_here(_pid: int) -> int:
            raise OSError(38, "Function not implemented")

        monkeypatch.setattr(os, "pidfd_open", not_here)
    watch = Watch()
    yield watch
    watch.close()


def test_the_end_of_each_child_is_told_once(watch: Watch, started: Callable[..., Child]) -> None:
    first, second = started(PAUSE, name="a-1"), started(PAUSE, name="a-2")
    told: list[str] = []
    watch.add(first.pid, lambda: told.append("first"))
    watch.add(second.pid, lambda: told.append("second"))
    os.kill(second.pid, signal.SIGKILL)
    wait_until(lambda: told, 5, "one end is told")
    assert told == ["second"]
    os.kill(first.pid, signal.SIGKILL)
    wait_until(lambda: len(told) == 2, 5, "the other end is told")
    assert told == ["second", "first"]


def test_a_process_that_is_not_our_child_is_watched_too(watch: Watch) -> None:
    code = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {PAUSE!r}]); "
    code += "print(p.pid, flush=True); p.wait()"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as parent:
        assert parent.stdout is not None
        grandchild = int(parent.stdout.readline())
        told: list[bool] = []
        watch.add(grandchild, lambda: told.append(True))
        os.kill(grandchild, signal.SIGKILL)
        wait_until(lambda: told, 5, "the end of the grandchild is told")


def test_one_that_is_gone_already_is_told_at_once(watch: Watch) -> None:
    with subprocess.Popen([sys.executable, "-I", "-S", "-c", ""]) as process:
        process.wait()
    told: list[bool] = []
    watch.add(process.pid, lambda: told.append(True))
    wait_until(lambda: told, 5, "its end is told")


def test_after_closing_nothing_is_told(watch: Watch, started: Callable[..., Child]) -> None:
    child = started(PAUSE)
    told: list[bool] = []
    watch.add(child.pid, lambda: told.append(True))
    watch.close()
    child.stop(5)
    assert not told
