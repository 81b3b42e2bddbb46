"""Waiting for a condition: the only way a test may let time pass."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

_TICK = threading.Event()


def wait_until(condition: Callable[[], object], timeout_s: float, what: str) -> None:
    """Return as soon as ``condition()`` is truthy.

    Raises:
        AssertionError: after ``timeout_s`` seconds, saying what did not come.
    """
    deadline = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s in vain until {what}")
        _TICK.wait(0.01)
