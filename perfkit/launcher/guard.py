"""The launcher's end of the keeper: a process that kills what perfkit can no longer stop.

Whatever is told to one keeper is told again to its successor when it dies before its time.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from perfkit.launcher import keeper

__all__ = ["Guard"]


class Guard:
    """Keeps a list of processes and private folders that must not outlive this process.

    `close` ends the keeper, which then clears whatever is still on the list; ``grace_s``: how long
    it lets a process take to end by itself. Thread-safe.
    """

    def __init__(self, grace_s: float = 2.0) -> None:
        self._grace_s = grace_s
        self._lock = threading.Lock()
        self._leaders: dict[int, int] = {}
        self._folders: list[str] = []
        self._closed = False
        self._process = self._start()

    @property
    def pid(self) -> int:
        """The keeper's process."""
        return self._process.pid

    def watch(self, pid: int, start: int) -> None:
        """A session leader just started."""
        with self._lock:
            self._leaders[pid] = start
            self._tell(f"watch {pid} {start}")

    def forget(self, pid: int) -> None:
        """It ended, and nothing of its session is left."""
        with self._lock:
            if self._leaders.pop(pid, None) is not None:
                self._tell(f"forget {pid}")

    def make_folder(self) -> Path:
        """A new folder that nobody else may enter; removed at the latest when we die."""
        folder = Path(tempfile.mkdtemp(prefix=keeper.PREFIX)).resolve()
        with self._lock:
            self._folders.append(str(folder))
            self._tell(f"folder {folder}")
        return folder

    def remove_folder(self, folder: Path) -> None:
        """Remove a folder made here."""
        keeper.remove_tree(str(folder))
        with self._lock, contextlib.suppress(ValueError):
            self._folders.remove(str(folder))
            self._tell(f"unfolder {folder}")

    def renew(self) -> None:
        """Start another keeper if this one has died."""
        with self._lock:
            if not self._closed and self._process.poll() is not None:
                self._replace()

    def close(self) -> None:
        """End the keeper. It needs no time when all was stopped before."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        # Only a keeper that was killed leaves any.
        for folder in self._folders:
            keeper.remove_tree(folder)

    def _start(self) -> subprocess.Popen[bytes]:
        # By path, isolated and without site: it starts in 15 ms and no PYTHONPATH can break it.
        return subprocess.Popen(
            [sys.executable, "-I", "-S", keeper.__file__, str(os.getpid()), str(self._grace_s)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _tell(self, command: str) -> None:
        if self._closed or self._process.stdin is None:
            return
        try:
            self._process.stdin.write(os.fsencode(command) + b"\n")
            self._process.stdin.flush()
        except OSError:  # dead; its successor hears of everything
            self._replace()

    def _replace(self) -> None:
        self._process.kill()
        self._process.wait()
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()
        self._process = self._start()
        assert self._process.stdin is not None
        commands = [f"watch {pid} {start}" for pid, start in self._leaders.items()]
        commands += [f"folder {folder}" for folder in self._folders]
        with contextlib.suppress(OSError):
            self._process.stdin.write(b"".join(os.fsencode(line) + b"\n" for line in commands))
            self._process.stdin.flush()
