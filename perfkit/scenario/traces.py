"""Times that requests come due at, from a file: read, checked, and told apart by their digest.

    .parquet        a column of integers, floats or time stamps
    with `column`   CSV with a head: one column of numbers
    else            one number a line

The times are int64 ns from the start of load (`TraceFile.origin`), at the speed of the file.
"""

from __future__ import annotations

import csv
import dataclasses
import hashlib
from collections.abc import Iterator
from decimal import Decimal
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from perfkit.errors import UsageError
from perfkit.scenario.fields import CONFIG

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

__all__ = ["Trace", "TraceFile", "busiest_per_s", "read_trace", "replayed"]

_NS: Final = {"s": 1_000_000_000, "ms": 1_000_000, "us": 1_000, "ns": 1}
_DAY_NS: Final = 86_400 * 1_000_000_000
_NUMBERS_BELOW: Final = 10**30
_LONGEST_NS: Final = 366 * _DAY_NS
_UNREADABLE: Final = "name a CSV, parquet or text file"


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class TraceFile:
    """A file of times that requests come due at: CSV, parquet, or one time a line.

    It is looked for in the folder of the scenario's file, then in the working directory. The times
    count from the start of load, or, with ``origin = "first"``, from the first of them.
    """

    file: Annotated[str, Field(min_length=1)]
    column: Annotated[str | None, Field(min_length=1)] = None  # None: one time a line
    unit: Literal["s", "ms", "us", "ns"] = "s"
    origin: Literal["zero", "first"] = "zero"
    # SHA-256 of the times as int64 ns. Filled in when the file is read; a scenario may state it,
    # and then no other times are taken.
    digest: Annotated[str | None, Field(pattern="^[0-9a-f]{64}$")] = None


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Trace:
    """Sorted int64 ns from the start of load, at least one; ``digest`` is their SHA-256."""

    times_ns: npt.NDArray[np.int64]
    digest: str


def read_trace(asked: TraceFile) -> Trace:
    """The times of a trace.

    Raises:
        UsageError: no such file or column, or times that can't be replayed; with a mend.
    """
    path = Path(asked.file)
    try:
        found = path.stat()
    except (OSError, ValueError) as error:
        why = getattr(error, "strerror", None) or error
        raise UsageError(f"{asked.file!r}: {why}", _UNREADABLE) from None
    trace = _read(path, found.st_mtime_ns, found.st_size, asked.column, asked.unit, asked.origin)
    if asked.digest not in (None, trace.digest):
        what = f"{asked.file!r} holds other times than those of digest {asked.digest}"
        raise UsageError(what, "restore the file, or leave out digest")
    return trace


def replayed(asked: TraceFile, speed: float) -> npt.NDArray[np.int64]:
    """The instants of its requests at a speed, int64 ns from the start of load.

    Raises:
        UsageError: as `read_trace`.
    """
    import numpy as np

    times = read_trace(asked).times_ns
    return times if speed == 1 else np.rint(times / speed).astype(np.int64)


def busiest_per_s(asked: TraceFile, speed: float) -> float:
    """The most requests that come within a second.

    Raises:
        UsageError: as `read_trace`.
    """
    times = replayed(asked, speed)
    return float((times.searchsorted(times + _NS["s"]) - range(len(times))).max())


