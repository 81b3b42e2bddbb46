from __future__ import annotations

import os
import resource
import signal
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from perfkit.errors import ChildDied, NotReady, StackError
from perfkit.launcher.child import Child, State, describe_status, stop_all
from perfkit.launcher.guard import Guard
from perfkit.launcher.keeper import start_ticks
from tests.launcher.small_stack import MakeSpec
from tests.waiting import wait_until

Start = Callable[..., Child]
WAIT = "import signal; signal.pause()"
DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\nprint('deaf', flush=True)\n"


def said(child: Child, word: str) -> Callable[[], bool]:
    return lambda: any(word in line for line in child.last_lines())


def test_states_follow_the_table(python: MakeSpec, guard: Guard) -> None:
    child = Child(python(WAIT), guard)
    seen = [child.state]
    child.start()
    seen.append(child.state)
    child.wait_ready(lambda: True, 5)
    seen.append(child.state)
    child.stop(5)
    seen.append(child.state)
    assert seen == [State.NEW, State.STARTING, State.READY, State.ENDED]
    assert child.poll() == -signal.SIGTERM


def test_an_end_that_nobody_asked_for_is_a_death(started: Start) -> None:
    child = started(WAIT)
    child.wait_ready(lambda: True, 5)
    os.kill(child.pid, signal.SIGKILL)
    wait_until(lambda: child.poll() is not None, 5, "it is dead")
    assert child.state is State.DIED
    assert child.poll() == -signal.SIGKILL
    assert child.ended_ns is not None


def test_a_death_before_it_is_ready_shows_its_last_words_without_secrets(started: Start) -> None:
    code = "print('can not open redis://:hunter2@h/0 with hunter3'); raise SystemExit(3)"
    child = started(code, secrets=("hunter3",))
    with pytest.raises(ChildDied, match="ended with exit code 3 before it was ready") as caught:
        child.wait_ready(lambda: False, 5)
    assert "can not open redis://:***@h/0 with ***" in str(caught.value)
    assert str(child.spec.log) in caught.value.mend


def test_a_death_is_seen_even_if_the_probe_says_yes(started: Start) -> None:
    child = started("raise SystemExit(1)")

    def somebody_else_answers() -> bool:
        wait_until(lambda: start_ticks(child.pid) is None, 5, "it has ended")
        return True

    with pytest.raises(ChildDied):
        child.wait_ready(somebody_else_answers, 5)


def test_one_that_does_not_get_ready_in_time_is_an_error(started: Start) -> None:
    with pytest.raises(NotReady, match="was not ready after"):
        started(WAIT).wait_ready(lambda: False, 0.05)


def test_a_program_that_is_not_there_is_an_error(python: MakeSpec, guard: Guard) -> None:
    child = Child(python("", argv=("/nowhere/at-all",)), guard)
    with pytest.raises(StackError, match="could not be started"):
        child.start()
    child.stop(0)


def test_one_that_is_deaf_to_term_is_killed(started: Start) -> None:
    child = started(DEAF + "while True: signal.pause()")
    wait_until(said(child, "deaf"), 5, "it is deaf")
    child.stop(0.1)
    assert child.poll() == -signal.SIGKILL
    assert child.state is State.ENDED


def test_it_is_told_to_stop_once_however_often_it_is_asked(started: Start) -> None:
    # It takes the signal by waiting for it: one that comes between a handler's installation and a
    # pause would be heard only at the next.
    code = (
        "import signal\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})\n"
        "print('deaf', flush=True)\n"
        "while signal.sigwait({signal.SIGTERM}): print('told', flush=True)"
    )
    child = started(code)
    wait_until(said(child, "deaf"), 5, "it is deaf")
    child.begin_stop()
    wait_until(said(child, "told"), 5, "it has heard")
    told_ns = child.stop_ns
    child.stop(0.2)  # asks again, and has patience
    assert child.last_lines() == ["deaf", "told"]
    assert child.stop_ns == told_ns


