from __future__ import annotations

import os
import signal
import threading

import pytest

from perfkit.launcher.interrupts import Terminated, deferred, terminable


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_would_have_killed_us_is_raised_within(number: signal.Signals) -> None:
    with pytest.raises(Terminated, match=number.name), terminable():
        os.kill(os.getpid(), number)
    assert signal.getsignal(number) is signal.SIG_DFL


def test_a_handler_of_somebody_else_stays() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: came.append(number))
    try:
        with terminable():
            os.kill(os.getpid(), signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert came == [signal.SIGTERM]


@pytest.mark.parametrize(
    ("number", "raised"),
    [
        (signal.SIGINT, KeyboardInterrupt),
        (signal.SIGTERM, Terminated),
        (signal.SIGHUP, Terminated),
    ],
)
def test_cleaning_up_is_not_broken_off_but_hurried(
    number: signal.Signals, raised: type[BaseException]
) -> None:
    seen: list[bool] = []

    def clean_up() -> None:
        with terminable(), deferred() as hurry:
            seen.append(hurry.is_set())
            os.kill(os.getpid(), number)
            os.kill(os.getpid(), number)
            seen.append(hurry.is_set())

    with pytest.raises(raised):
        clean_up()
    assert seen == [False, True]


def test_a_deferred_signal_reaches_the_handler_of_before() -> None:
    came: list[int] = []
    before = signal.signal(signal.SIGINT, lambda number, _frame: came.append(number))
    try:
        with deferred():
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)
            assert not came
        assert came == [signal.SIGINT]
    finally:
        signal.signal(signal.SIGINT, before)


def test_without_a_signal_nothing_is_raised_and_handlers_are_as_before() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with terminable(), deferred() as hurry:
        pass
    assert not hurry.is_set()
    assert [signal.getsignal(number) for number in numbers] == before


def test_in_another_thread_signals_are_left_alone() -> None:
    seen: list[object] = []

    def work() -> None:
        with terminable(), deferred():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [signal.SIG_DFL]
