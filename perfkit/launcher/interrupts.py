"""Signals that end us, turned into an exception once and into a hint while we clean up."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

__all__ = ["Terminated", "deferred", "terminable"]


class Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP: to be treated like Ctrl-C."""


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Within, SIGTERM and SIGHUP raise `Terminated`, so that ``with`` blocks are left in order.

    Only where they would have killed us: a handler of somebody else stays, as does "ignored". In
    another thread than the main one nothing is changed; then a SIGTERM kills, and the keeper
    clears.
    """
    if not _in_main_thread():
        yield
        return

    def terminate(number: int, _frame: FrameType | None) -> None:
        raise Terminated(signal.Signals(number).name)

    changed = [
        number
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is signal.SIG_DFL
    ]
    for number in changed:
        signal.signal(number, terminate)
    try:
        yield
    finally:
        for number in changed:
            signal.signal(number, signal.SIG_DFL)


@contextlib.contextmanager
def deferred() -> Iterator[threading.Event]:
    """Within, SIGINT, SIGTERM and SIGHUP only set the event; on leaving, they come as ever.

    Cleaning up must not be broken off by an impatient second Ctrl-C, but may hurry; and a child
    must not be started without being noted.
    """
    hurry = threading.Event()
    if not _in_main_thread():
        yield hurry
        return
    came: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        # Once: one handler that comes within another must not wait for the lock in `set`.
        if len(came) == 1:
            hurry.set()

    before = {}
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) not in (signal.SIG_IGN, None):
            before[number] = signal.signal(number, note)
    try:
        yield hurry
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    for arrived in dict.fromkeys(came):
        signal.raise_signal(arrived)
