"""Durations, rates and bytes as people write them: the only place that knows "250ms"."""

from __future__ import annotations

import math
import re

__all__ = [
    "format_bytes",
    "format_count",
    "format_duration",
    "format_ms",
    "format_percent",
    "format_rate",
    "parse_bytes",
    "parse_duration_ns",
    "parse_rate",
]

_DURATION_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
    "w": 604_800_000_000_000,
}
_BYTES = {
    "B": 1,
    "KB": 1000,
    "MB": 1000**2,
    "GB": 1000**3,
    "TB": 1000**4,
    "KiB": 1024,
    "MiB": 1024**2,
    "GiB": 1024**3,
    "TiB": 1024**4,
}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)")
_RATE = re.compile(r"(\d+(?:\.\d+)?)\s*(?:/\s*(s|min|h))?")
_RATE_S = {None: 1.0, "s": 1.0, "min": 60.0, "h": 3600.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([a-zµ]+)\s*")


def parse_duration_ns(text: str) -> int:
    """Nanoseconds of "250ms", "1.5s", "2m30s"; negative with a leading minus.

    Raises:
        ValueError: when the text is not a duration; the message says what is.
    """
    rest = text.strip()
    sign = -1 if rest.startswith("-") else 1
    rest = rest.removeprefix("-").strip()
    if rest == "0":
        return 0
    total = 0.0
    position = 0
    while position < len(rest):
        part = _PART.match(rest, position)
        if part is None or part[2] not in _DURATION_NS:
            raise ValueError(f'{text!r} is not a duration; write it as "250ms", "1.5s" or "2m30s"')
        total += float(part[1]) * _DURATION_NS[part[2]]
        position = part.end()
    if not rest:
        raise ValueError('an empty text is not a duration; write it as "250ms", "1.5s" or "2m30s"')
    return sign * round(total)


def parse_bytes(text: str) -> int:
    """Bytes of "80MB" (decimal) or "4GiB" (binary).

    Raises:
        ValueError: when the text is no size; the message says what is.
    """
    size = _SIZE.fullmatch(text.strip())
    if size is None or size[2] not in _BYTES:
        raise ValueError(f'{text!r} is not a size; write it as "512KiB", "80MB" or "4GiB"')
    return round(float(size[1]) * _BYTES[size[2]])


def parse_rate(text: str) -> float:
    """Events per second of "150/s", "6/min" or "10/h"; left out, the unit is "/s".

    Raises:
        ValueError: when the text is no rate; the message says what is.
    """
    rate = _RATE.fullmatch(text.strip())
    if rate is None:
        raise ValueError(f'{text!r} is not a rate; write it as "150/s"')
    return float(rate[1]) / _RATE_S[rate[2]]


def format_duration(ns: float) -> str:
    """A duration in the unit that suits it: "850 µs", "12.3 ms", "1.50 s", "2 m 30 s"."""
    if math.isnan(ns):
        return "n/a"
    if math.isinf(ns):
        return "∞" if ns > 0 else "-∞"
    sign, size = ("-" if ns < 0 else ""), abs(ns)
    if size < 1e3:
        return f"{sign}{size:.0f} ns"
    if size < 1e6:
        return f"{sign}{_three(size / 1e3)} µs"
    if size < 1e9:
        return f"{sign}{_three(size / 1e6)} ms"
    if size < 60e9:
        return f"{sign}{_three(size / 1e9)} s"
    minutes, seconds = divmod(round(size / 1e9), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{sign}{hours} h {minutes:02d} m"
    return f"{sign}{minutes} m {seconds:02d} s" if seconds else f"{sign}{minutes} m"


def format_ms(ns: float) -> str:
    """Milliseconds without the unit, for table columns headed "ms"."""
    if math.isnan(ns):
        return "n/a"
    if math.isinf(ns):
        return "∞"
    return _three(ns / 1e6)


def format_rate(per_s: float) -> str:
    """Events per second: "145/s", "0.25/s"."""
    return "n/a" if math.isnan(per_s) else f"{_three(per_s)}/s"


def format_percent(share: float, digits: int = 1) -> str:
    """A share of one as percent."""
    return "n/a" if math.isnan(share) else f"{100 * share:.{digits}f} %"


def format_count(count: float) -> str:
    """A count with thin thousands separators: "12 345"."""
    return "n/a" if math.isnan(count) else f"{count:,.0f}".replace(",", "\u202f")


def format_bytes(size: float) -> str:
    """Bytes in binary units: "1.5 MiB"."""
    if math.isnan(size):
        return "n/a"
    for unit in ("B", "KiB", "MiB"):
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{_three(size)} {unit}"
        size /= 1024
    return f"{_three(size)} GiB"


def _three(value: float) -> str:
    """About three significant digits, never in exponent form."""
    size = abs(value)
    if size >= 100:
        return f"{value:.0f}"
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.2f}"
