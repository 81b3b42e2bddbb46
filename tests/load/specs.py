"""Load specs for tests."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from time import monotonic_ns
from typing import Any

import pyarrow as pa

from perfkit.load.arrivals import Segment
from perfkit.load.spec import JobShare, LoadSpec

MS = 1_000_000
S = 1_000_000_000


def spec_for(output: Path, base_url: str = "http://127.0.0.1:9", **more: Any) -> LoadSpec:
    """A small spec that starts in a moment; anything can be said otherwise."""
    fields: dict[str, Any] = {
        "base_url": base_url,
        "model": "open",
        "trial": 3,
        "nonce": "n0",
        "seed": 7,
        "jobs": (JobShare("payments", 22), JobShare("notifications", 47), JobShare("webhooks", 31)),
        "start_ns": monotonic_ns() + 30 * MS,
        "load_ns": S // 5,
        "output": str(output),
        "grace_ns": 5 * S,
    }
    return LoadSpec(**(fields | more))


def population(users: int, ramp_ns: int = 0) -> tuple[Segment, ...]:
    """So many users for longer than any test lasts, from 0 in a ramp or at once."""
    return Segment(ramp_ns, 0.0, users), Segment(3600 * S, users, users)


def present(plan: Sequence[Segment], t_ns: int) -> int:
    """Users that are there in the nanosecond from ``t_ns`` on: the slow, obvious way."""
    begin_ns = 0
    for part in plan:
        into_ns = t_ns - begin_ns
        if 0 <= into_ns < part.duration_ns:
            first, last = Fraction(part.level_start), Fraction(part.level_end)
            slope = (last - first) / part.duration_ns
            return math.ceil(max(first + slope * into_ns, first + slope * (into_ns + 1)))
        begin_ns += part.duration_ns
    return 0


def read_requests(output: Path) -> list[dict[str, Any]]:
    """The rows of ``requests.arrow``."""
    with pa.ipc.open_file(str(output / "requests.arrow")) as reader:
        rows: list[dict[str, Any]] = reader.read_all().to_pylist()
        return rows
