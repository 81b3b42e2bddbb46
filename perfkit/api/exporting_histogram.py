"""HdrHistogram: values in logarithmic buckets, its V2 encoding, its log and its percentile text.

    value 0 .. 2047       a bucket of its own each
    value 2^k .. 2^(k+1)  1024 buckets: no value is off by more than a thousandth of itself

Written after the format's description and checked against its Python implementation, which is no
dependency: it would bring setuptools into every installation (``tests/api/test_histogram.py``).
"""

from __future__ import annotations

import base64
import math
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

__all__ = ["DIGITS", "Histogram", "histogram_of", "log_text", "percentile_text"]

DIGITS: Final = 3
"""Significant decimal digits that every value keeps."""

_SUB_BITS: Final = 11  # 2 * 10^3 values need 2048 buckets of width one
_HALF: Final = 1 << (_SUB_BITS - 1)
_COOKIE: Final = 0x1C849303 | 0x10
_COMPRESSED: Final = 0x1C849304 | 0x10
_PER_HALF: Final = 5  # lines of percentiles until half the rest is left


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts of whole nanoseconds by bucket; ``index`` ascends, no count is 0."""

    index: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]
    most: int  # largest value recorded, exactly
    mean: float  # of the values themselves, not of the buckets

    @property
    def total(self) -> int:
        """How many values."""
        return int(self.count.sum())

    @property
    def highest(self) -> npt.NDArray[np.int64]:
        """The largest value that each bucket may hold, as the format's percentiles are told."""
        shift = np.maximum(self.index // _HALF - 1, 0)
        sub = self.index - shift * _HALF
        highest: npt.NDArray[np.int64] = ((sub + 1) << shift) - 1
        return highest

    def encode(self) -> str:
        """V2, compressed, base64: what a log line holds."""
        slots = np.diff(np.concatenate(([-1], self.index))) - 1
        payload = b"".join(
            (_zigzag(-int(gap)) if gap else b"") + _zigzag(int(count))
            for gap, count in zip(slots, self.count, strict=True)
        )
        highest = max(2 * _HALF, int(self.most))
        head = struct.pack(">iiiiqqd", _COOKIE, len(payload), 0, DIGITS, 1, highest, 1.0)
        packed = zlib.compress(head + payload, 9)
        whole = struct.pack(">ii", _COMPRESSED, len(packed)) + packed
        return base64.b64encode(whole).decode()


def histogram_of(values_ns: npt.ArrayLike) -> Histogram:
    """Put finite durations in ns into buckets; fractions are rounded.

    Raises:
        ValueError: one is negative or not finite.
    """
    given = np.asarray(values_ns, dtype=np.float64)
    if not np.isfinite(given).all() or (given < 0).any():
        raise ValueError("a histogram takes durations that ended, and none below 0")
    whole = np.rint(given).astype(np.int64)
    # The place of the highest bit, exactly: floats have 52 bits, and logarithms round.
    bits = np.frexp(whole.astype(np.float64))[1].astype(np.int64)
    bits -= (whole < (np.int64(1) << np.maximum(bits - 1, 0))) & (whole > 0)
    shift = np.maximum(bits - _SUB_BITS, 0)
    index, count = np.unique(shift * _HALF + (whole >> shift), return_counts=True)
    return Histogram(
        index=index.astype(np.int64),
        count=count.astype(np.int64),
        most=int(whole.max(initial=0)),
        mean=float(given.mean()) if given.size else math.nan,
    )


def _zigzag(number: int) -> bytes:
    """LEB128 of a zig-zagged number; negative numbers stand for so many zeros."""
    rest = (number << 1) ^ (number >> 63)
    out = bytearray()
    for _ in range(8):
        if rest < 0x80:
            out.append(rest)
            return bytes(out)
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    out.append(rest & 0xFF)  # the ninth byte has all of its bits
    return bytes(out)


def percentile_text(known: Histogram, beyond: int, comments: list[str]) -> str:
    """The ``.hgrm`` text in microseconds; comments begin with ``#``.

    Args:
        known: of what ended.
        beyond: how many more did not end. They count in every percentile, and those that would
            fall among them are not listed: all that is known of them is that they are larger.
        comments: told first.
    """
    n = known.total + beyond
    lines = [f"# {each}" for each in comments]
    if beyond:
        share = known.total / n
        lines.append(
            f"# {beyond} of {n} never ended: they are beyond every value listed here. Percentiles "
            f"above {100 * share:.6g} % fall among them, are infinite, and have no line."
        )
    lines += [f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}", ""]
    lines += _levels(known, n)
    mean = math.inf if beyond else known.mean / 1e3
    most = math.inf if beyond else known.most / 1e3
    spread = math.inf if beyond else _spread(known) / 1e3
    lines += [
        f"#[Mean    = {mean:12.3f}, StdDeviation   = {spread:12.3f}]",
        f"#[Max     = {most:12.3f}, Total count    = {n:12d}]",
        f"#[Buckets = {_buckets(known):12d}, SubBuckets     = {2 * _HALF:12d}]",
    ]
    return "\n".join(lines) + "\n"


def _levels(known: Histogram, n: int) -> Iterator[str]:
    """A line per step: five until half of what remained is left, then five again."""
    reached = np.cumsum(known.count)
    highest = np.minimum(known.highest, known.most)
    level = 0.0
    while known.total:
        at = min(int(np.searchsorted(reached, max(1, math.ceil(level * n - 1e-9)))), n)
        if at >= len(reached):
            return  # it falls among what never ended
        value, so_far = int(highest[at]), int(reached[at])
        if so_far == n:
            yield f"{value / 1e3:12.3f} {1.0:2.12f} {so_far:10d}"
            return
        yield f"{value / 1e3:12.3f} {level:2.12f} {so_far:10d} {1 / (1 - level):14.2f}"
        halves = 2 ** math.floor(math.log2(1 / (1 - level)) + 1e-9)
        level += 1 / (halves * 2 * _PER_HALF)


def _spread(known: Histogram) -> float:
    if not known.total:
        return math.nan
    middle = known.highest.astype(np.float64)
    return math.sqrt(float(np.average((middle - known.mean) ** 2, weights=known.count)))


def _buckets(known: Histogram) -> int:
    return max(1, int(known.most).bit_length() - _SUB_BITS + 1)


def log_text(
    start_s: float, intervals: list[tuple[str, float, float, Histogram]], comments: list[str]
) -> str:
    """A V2 log: a line per tag, values in ns, its maximum in ms as the format has it.

    Args:
        start_s: seconds since the epoch at which the times of the lines are 0.
        intervals: tag, begin and length in seconds, histogram.
        comments: told first.
    """
    lines = [f"#[{each}]" for each in comments]
    lines += [
        "#[Histogram log format version 1.3]",
        f"#[StartTime: {start_s:.3f} (seconds since epoch)]",
        f"#[BaseTime: {start_s:.3f} (seconds since epoch)]",
        '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"',
    ]
    lines += [
        f"Tag={tag},{begin:.3f},{length:.3f},{known.most / 1e6:.3f},{known.encode()}"
        for tag, begin, length, known in intervals
    ]
    return "\n".join(lines) + "\n"
