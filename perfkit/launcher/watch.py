"""A thread that hears of a process' end within a millisecond, and costs nothing until then."""

from __future__ import annotations

import contextlib
import os
import select
import threading
from collections.abc import Callable

from perfkit.launcher.keeper import start_ticks

__all__ = ["Watch"]

_POLL_MS = 100  # only where the kernel has no pidfd (before Linux 5.3)


class Watch:
    """Calls back, once, when a process ends. Callbacks run one after another in its thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_fd: dict[int, Callable[[], None]] = {}
        self._by_pid: dict[tuple[int, int], Callable[[], None]] = {}
        self._wake_read, self._wake_write = os.pipe()
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="perfkit-watch", daemon=True)
        self._thread.start()

    def add(self, pid: int, ended: Callable[[], None]) -> None:
        """Watch a process, a child or not; of a child, before it was reaped."""
        with self._lock:
            try:
                self._by_fd[os.pidfd_open(pid)] = ended
            except ProcessLookupError:  # gone, and reaped by somebody else
                self._by_pid[pid, -1] = ended
            except OSError:
                self._by_pid[pid, start_ticks(pid) or -1] = ended
            self._wake()

    def close(self) -> None:
        """End the thread; what ends from now on is nobody's business."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
            self._wake()
        if threading.current_thread() is not self._thread:
            self._thread.join()
        for fd in (*self._by_fd, self._wake_read, self._wake_write):
            os.close(fd)

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            os.write(self._wake_write, b"!")

    def _run(self) -> None:
        while True:
            poll = select.poll()
            poll.register(self._wake_read, select.POLLIN)
            with self._lock:
                if self._closed:
                    return
                for fd in self._by_fd:
                    poll.register(fd, select.POLLIN)
                patience_ms = _POLL_MS if self._by_pid else None
            ready = [fd for fd, _ in poll.poll(patience_ms)]
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
            for ended in self._take(ready):
                ended()

    def _take(self, ready: list[int]) -> list[Callable[[], None]]:
        with self._lock:
            if self._closed:
                return []
            found = []
            for fd in ready:
                if fd in self._by_fd:
                    found.append(self._by_fd.pop(fd))
                    os.close(fd)
            gone = [key for key in self._by_pid if (start_ticks(key[0]) or -2) != key[1]]
            return found + [self._by_pid.pop(key) for key in gone]
