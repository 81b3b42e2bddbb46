"""Notices user code that keeps the event loop, and says where.

While the loop stands still nothing is sent and no reply is read: whatever was measured then tells
of the user's code and not of the target. A thread looks at the loop's heartbeat:

    0.5 s without one     a record, with the line that user code is at; again every second
    10 s                  the process ends; every row and record is on disk
    14 s                  the same by faulthandler, which needs no interpreter lock: a regular
                          expression can keep that, and with it every thread of Python; where
                          faulthandler can't be armed, by SIGALRM, which knows no line
"""

from __future__ import annotations

import asyncio
import faulthandler
import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns
from types import FrameType
from typing import IO, Final

from perfkit.load.happenings import TRACE
from perfkit.load.usercode import is_users

__all__ = ["BLOCKED_EXIT", "Watchdog"]

BLOCKED_EXIT: Final = 75
"""Exit code of a generator whose user code did not give the event loop back."""

_BEAT_S: Final = 0.1
_ARM_EVERY: Final = 10  # beats
_NOTICED_S: Final = 0.5
_PATIENCE_S: Final = 10.0
_LAST_S: Final = 14.0


class Watchdog:
    """Watches the running loop from `start` to `close`.

    Args:
        folder: where faulthandler writes, should it come to that.
        note: called with the place and the seconds so far, from another thread.
    """

    def __init__(self, folder: Path, note: Callable[[str, float], None]) -> None:
        self._note = note
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._trace: IO[str] = (folder / TRACE).open("w")
        self._beat_ns = monotonic_ns()
        self._beats = 0
        self._has_alarm = False  # instead of faulthandler
        self._timer: asyncio.TimerHandle | None = None
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._beat()
        self._thread.start()

    def close(self) -> None:
        """Look no more."""
        self._closed.set()
        if self._timer is not None:
            self._timer.cancel()
        if self._has_alarm:
            signal.setitimer(signal.ITIMER_REAL, 0)
        else:
            faulthandler.cancel_dump_traceback_later()
        if self._thread.is_alive():
            self._thread.join()
        if not self._trace.closed:
            self._trace.close()

    def _beat(self) -> None:
        self._beat_ns = monotonic_ns()
        if self._beats % _ARM_EVERY == 0:
            self._arm()
        self._beats += 1
        self._timer = self._loop.call_later(_BEAT_S, self._beat)

    def _arm(self) -> None:
        """Let the process end, whatever keeps it, unless this is called again before."""
        if not self._has_alarm:
            try:
                faulthandler.dump_traceback_later(_LAST_S, exit=True, file=self._trace)
                return
            except (RuntimeError, OSError, ValueError):  # no thread for it, or no file
                self._has_alarm = True
                # By the kernel alone: a handler in Python would wait for the lock that is kept.
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, _LAST_S)

    def _watch(self) -> None:
        told_s = 0.0
        while not self._closed.wait(_BEAT_S):
            late_s = (monotonic_ns() - self._beat_ns) / 1e9 - _BEAT_S
            if late_s < _NOTICED_S:
                told_s = 0.0
                continue
            place = _place_of(sys._current_frames().get(self._watched))
            if place and (late_s >= told_s + 1 or not told_s):
                told_s = late_s
                self._note(place, late_s)
            if late_s >= _PATIENCE_S:
                where = place or "a place that is not known"
                print(
                    f"user code kept the event loop for {late_s:.0f} s, at {where}",
                    file=sys.stderr,
                    flush=True,
                )
                os._exit(BLOCKED_EXIT)


def _place_of(frame: FrameType | None) -> str:
    """The innermost line of user code; "" where none runs."""
    while frame is not None:
        if is_users(frame.f_code.co_filename):
            return f"{Path(frame.f_code.co_filename).name}:{frame.f_lineno}"
        frame = frame.f_back
    return ""
