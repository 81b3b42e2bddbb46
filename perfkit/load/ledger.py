"""One row for each planned request, in a memory-mapped file.

Rows are written with a few stores into shared memory: no object per row is kept, nothing is
flushed in batches while load runs, and when the process is killed the kernel still has every row
(not when the host dies). `perfkit.load.rows` turns the file into Arrow, at the end of a trial or
in a repair.

    page 0                one JSON object, padded with spaces: all that `rows` needs to know
    then, for each row    8 int64 words:
        intended | sent | first byte | done | blocked | user, iteration | outcome | planned

0 in a stamp means that it did not happen. `planned` is set last, so a row is either there or not;
it is 1, and of a journey's request 1 + its place in the iteration.
The writer holds an flock on the file until it closes it: `perfkit.load.rows.recover` waits for it.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import mmap
import os
from pathlib import Path
from typing import Any, Final, Protocol

from perfkit.errors import ResultsNotWritable
from perfkit.load.exchange import ErrorKind

__all__ = ["ERROR_KINDS", "HEADER_BYTES", "WORDS", "Ended", "Ledger"]

WORDS: Final = 8
HEADER_BYTES: Final = mmap.PAGESIZE
ERROR_KINDS: Final = tuple(ErrorKind)
"""Position + 1 is an error's number in a row; 0 is none."""

_CHUNK_ROWS: Final = 16_384  # 1 MiB
_NUMBER: Final = {kind: number for number, kind in enumerate(ERROR_KINDS, 1)}
_SENT: Final = 1
_BLOCKED: Final = 4
_OUTCOME: Final = 6


class Ended(Protocol):
    """What a row says of a request that has ended (`perfkit.load.exchange.Exchange`)."""

    sent_ns: int
    first_byte_ns: int
    done_ns: int
    blocked_ns: int
    status: int
    error: ErrorKind | None


class Ledger:
    """The rows of one generator process, in order of coming due.

    Raises:
        ResultsNotWritable: the disk is full or read-only, now or when the file grows. Room is taken
            ahead of use: a store into a mapped hole of a full disk would kill the process.
    """

    def __init__(self, path: Path, header: dict[str, Any]) -> None:
        text = json.dumps(header).encode()
        if len(text) >= HEADER_BYTES:
            raise ValueError(f"a ledger's header holds {HEADER_BYTES} bytes, not {len(text)}")
        self._path = path
        try:
            self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._not_writable(error) from None
        with contextlib.suppress(OSError):  # a file system without locks: nobody waits, then
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self.rows = 0
        self._room = 0
        try:
            size = self._take_room()
        except ResultsNotWritable:
            os.close(self._fd)
            path.unlink()
            raise
        os.pwrite(self._fd, text.ljust(HEADER_BYTES), 0)
        self._map = mmap.mmap(self._fd, size)
        self._raw = memoryview(self._map)
        self._words = self._raw.cast("q")

    def plan(self, intended_ns: int, user: int, iteration: int, queue: int, step: int = 0) -> int:
        """Add a row for a request that came due, as dropped until it is sent; returns its place."""
        if self.rows == self._room:
            self._grow()
        words = self._words
        place = HEADER_BYTES // 8 + self.rows * WORDS
        words[place] = intended_ns
        words[place + 5] = user << 32 | (iteration & 0xFFFFFFFF)
        words[place + _OUTCOME] = queue
        words[place + 7] = 1 + step
        self.rows += 1
        return place

    def sent(self, place: int, sent_ns: int, blocked_ns: int = 0) -> None:
        """Note that the request left, so that a killed generator's rows tell it from a dropped."""
        words = self._words
        words[place + _BLOCKED] = blocked_ns
        words[place + _SENT] = sent_ns

    def ended(self, place: int, exchange: Ended) -> None:
        """Write what became of the request."""
        words = self._words
        words[place + 1] = exchange.sent_ns
        words[place + 2] = exchange.first_byte_ns
        words[place + 3] = exchange.done_ns
        words[place + 4] = exchange.blocked_ns
        if exchange.error is None:
            words[place + _OUTCOME] |= exchange.status << 16
        else:
            words[place + _OUTCOME] |= _NUMBER[exchange.error] << 32

    def close(self) -> None:
        """Let go of the file; it stays."""
        if not self._map.closed:
            self._release()
            self._map.close()
            os.close(self._fd)

    def _take_room(self) -> int:
        """Reserve disk for a further chunk of rows; returns the file's new size."""
        size = HEADER_BYTES + (self._room + _CHUNK_ROWS) * WORDS * 8
        try:
            os.posix_fallocate(self._fd, 0, size)
        except OSError as error:
            raise self._not_writable(error) from None
        self._room += _CHUNK_ROWS
        return size

    def _not_writable(self, error: OSError) -> ResultsNotWritable:
        return ResultsNotWritable(
            f"{self._path}: {error.strerror}", "free some space there, or name another --results"
        )

    def _grow(self) -> None:
        size = self._take_room()
        self._release()
        self._map.resize(size)
        self._raw = memoryview(self._map)
        self._words = self._raw.cast("q")

    def _release(self) -> None:
        self._words.release()
        self._raw.release()
