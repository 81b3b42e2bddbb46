"""One row for each planned request, as a sender that knows its whole plan writes them.

The bytes are those of the load generator's file, which `perfkit.load.ledger` draws; this module
writes them with the standard library alone, and `perfkit.load.rows` reads both. All rows are there
from the start, and one counts once its ``planned`` word is set: of a killed process the rest is
as if it had never come due.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
from array import array
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["HEADER_BYTES", "WORDS", "Ledger"]

WORDS: Final = 8
HEADER_BYTES: Final = mmap.PAGESIZE
_FIRST: Final = HEADER_BYTES // 8
_INTENDED, _SENT, _DONE, _BLOCKED, _WHO, _OUTCOME, _PLANNED = 0, 1, 3, 4, 5, 6, 7


class Ledger:
    """The rows of a plan, in order of coming due.

    Args:
        path: a file that does not exist.
        header: what `perfkit.load.rows` needs to know.
        queues: of each row, the position of its queue in the header.
        users, iterations: of each row; -1 in an open model.

    Raises:
        OSError: the disk is full or read-only. Room for all rows is taken at once: a store into a
            mapped hole of a full disk would kill the process.
    """

    def __init__(
        self,
        path: Path,
        header: Mapping[str, Any],
        queues: array[int],
        users: array[int],
        iterations: array[int],
    ) -> None:
        text = json.dumps(header).encode()
        if len(text) >= HEADER_BYTES:
            raise ValueError(f"a ledger's header holds {HEADER_BYTES} bytes, not {len(text)}")
        self._rows = len(queues)
        size = HEADER_BYTES + max(self._rows, 1) * WORDS * 8
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        try:
            # Held until it is closed: who makes tables of the file waits for it.
            with contextlib.suppress(OSError):
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.posix_fallocate(self._fd, 0, size)
            os.pwrite(self._fd, text.ljust(HEADER_BYTES), 0)
            self._map = mmap.mmap(self._fd, size)
        except BaseException:  # a signal's exception too: no half-made file stays, nor its lock
            os.close(self._fd)
            path.unlink()
            raise
        self._raw = memoryview(self._map)
        self._words = self._raw.cast("q")
        who = (user << 32 | turn & 0xFFFFFFFF for user, turn in zip(users, iterations, strict=True))
        self._column(_WHO, array("q", who))
        self._column(_OUTCOME, queues)

    def begin(self, intended_ns: array[int]) -> None:
        """The instants are known."""
        self._column(_INTENDED, intended_ns)

    def due(self, row: int) -> None:
        """The row came due: it counts, as dropped until it is sent."""
        self._words[_FIRST + row * WORDS + _PLANNED] = 1

    def sent(self, row: int, sent_ns: int, blocked_ns: int) -> None:
        """It is sent now: if nothing more is heard of it, it was abandoned."""
        words, place = self._words, _FIRST + row * WORDS
        words[place + _BLOCKED] = blocked_ns
        words[place + _SENT] = sent_ns
        words[place + _PLANNED] = 1

    def accepted(self, row: int, done_ns: int, status: int) -> None:
        """It was taken."""
        words, place = self._words, _FIRST + row * WORDS
        words[place + _OUTCOME] |= status << 16
        words[place + _DONE] = done_ns

    def failed(self, row: int, error: int) -> None:
        """It came due and was not taken; the error is its number in the generator's list."""
        words, place = self._words, _FIRST + row * WORDS
        words[place + _OUTCOME] |= error << 32
        words[place + _PLANNED] = 1

    def close(self) -> None:
        """Let go of the file; it stays."""
        self._words.release()
        self._raw.release()
        self._map.close()
        os.close(self._fd)

    def _column(self, word: int, values: array[int]) -> None:
        if self._rows:
            self._words[_FIRST + word :: WORDS] = memoryview(values)
