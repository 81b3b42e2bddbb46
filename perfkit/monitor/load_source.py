"""The load generator of a running trial: offered, sent and how late, read from its own rows."""

from __future__ import annotations

import json
import mmap
import os
from array import array
from collections import deque
from pathlib import Path
from typing import Any, Final

from perfkit.clock import Clock
from perfkit.monitor.snapshot import Load
from perfkit.recorder.ledger import HEADER_BYTES, WORDS
from perfkit.stats.order import quantile_of_sorted

__all__ = ["LoadSource"]

_LEDGER: Final = "requests.ledger"
_SPAN_NS: Final = 5_000_000_000
_ROW: Final = WORDS * 8
_CHUNK: Final = 16_384
_MOST: Final = 200_000  # requests of the last seconds; beyond it rates are lower bounds
_MOST_OPEN: Final = 10_000  # as many as a generator has in flight by default
_INTENDED, _SENT, _BLOCKED, _PLANNED = 0, 1, 4, 7


class LoadSource:
    """Reads on in the ledgers of a trial's folder: each row once, and until it is sent."""

    def __init__(self, trial: Path) -> None:
        self._trial = trial
        self._ledgers: dict[Path, _Ledger] = {}

    def look(self, clock: Clock) -> Load | None:
        """How it goes; None before the first request came due."""
        for path in sorted([self._trial / _LEDGER, *self._trial.glob(f"*/{_LEDGER}")]):
            if path not in self._ledgers and path.is_file():
                self._ledgers[path] = _Ledger(path)
        now_ns = clock.now_ns()
        ledgers = self._ledgers.values()
        for ledger in ledgers:
            ledger.read(now_ns)
        phase, elapsed_s, left_s = _phase(self._trial, now_ns)
        if not any(ledger.due for ledger in ledgers):
            return None if phase is None else Load(phase=phase, elapsed_s=elapsed_s, left_s=left_s)
        lags_s = sorted(max(0, lag_ns) / 1e9 for each in ledgers for _, lag_ns in each.went)
        span_s = _SPAN_NS / 1e9
        return Load(
            phase=phase,
            offered=sum(len(ledger.came) for ledger in ledgers) / span_s,
            achieved=len(lags_s) / span_s,
            lag_p99_s=quantile_of_sorted(lags_s, 0.99) if lags_s else None,
            sent=sum(ledger.sent for ledger in ledgers),
            dropped=sum(ledger.unsent(now_ns) for ledger in ledgers),
            elapsed_s=elapsed_s,
            left_s=left_s,
        )


class _Ledger:
    """One process's rows, in order of coming due.

    ``came``: when requests of the last seconds were meant to be sent. ``went``: when those that
    were sent lately were, and how late, without the time for which they waited for a connection.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.due = self.sent = 0
        self.came: deque[int] = deque(maxlen=_MOST)
        self.went: deque[tuple[int, int]] = deque(maxlen=_MOST)
        self._open: deque[tuple[int, int]] = deque()  # row and intended instant, not sent yet
        self._given_up = 0

    def read(self, now_ns: int) -> None:
        """Take in the rows that came due, and those that were sent since."""
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return  # made into tables: the trial is over
        try:
            size = os.fstat(handle).st_size
            rows = (size - HEADER_BYTES) // _ROW
            if rows > 0:
                with mmap.mmap(handle, size, access=mmap.ACCESS_READ) as mapped:
                    self._look_again(mapped, rows)
                    self._read_on(mapped, rows)
        finally:
            os.close(handle)
        since_ns = now_ns - _SPAN_NS
        while self.came and self.came[0] <= since_ns:
            self.came.popleft()
        self.went = deque((each for each in self.went if each[0] > since_ns), maxlen=_MOST)

    def unsent(self, now_ns: int) -> int:
        """Requests that came due seconds ago and are not sent: taken for dropped until they are."""
        late_ns = now_ns - _SPAN_NS
        return self._given_up + sum(intended_ns <= late_ns for _, intended_ns in self._open)

    def _look_again(self, mapped: mmap.mmap, rows: int) -> None:
        waiting = self._open
        self._open = deque()
        for row, intended_ns in waiting:
            if row < rows:
                self._sort(row, intended_ns, _words(mapped, row, 1), 0)

    def _read_on(self, mapped: mmap.mmap, rows: int) -> None:
        while self.due < rows:
            words = _words(mapped, self.due, min(_CHUNK, rows - self.due))
            for start in range(0, len(words), WORDS):
                if not words[start + _PLANNED]:
                    return
                intended_ns = words[start + _INTENDED]
                self.came.append(intended_ns)
                self._sort(self.due, intended_ns, words, start)
                self.due += 1

    def _sort(self, row: int, intended_ns: int, words: array[int], start: int) -> None:
        """Sent, or to be looked at again."""
        if sent_ns := words[start + _SENT]:
            self.sent += 1
            self.went.append((sent_ns, sent_ns - intended_ns - words[start + _BLOCKED]))
            return
        self._open.append((row, intended_ns))
        if len(self._open) > _MOST_OPEN:
            self._open.popleft()
            self._given_up += 1


def _words(mapped: mmap.mmap, row: int, count: int) -> array[int]:
    start = HEADER_BYTES + row * _ROW
    return array("q", mapped[start : start + count * _ROW])


def _phase(trial: Path, now_ns: int) -> tuple[str | None, float | None, float | None]:
    """Phase, seconds since the load began, and until it ends, as the trial has planned them."""
    try:
        facts: Any = json.loads((trial / "trial.json").read_bytes())
        instants = facts["instants_ns"]
        start_ns, end_ns = int(instants["load_start"]), int(instants["load_end"])
        window_ns = int(instants["window_start"])
    except (OSError, ValueError, KeyError, TypeError):
        return None, None, None
    elapsed_s, left_s = (now_ns - start_ns) / 1e9, max(0.0, (end_ns - now_ns) / 1e9)
    if now_ns >= end_ns:
        return "drain", elapsed_s, left_s
    return ("warm-up" if now_ns < window_ns else "measure"), elapsed_s, left_s