def test_its_instants_follow_one_another(started: Start) -> None:
    child = started(WAIT)
    assert (child.ready_ns, child.stop_ns, child.ended_ns) == (None, None, None)
    assert not child.look_ready(lambda: False)
    assert child.look_ready(lambda: True)
    assert child.state is State.READY
    assert child.look_ready(lambda: False)  # once and for all
    child.stop(5)
    instants = [child.started_ns, child.ready_ns, child.stop_ns, child.ended_ns]
    assert instants == sorted(filter(None, instants))
    assert child.over


def test_a_hurry_ends_the_patience(started: Start) -> None:
    child = started(DEAF + "while True: signal.pause()")
    wait_until(said(child, "deaf"), 5, "it is deaf")
    hurry = threading.Event()
    hurry.set()
    stop_all([child], 3600, hurry)
    assert child.poll() == -signal.SIGKILL


@pytest.mark.parametrize("how", ["dies", "is stopped"])
def test_what_it_started_goes_with_it(started: Start, how: str) -> None:
    code = (
        "import os, signal, time\n"
        "grandchild = os.fork()\n"
        "if not grandchild: signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "if grandchild: print('grandchild', grandchild, flush=True)\n"
        "signal.pause()"
    )
    child = started(code)
    wait_until(said(child, "grandchild"), 5, "there is a grandchild")
    grandchild = int(child.last_lines()[-1].split()[1])
    if how == "dies":
        os.kill(child.pid, signal.SIGKILL)
        wait_until(lambda: child.poll() is not None, 5, "it is dead")
    else:
        child.stop(5)
    wait_until(lambda: start_ticks(grandchild) is None, 5, "the grandchild is gone")


def test_it_leads_a_session_so_that_ctrl_c_does_not_reach_it(started: Start) -> None:
    child = started(WAIT)
    assert os.getsid(child.pid) == child.pid != os.getsid(0)


def test_its_cpus_are_set_from_its_first_instruction(started: Start) -> None:
    mine = os.sched_getaffinity(0)
    one = min(mine)
    child = started("import os; print('on', os.sched_getaffinity(0), flush=True)", cpus=(one,))
    wait_until(said(child, "on"), 5, "it has said on which CPUs it is")
    assert child.last_lines()[-1] == f"on {{{one}}}"
    assert os.sched_getaffinity(0) == mine


def test_its_soft_open_file_limit_is_the_hard_one(started: Start) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
    try:
        child = started(WAIT)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert resource.prlimit(child.pid, resource.RLIMIT_NOFILE) == (hard, hard)


def test_it_inherits_no_descriptor_but_those_it_is_given(started: Start) -> None:
    read, write = os.pipe()
    os.set_inheritable(write, True)
    try:
        child = started(WAIT, pass_fds=(read,))
        open_there = {int(path.name) for path in Path(f"/proc/{child.pid}/fd").iterdir()}
        wait_until(
            lambda: (
                {int(path.name) for path in Path(f"/proc/{child.pid}/fd").iterdir()}
                == {0, 1, 2, read}
            ),
            5,
            f"only those are open: {open_there}",
        )
    finally:
        os.close(read)
        os.close(write)


def test_ctrl_c_comes_after_the_guard_knows_of_it(
    python: MakeSpec, guard: Guard, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[int] = []
    watch = guard.watch

    def interrupted(pid: int, start: int) -> None:
        signal.raise_signal(signal.SIGINT)
        watch(pid, start)
        told.append(pid)

    monkeypatch.setattr(guard, "watch", interrupted)
    child = Child(python(WAIT), guard)
    with pytest.raises(KeyboardInterrupt):
        child.start()
    assert told == [child.pid]
    child.stop(5)


@pytest.mark.parametrize(
    ("status", "words"),
    [(0, "ended with exit code 0"), (-9, "was killed by SIGKILL"), (-99, "by signal 99")],
)
def test_a_status_is_said_in_words(status: int, words: str) -> None:
    assert words in describe_status(status)
