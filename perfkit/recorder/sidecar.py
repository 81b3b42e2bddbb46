"""The sidecar of a spool: JSON lines that say who writes it, and resolve its names.

{"spool": 1, "name", "role", "pid", "broker_id", "mono_ns", "wall_ns"}    first line
{"index": 3, "name": "payments"}       a queue, actor or error type of the slots
{"id": "9f...", "text": "order-17"}    a message id that is not a UUID, by its digest
{"lost": 1, "reason": "no space left on device for the recorder's spool"}
{"closed": true, "lost": 0}            the process ended in order
"""

from __future__ import annotations

import errno
import itertools
import json
import os
import time
from pathlib import Path

from perfkit.recorder.events import SPOOL_VERSION

__all__ = ["Sidecar"]


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
        text = json.dumps(line, separators=(",", ":")).encode() + b"\n"
        if os.write(self._handle, text) != len(text):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def close(self) -> None:
        """Close the file."""
        os.close(self._handle)
