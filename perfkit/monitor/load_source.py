"""The load generator of a running trial: offered, sent and how late, read from its own rows."""

from __future__ import annotations

import json
import mmap
import os
from array import array
from collections import deque
from dataclasses import dataclass
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
_OPEN_MOST: Final = 50_000
_INTENDED, _SENT, _DONE, _BLOCKED, _OUTCOME, _PLANNED = 0, 1, 3, 4, 6, 7


@dataclass(slots=True)
class _Row:
    """A request that came due lately; looked at again until it is sent."""

    at: int
    intended_ns: int
    sent_ns: int = 0
    blocked_ns: int = 0


class LoadSource:
    """Reads on in the ledgers of a trial's folder; each row about twice."""

    def __init__(self, trial: Path) -> None:
        self._trial = trial
        self._ledgers: dict[Path, _Ledger] = {}

    def look(self, clock: Clock) -> Load | None:
        """How it goes; None before the first request came due."""
        for path in sorted([self._trial / _LEDGER, *self._trial.glob(f"*/{_LEDGER}")]):
            if path not in self._ledgers and path.is_file():
                self._ledgers[path] = _Ledger(path)
        now_ns = clock.now_ns()
        for ledger in self._ledgers.values():
            ledger.read(now_ns)
        rows = [row for ledger in self._ledgers.values() for row in ledger.recent]
        due = sum(ledger.due for ledger in self._ledgers.values())
        phase, elapsed_s, left_s = _phase(self._trial, now_ns)
        if not due:
            return None if phase is None else Load(phase=phase, elapsed_s=elapsed_s, left_s=left_s)
        lags = sorted(
            max(0, row.sent_ns - row.intended_ns - row.blocked_ns) / 1e9
            for row in rows
            if row.sent_ns > now_ns - _SPAN_NS
        )
        span_s = _SPAN_NS / 1e9
        return Load(
            phase=phase,
            offered=sum(row.intended_ns > now_ns - _SPAN_NS for row in rows) / span_s,
            achieved=len(lags) / span_s,
            lag_p99_s=quantile_of_sorted(lags, 0.99) if lags else None,
            sent=sum(ledger.sent for ledger in self._ledgers.values()),
            dropped=sum(ledger.unsent for ledger in self._ledgers.values()),
            elapsed_s=elapsed_s,
            left_s=left_s,
        )


class _Ledger:
    """One process's rows, in order of coming due."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.due = self.sent = self.unsent = 0
        self.recent: deque[_Row] = deque()

    def read(self, now_ns: int) -> None:
        """Take in the rows that came due, and those that were sent since."""
        try:
            handle = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            return  # made into tables: the trial is over
        try:
            size = os.fstat(handle).st_size
            if size <= HEADER_BYTES:
                return
            with mmap.mmap(handle, size, access=mmap.ACCESS_READ) as mapped:
                self._look_again(mapped)
                self._read_on(mapped, (size - HEADER_BYTES) // _ROW)
        finally:
            os.close(handle)
        while self.recent and (
            self.recent[0].intended_ns < now_ns - _SPAN_NS or len(self.recent) > _OPEN_MOST
        ):
            row = self.recent.popleft()
            self.unsent += not row.sent_ns

    def _look_again(self, mapped: mmap.mmap) -> None:
        for row in self.recent:
            if not row.sent_ns:
                words = _words(mapped, row.at, 1)
                row.sent_ns, row.blocked_ns = words[_SENT], words[_BLOCKED]
                self.sent += bool(row.sent_ns)

    def _read_on(self, mapped: mmap.mmap, rows: int) -> None:
        while self.due < rows:
            words = _words(mapped, self.due, min(_CHUNK, rows - self.due))
            for start in range(0, len(words), WORDS):
                if not words[start + _PLANNED]:
                    return
                row = _Row(
                    self.due,
                    words[start + _INTENDED],
                    words[start + _SENT],
                    words[start + _BLOCKED],
                )
                self.due += 1
                self.sent += bool(row.sent_ns)
                self.recent.append(row)
                if len(self.recent) > _OPEN_MOST:
                    self.unsent += not self.recent.popleft().sent_ns


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
