"""One file of a spool: blocks reserved beforehand, mapped, its slots given out one by one."""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Final

__all__ = ["NO_SEGMENT", "Segment", "preallocated"]


class Segment:
    """One mapped file and the counter that gives out its slots.

    The mapping is never closed by hand: a thread that claimed a slot may still write to it after
    another thread has rolled on. It goes when the last of them lets go.
    """

    __slots__ = ("claim", "map", "slots")

    def __init__(self, mapping: mmap.mmap | bytearray, slots: int) -> None:
        self.map = mapping
        self.slots = slots
        self.claim: Callable[[], int] = itertools.count().__next__
        # count() is atomic because of the GIL; without one it needs a lock.
        if not getattr(sys, "_is_gil_enabled", lambda: True)():
            self.claim = _locked(self.claim)


def _locked(claim: Callable[[], int]) -> Callable[[], int]:
    lock = threading.Lock()

    def claim_alone() -> int:
        with lock:
            return claim()

    return claim_alone


NO_SEGMENT: Final = Segment(bytearray(), 0)
"""No room at all: every claim takes the slow path."""


def preallocated(path: Path, size: int) -> mmap.mmap:
    """A new file of zeros whose blocks are reserved, mapped; nothing is left if that fails."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
    try:
        # Not ftruncate: writing to a page that the disk has no room for is a SIGBUS.
        os.posix_fallocate(handle, 0, size)
        return mmap.mmap(handle, size)
    # All of them: an actor's time limit or the shutdown of its worker is raised into whatever its
    # thread does, and neither is an Exception. A file nobody writes to would be 20 MiB of nothing.
    # What can't be removed either must not hide why.
    except BaseException:
        with contextlib.suppress(OSError):
            path.unlink()
        raise
    finally:
        os.close(handle)
