"""What ``k6 run --out json=FILE`` wrote, read line by line.

    {"type": "Metric", "metric": "http_req_duration", "data": {"thresholds": ["p(95)<500"], ...}}
    {"type": "Point",  "metric": "http_reqs", "data": {"time": ..., "value": 1, "tags": {...}}}
    {"type": "Point",  "metric": "http_req_duration", "data": {same time, same tags}}
    ...

A request is a point of ``http_reqs``, and the ``http_req_*`` points of the same time and tags that
follow it. Its time is when its answer was whole; k6 does not tell when it was due.
"""

from __future__ import annotations

import gzip
import json
import re
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from io import BufferedIOBase
from pathlib import Path
from typing import Any, Final

from perfkit.errors import NotARun

__all__ = ["K6Output", "K6Request", "read_k6"]

_MEND: Final = "write it with: k6 run --out json=FILE.json script.js"
_LONGEST_LINE: Final = 4 * 1024 * 1024
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", re.ASCII)
_PARTS: Final = {
    "http_req_duration": "duration_ns",
    "http_req_blocked": "blocked_ns",
    "http_req_sending": "sending_ns",
    "http_req_waiting": "waiting_ns",
}
_LAST_DAY: Final = 106_000  # after 1970: nanoseconds have 63 bits
_IGNORED: Final = frozenset({
    "http_req_connecting", "http_req_tls_handshaking", "http_req_receiving", "http_req_failed",
})  # fmt: skip
"""Parts of a request that are in its duration, in its wait for a connection, or its status."""

_COUNTED: Final = frozenset({
    "data_sent", "data_received", "iteration_duration", "iterations", "vus_max", "group_duration",
    "checks",
})  # fmt: skip
"""Of k6 itself, and not taken: they say nothing of one request."""


_NO_LINE: Final = (
    KeyError, TypeError, ValueError, AttributeError, OverflowError, RecursionError,
)  # fmt: skip
"""What reading raises of a line that k6 did not write."""


@dataclass(slots=True)
class K6Request:
    """One request; durations in ns, None where k6 did not write them."""

    end_ns: int  # wall clock
    tags: Mapping[str, str]
    user: int | None
    iteration: int | None
    duration_ns: int | None = None
    blocked_ns: int | None = None
    sending_ns: int | None = None
    waiting_ns: int | None = None

    @property
    def status(self) -> int | None:
        """Of its answer; None where there was none."""
        text = self.tags.get("status", "")
        return int(text) if len(text) == 3 and text.isdecimal() and int(text) >= 100 else None


@dataclass(slots=True)
class K6Output:
    """Everything of a file that is taken, and what is not."""

    requests: list[K6Request] = field(default_factory=list)
    vus: list[tuple[int, float]] = field(default_factory=list)  # wall ns, value
    dropped_iterations: int = 0
    iterations: int = 0
    thresholds: dict[str, list[str]] = field(default_factory=dict)
    not_taken: Counter[str] = field(default_factory=Counter)  # points by metric
    strays: int = 0  # parts of a request without the request


def read_k6(path: Path, most_bytes: int) -> K6Output:
    """Read a file, or its ``.gz``.

    Args:
        path: the file.
        most_bytes: what it may unpack to.

    Raises:
        NotARun: not such a file, damaged, or too large.
    """
    output = K6Output()
    current: K6Request | None = None
    mark: tuple[Any, Any] = (None, None)
    for number, line in _lines(path, most_bytes):
        try:
            kind, metric, data = _parsed(line)
            if kind == "Metric":
                if stated := data.get("thresholds"):
                    output.thresholds[metric] = [str(each) for each in stated]
                continue
            if metric == "http_reqs":
                mark = (data["time"], data.get("tags"))
                current = _request(data)
                output.requests.append(current)
            elif metric in _PARTS or metric in _IGNORED:
                if current is None or mark != (data["time"], data.get("tags")):
                    output.strays += 1
                elif metric in _PARTS:
                    setattr(current, _PARTS[metric], _ms(data["value"]))
            else:
                _beside(output, metric, data)
        except _NO_LINE as error:
            raise NotARun(
                f"{path}, line {number}: no line of k6's JSON output ({_short(error)})", _MEND
            ) from None
    if not output.requests:
        raise NotARun(f"{path} has no requests: no point of http_reqs is in it", _MEND)
    return output


def _short(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"[:120]


def _parsed(line: bytes) -> tuple[str, str, Mapping[str, Any]]:
    found = json.loads(line)
    kind, metric, data = found["type"], found["metric"], found["data"]
    if kind not in ("Metric", "Point") or not isinstance(metric, str):
        raise ValueError("type is neither Metric nor Point")
    if not isinstance(data, Mapping):
        raise TypeError("data is no object")
    return kind, metric, data


def _request(data: Mapping[str, Any]) -> K6Request:
    tags = {str(key): str(value) for key, value in (data.get("tags") or {}).items()}
    more = {**(data.get("metadata") or {}), **tags}
    return K6Request(_instant(data["time"]), tags, _index(more.get("vu")), _index(more.get("iter")))


def _beside(output: K6Output, metric: str, data: Mapping[str, Any]) -> None:
    match metric:
        case "vus":
            output.vus.append((_instant(data["time"]), float(int(data["value"]))))
        case "dropped_iterations":
            output.dropped_iterations += int(data["value"])
        case "iterations":
            output.iterations += int(data["value"])
        case _ if metric not in _COUNTED:
            output.not_taken[metric] += 1


def _index(text: Any) -> int | None:
    return int(text) if str(text).isdecimal() and int(text) < 2**31 else None


def _ms(value: Any) -> int:
    ns = round(float(value) * 1e6)
    if not 0 <= ns < 2**62:
        raise ValueError(f"{value!r} ms is no duration")
    return ns


def _instant(text: str) -> int:
    """RFC 3339 with up to nine decimals, as ns since the epoch."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is no time")
    zone = "+00:00" if found[3] == "Z" else found[3]
    moment = datetime.fromisoformat(found[1] + zone)
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    if since.days < 0:
        raise ValueError(f"{text!r} is before 1970")
    if since.days > _LAST_DAY:
        raise ValueError(f"{text!r} is after 2261")
    return (since.days * 86_400 + since.seconds) * 10**9 + int((found[2] or "0").ljust(9, "0"))


def _lines(path: Path, most_bytes: int) -> Iterator[tuple[int, bytes]]:
    """Lines that are not empty, counted from 1."""
    size = 0
    try:
        with _opened(path) as file:
            number = 0
            while line := file.readline(_LONGEST_LINE + 1):
                number += 1
                size += len(line)
                if len(line) > _LONGEST_LINE:
                    raise NotARun(f"{path}, line {number} is too long to be of k6", _MEND)
                if size > most_bytes:
                    raise NotARun(
                        f"{path} holds more than {most_bytes} bytes",
                        "if you trust it, allow more with --most-bytes",
                    )
                if line.strip():
                    yield number, line
    except (OSError, EOFError, zlib.error) as error:
        raise NotARun(f"{path} can't be read: {error}", _MEND) from None


def _opened(path: Path) -> BufferedIOBase:
    with path.open("rb") as file:
        packed = file.read(2) == b"\x1f\x8b"
    return gzip.open(path) if packed else path.open("rb")
