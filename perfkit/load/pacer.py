"""Wakes the event loop at an instant, to some ten microseconds.

The timers of both loops round to a millisecond. A timerfd does not: it is armed with an absolute
instant of CLOCK_MONOTONIC, and the loop sees it as one more descriptor to read. Nothing spins, so
an idle generator costs nothing; see `tests/benchmarks/bench_generator.py` for the lag it leaves.
"""

from __future__ import annotations

import asyncio
import ctypes
import os
import time
from collections.abc import Callable
from typing import Final

from perfkit.load.exchange import NEVER_NS

__all__ = ["Pacer"]

_SECOND: Final = 1_000_000_000
_ABSOLUTE: Final = 1  # TFD_TIMER_ABSTIME


class _Timespec(ctypes.Structure):
    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


class _Itimerspec(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Pacer:
    """Calls ``wake()`` once for each `arm`, at the instant or as soon after it as the loop can.

    Linux only. Python has timerfd from 3.13 on; through ctypes it is there for all.
    """

    def __init__(self, wake: Callable[[], None]) -> None:
        self._wake = wake
        self._loop = asyncio.get_running_loop()
        libc = ctypes.CDLL(None, use_errno=True)
        self._settime = libc.timerfd_settime
        self._fd: int = libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "timerfd_create: the kernel gives no timer")
        self._spec = _Itimerspec()
        self._value = self._spec.value
        self._pointer = ctypes.byref(self._spec)
        self.armed_ns = NEVER_NS
        self._loop.add_reader(self._fd, self._expired)

    def arm(self, instant_ns: int) -> None:
        """Wake at this instant and no other; `NEVER_NS` disarms. Does nothing once closed."""
        if instant_ns == self.armed_ns or self._fd < 0:
            return
        self.armed_ns = instant_ns
        if instant_ns == NEVER_NS:
            instant_ns = 0
        elif instant_ns < 1:
            instant_ns = 1  # zero would disarm
        self._value.seconds, self._value.nanoseconds = divmod(instant_ns, _SECOND)
        if self._settime(self._fd, _ABSOLUTE, self._pointer, None):
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")

    def close(self) -> None:
        """Give the timer back."""
        if self._fd >= 0:
            self._loop.remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
            self.armed_ns = NEVER_NS

    def _expired(self) -> None:
        # No read: arming anew or disarming takes the expiry off the descriptor.
        self.arm(NEVER_NS)
        self._wake()
