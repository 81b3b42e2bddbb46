"""What user code does beside its requests: iterations, checks and measures of its own.

Each is a record of fixed length, written at once: a killed process has lost none, a torn last one
is left out. Names are written to a file of their own before the first record that uses one.

    journey.names     one JSON string a line
    journey.records   at (int64 ns) | metric, subject (int32, lines of the names) | value (float64)

Of several processes `unite` makes one pair of files. They end as rows of `samples`. Metrics of user
code begin with ``own.``, those about it with ``journey.``; telemetry has neither, so that no name
collides.
"""

from __future__ import annotations

import errno
import json
import math
import os
import struct
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from perfkit.errors import ResultsNotWritable
from perfkit.load.usercode import is_users
from perfkit.records import SAMPLES
from perfkit.redaction import redact

__all__ = [
    "BLOCKED",
    "CHECK",
    "FILES",
    "ITERATION",
    "OWN",
    "REQUEST_NAMES",
    "TRACE",
    "Happenings",
    "NameBook",
    "happenings_table",
    "read_names",
    "unite",
    "write_whole",
]

NAMES: Final = "journey.names"
RECORDS: Final = "journey.records"
REQUEST_NAMES: Final = "requests.names"
TRACE: Final = "journey.trace"
"""What faulthandler wrote of a process that it ended; empty otherwise (`perfkit.load.watchdog`)."""

FILES: Final = (NAMES, RECORDS, TRACE, REQUEST_NAMES)

ITERATION: Final = "journey.iteration"  # subject: "done", or what it raised; value: seconds
CHECK: Final = "journey.check"  # subject: its name; value: 1 passed, 0 failed
BLOCKED: Final = "journey.blocked"  # subject: where; value: seconds
OWN: Final = "own."  # + name; subject: the unit

_MOST_NAMES: Final = 5_000
_RECORD: Final = struct.Struct("<qiid")
_Rows = npt.NDArray[np.void]
_COLUMNS: Final = np.dtype([("at", "<i8"), ("metric", "<i4"), ("subject", "<i4"), ("value", "<f8")])


class NameBook:
    """Numbers for names, each on disk before its number is given away."""

    def __init__(self, path: Path, most: int) -> None:
        self._path = path
        self._most = most
        self._lock = threading.Lock()
        self._numbers: dict[str, int] = {}
        self._fd = _open(path)

    def number(self, name: str) -> int | None:
        """The name's number, from 0; None where there are too many names already.

        Raises:
            ResultsNotWritable: the disk is full.
        """
        known = self._numbers.get(name)
        if known is not None:
            return known
        with self._lock:  # a watchdog may ask too
            if name in self._numbers:
                return self._numbers[name]
            if len(self._numbers) >= self._most:
                return None
            write_whole(self._fd, self._path, json.dumps(name).encode() + b"\n")
            self._numbers[name] = number = len(self._numbers)
            return number

    def close(self) -> None:
        """Let go of the file; it stays."""
        os.close(self._fd)


class Happenings:
    """The records of one generator process."""

    def __init__(self, folder: Path, secrets: Sequence[str] = ()) -> None:
        self._secrets = secrets
        self._names = NameBook(folder / NAMES, _MOST_NAMES)
        self._known: dict[str, int] = {}  # by the name as it was given, so that it is blotted once
        self._path = folder / RECORDS
        self._fd = _open(self._path)

    def add(self, at_ns: int, metric: str, subject: str, value: float) -> None:
        """Write one.

        Raises:
            ValueError: there are too many different names.
            ResultsNotWritable: the disk is full.
        """
        first, second = self._number(metric), self._number(subject)
        if first is None or second is None:
            raise ValueError(
                f"more than {_MOST_NAMES} different names; use few, and no ids in them"
            )
        write_whole(self._fd, self._path, _RECORD.pack(at_ns, first, second, value))

    def _number(self, name: str) -> int | None:
        number = self._known.get(name)
        if number is None:
            number = self._names.number(str(redact(name, *self._secrets)))
            if number is not None and len(self._known) < _MOST_NAMES:
                self._known[name] = number
        return number

    def close(self) -> None:
        """Let go of the files; they stay."""
        self._names.close()
        os.close(self._fd)


