"""The gateway's own log: one CSV line per call that ended.

    key,queue,attempt,received_ns,answered_ns,delay_ns,status,charged,job_id

Times are nanoseconds of the monotonic clock; ``delay_ns`` is the delay that was drawn, the
difference of the other two what it became (0 where an outage left nothing to draw); ``charged`` is
1 if this call made a new charge; ``job_id`` is the idempotency key. ``status`` is the answer's, or
`GAVE_UP` where none was sent because the client had hung up.
"""

from __future__ import annotations

import asyncio
import csv
import io
import os
import sys
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["FLUSH_EVERY_S", "GAVE_UP", "Call", "CallLog"]

FLUSH_EVERY_S: Final = 0.1
GAVE_UP: Final = 499
"""No status of HTTP: what access logs write for a client that closed its request."""


class Call(NamedTuple):
    """One call that ended, in the order of the columns."""

    key: str
    queue: str
    attempt: int
    received_ns: int
    answered_ns: int
    delay_ns: int
    status: int
    charged: int
    job_id: str


class CallLog:
    """Appends calls to a file, in batches: a line is on its way to disk after `FLUSH_EVERY_S`.

    A batch that can't be written (disk full) is said on stderr, kept, and tried again.
    """

    def __init__(self, path: Path) -> None:
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        self._rows = io.StringIO()
        self._writer = csv.writer(self._rows, lineterminator="\n")
        self._unwritten = b""
        self._scheduled: asyncio.TimerHandle | None = None
        if os.fstat(self._fd).st_size == 0:
            self._writer.writerow(Call._fields)
            self.flush()

    def add(self, call: Call) -> None:
        """Take one call; must be called in the event loop."""
        self._writer.writerow(call)
        if self._scheduled is None:
            self._scheduled = asyncio.get_running_loop().call_later(FLUSH_EVERY_S, self._on_time)

    def flush(self) -> None:
        """Write what has gathered."""
        self._unwritten += self._rows.getvalue().encode()
        self._rows.seek(0)
        self._rows.truncate()
        try:
            while self._unwritten:
                written = os.write(self._fd, self._unwritten)
                self._unwritten = self._unwritten[written:]
        except OSError as error:
            size = len(self._unwritten)
            print(f"call log: {size} bytes wait: {error.strerror}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Write the rest and close the file."""
        if self._scheduled is not None:
            self._scheduled.cancel()
        self.flush()
        os.close(self._fd)

    def _on_time(self) -> None:
        self._scheduled = None
        self.flush()
        if self._unwritten:
            self._scheduled = asyncio.get_running_loop().call_later(FLUSH_EVERY_S, self._on_time)
