"""The sidecar of a spool: JSON lines that say who writes it, and resolve its names.

{"spool": 2, "name", "role", "pid", "broker_id", "mono_ns", "wall_ns"}    first line
{"index": 3, "name": "payments"}       a queue, actor or error type of the slots
{"id": "9f...", "text": "order-17"}    a message id that is not a UUID, by its digest
{"lost": 1, "reason": "no space left on device for the recorder's spool"}
{"dropped": 4, "events": 195312}       file 4 is removed for want of disk; written before it goes
{"closed": true, "lost": 0}            the process ended in order

Its process holds a lock on it (flock) for as long as it lives: see `perfkit.recorder.budget`.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
import time
from pathlib import Path
from typing import Any

from perfkit.recorder.events import SPOOL_VERSION

__all__ = ["Sidecar", "SidecarReader", "append_line", "is_held"]


class Sidecar:
    """An append-only file; each line is in the page cache when `write` returns.

    Raises:
        OSError: when the file can't be made or a line has no room.
    """

    __slots__ = ("_handle", "stem")

    def __init__(self, directory: Path, *, name: str, role: str, broker_id: str) -> None:
        pid = os.getpid()
        # The pid alone is not unique where each container has its own numbering.
        for suffix in itertools.count():
            stem = f"{name}.{pid}" + (f"-{suffix}" if suffix else "")
            try:
                self._handle = os.open(
                    directory / f"{stem}.jsonl",
                    os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC,
                    0o644,
                )
                break
            except FileExistsError:
                continue
        self.stem = stem
        with contextlib.suppress(OSError):  # a file system without locks
            _lock(self._handle, shared=False)
        self.write(
            {
                "spool": SPOOL_VERSION,
                "name": name,
                "role": role,
                "pid": pid,
                "broker_id": broker_id,
                "mono_ns": time.monotonic_ns(),
                "wall_ns": time.time_ns(),
            }
        )

    def write(self, line: dict[str, object]) -> None:
        """Append one line."""
        _write(self._handle, line)

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)


def append_line(path: Path, line: dict[str, object]) -> None:
    """Add a line to the sidecar of any process, dead or alive.

    Raises:
        OSError: when it is gone, or has no room.
    """
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
    try:
        # A process that was killed may have left half a line.
        _write(handle, line, before=b"\n")
    finally:
        os.close(handle)


def _write(handle: int, line: dict[str, object], before: bytes = b"") -> None:
    text = before + json.dumps(line, separators=(",", ":")).encode() + b"\n"
    if os.write(handle, text) != len(text):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def is_held(path: Path) -> bool:
    """Whether the process of this sidecar is alive and has not ended its spool; True in doubt."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        _lock(handle, shared=True)
    except OSError:
        return True
    else:
        return False
    finally:
        os.close(handle)


def _lock(handle: int, *, shared: bool) -> None:
    import fcntl  # not on every system on which spools are read

    fcntl.flock(handle, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)


class SidecarReader:
    """What the lines say so far; reads on from where it was."""

    __slots__ = ("_at", "closed", "dropped", "head", "ids", "lost", "names", "path", "reason")

    def __init__(self, path: Path) -> None:
        self.path = path
        self._at = 0
        self.head: dict[str, Any] | None = None
        """The first line; None until it is whole."""
        self.names: dict[int, str] = {0: ""}
        self.ids: dict[bytes, str] = {}
        self.lost = 0
        self.reason = ""
        self.dropped: dict[int, int] = {}
        """Number of each file removed for want of disk -> events it held, at most."""
        self.closed = False

    def read(self) -> bool:
        """Take in the lines that are new and whole; False as long as there is not even a first.

        Raises:
            ValueError: for a spool of another version.
        """
        with self.path.open("rb") as lines:
            lines.seek(self._at)
            text = lines.read()
        whole = text.rfind(b"\n") + 1
        self._at += whole
        for line in text[:whole].split(b"\n"):
            try:
                self._take(json.loads(line))
            except json.JSONDecodeError:
                continue  # torn by a kill or a full disk; slots that miss a name count as corrupt
        return self.head is not None

    def _take(self, entry: dict[str, Any]) -> None:
        if "spool" in entry:
            if entry["spool"] != SPOOL_VERSION:
                raise ValueError(f"{self.path} is of version {entry['spool']}, not {SPOOL_VERSION}")
            self.head = entry
        elif "index" in entry:
            self.names[entry["index"]] = entry["name"]
        elif "id" in entry:
            self.ids[bytes.fromhex(entry["id"])] = entry["text"]
        elif "dropped" in entry:
            self.dropped[entry["dropped"]] = entry["events"]
        self.lost = max(self.lost, entry.get("lost", 0))
        self.reason = self.reason or entry.get("reason", "")
        self.closed = self.closed or entry.get("closed", False)