def read_names(path: Path) -> list[str]:
    """The names of a book, by number; a last line that was cut off is left out."""
    if not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [json.loads(line) for line in lines if line.endswith("\n")]


def happenings_table(folder: Path, trial: int) -> pa.Table:
    """Everything that was written in a folder, as rows of `SAMPLES`."""
    rows, known = _read(folder)
    names = pa.array(known, pa.string())
    columns = [
        pa.array(np.full(len(rows), trial), pa.int32()),
        pa.array(rows["at"].copy()),
        pa.DictionaryArray.from_arrays(pa.array(rows["metric"].copy()), names),
        pa.DictionaryArray.from_arrays(pa.array(rows["subject"].copy()), names),
        pa.array(rows["value"].copy()),
    ]
    return pa.table(columns, schema=SAMPLES).unify_dictionaries()


def unite(folder: Path, parts: Sequence[Path]) -> None:
    """Make the files of one process in ``folder`` from those of several; theirs stay.

    In the order of their instants. Each file is there whole or not at all, names before records;
    done again, it does the same.
    """
    numbers: dict[str, int] = {}
    found = [np.empty(0, _COLUMNS)]
    for part in parts:
        rows, known = _read(part)
        own = np.array([numbers.setdefault(name, len(numbers)) for name in known], np.int32)
        moved = rows.copy()
        if len(rows):
            moved["metric"], moved["subject"] = own[rows["metric"]], own[rows["subject"]]
        found.append(moved)
    together = np.concatenate(found)
    together = together[np.argsort(together["at"], kind="stable")]
    names = "".join(f"{json.dumps(name)}\n" for name in numbers)
    for path, data in ((folder / NAMES, names.encode()), (folder / RECORDS, together.tobytes())):
        partial = path.with_name(f"{path.name}.{os.getpid()}.tmp")
        try:
            partial.write_bytes(data)
            partial.rename(path)
        except OSError as error:
            raise _not_writable(path, error) from None


def _read(folder: Path) -> tuple[_Rows, list[str]]:
    """Whole records, and the names that they count by; both empty where there are none."""
    known = read_names(folder / NAMES)
    path = folder / RECORDS
    data = path.read_bytes() if path.is_file() else b""
    rows = np.frombuffer(data[: len(data) // _COLUMNS.itemsize * _COLUMNS.itemsize], _COLUMNS)
    if place := _stopped_at(folder):
        last_ns = int(rows["at"].max()) if len(rows) else 0
        known += [BLOCKED, place]
        ended = [(last_ns, len(known) - 2, len(known) - 1, math.inf)]
        rows = np.concatenate([rows, np.array(ended, _COLUMNS)])
    return rows, known


def _stopped_at(folder: Path) -> str:
    """Where user code kept the interpreter, of a process that faulthandler ended; else ""."""
    try:
        text = (folder / TRACE).read_text(errors="replace")
    except OSError:
        return ""
    return place_in_trace(text) or ("a place that is not known" if text else "")


def place_in_trace(text: str) -> str:
    """The innermost line of user code in what faulthandler wrote; "" where there is none."""
    for line in text.splitlines():
        _, quote, rest = line.strip().partition('File "')
        filename, _, rest = rest.partition('", line ')
        number = rest.partition(" ")[0]
        if quote and number.isdigit() and is_users(filename):
            return f"{Path(filename).name}:{number}"
    return ""


def _open(path: Path) -> int:
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
    try:
        return os.open(path, flags, 0o644)
    except OSError as error:
        raise _not_writable(path, error) from None


def write_whole(fd: int, path: Path, data: bytes) -> None:
    """Write all of it.

    Raises:
        ResultsNotWritable: the disk did not take it, or only a part.
    """
    try:
        if os.write(fd, data) != len(data):  # what follows would be read out of step
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    except OSError as error:
        raise _not_writable(path, error) from None


def _not_writable(path: Path, error: OSError) -> ResultsNotWritable:
    mend = "free some space there, or name another --results"
    return ResultsNotWritable(f"{path}: {error.strerror}", mend)