@lru_cache(maxsize=4)
def _read(
    path: Path, _changed_ns: int, _size: int, column: str | None, unit: str, origin: str
) -> Trace:
    import numpy as np

    try:
        if path.suffix == ".parquet":
            times = _of_parquet(path, column, unit)
        else:
            lines = _of_csv(path, column) if column is not None else _of_lines(path)
            times = np.array([_ns(text, where, unit) for where, text in lines], dtype=object)
    except UnicodeDecodeError:
        raise UsageError(f"{str(path)!r} is not UTF-8 text", _UNREADABLE) from None
    except OSError as error:
        raise UsageError(f"{str(path)!r}: {error.strerror or error}", _UNREADABLE) from None
    if len(times) == 0:
        raise UsageError(f"{str(path)!r} holds no time", "a trace has one or more")
    if origin == "first":
        times = times - times[0]
    if times[0] < 0:
        mend = 'count from the start of load, or set load.trace.origin = "first"'
        raise UsageError(f"time 1 of {str(path)!r} is negative: {times[0] / 1e9:g} s", mend)
    if (behind := np.flatnonzero(times[1:] < times[:-1])).size:
        place = int(behind[0]) + 2
        what = f"time {place} of {str(path)!r} is before the one above it"
        raise UsageError(what, "sort the file by that column")
    if times[-1] > _LONGEST_NS:
        mend = (
            'set load.trace.origin = "first" if they are times of day; mind load.trace.unit '
            f"({unit!r})"
        )
        what = f"the last time of {str(path)!r} is {times[-1] / _DAY_NS:.0f} days after the start"
        raise UsageError(what, mend)
    whole = times.astype(np.int64)
    whole.flags.writeable = False  # it is shared by all who ask
    return Trace(whole, hashlib.sha256(whole.astype("<i8").tobytes()).hexdigest())


def _of_lines(path: Path) -> Iterator[tuple[str, str]]:
    with path.open(encoding="utf-8-sig") as lines:
        for number, line in enumerate(lines, 1):
            if text := line.strip():
                yield f"line {number}", text


def _of_csv(path: Path, column: str) -> Iterator[tuple[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as lines:
        try:
            rows = csv.DictReader(lines, strict=True)
            _check_column(path, column, list(rows.fieldnames or ()))
            for row in rows:
                yield f"line {rows.line_num}", row[column] or ""
        except csv.Error as error:
            raise UsageError(f"{str(path)!r} is no CSV: {error}", _UNREADABLE) from None


def _of_parquet(path: Path, column: str | None, unit: str) -> npt.NDArray[Any]:
    import numpy as np
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        names = pq.read_schema(path).names
        _check_column(path, column, names)
        values = pq.read_table(path, columns=[column], partitioning=None)[column]
    except pa.ArrowException as error:
        raise UsageError(f"{str(path)!r} can't be read: {error}", _UNREADABLE) from None
    if values.null_count:
        raise UsageError(f"column {column!r} has {values.null_count} nulls", "leave those rows out")
    if pa.types.is_timestamp(values.type):
        values, unit = values.cast(pa.timestamp("ns", values.type.tz)).cast(pa.int64()), "ns"
    if pa.types.is_integer(values.type):
        return np.array([value * _NS[unit] for value in values.to_pylist()], dtype=object)
    if pa.types.is_floating(values.type):
        found = values.to_pylist()
        if not all(abs(value) < _NUMBERS_BELOW for value in found):  # of NaN it is not true either
            raise UsageError(f"column {column!r} holds what is no number", "leave those rows out")
        return np.array([round(value * _NS[unit]) for value in found], dtype=object)
    raise UsageError(f"column {column!r} is of type {values.type}", "use numbers or time stamps")


def _check_column(path: Path, column: str | None, names: list[str]) -> None:
    if column not in names:
        known = ", ".join(map(repr, names)) or "none"
        what = "which column?" if column is None else f"there is no column {column!r}"
        raise UsageError(f"{str(path)!r}: {what}", f"set load.trace.column; there are {known}")


def _ns(text: str, where: str, unit: str) -> int:
    try:
        time = Decimal(text)
        # NaN and infinity are Decimals, and so are numbers whose digits would fill the memory.
        if time.is_finite() and time.copy_abs() < _NUMBERS_BELOW:
            return round(time * _NS[unit])
        raise ValueError
    except (ArithmeticError, ValueError):
        mend = "write times as numbers, such as 0.25; a file with a head needs load.trace.column"
        raise UsageError(f"{where}: {text!r} is no time", mend) from None
