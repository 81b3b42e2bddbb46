"""Trials whose load goes through phases, served by so many slots: known answers to read."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from tests.sealed import MS, SECOND, Row, Sketch, call, delivery, left, request
from tests.sealed import waiting as unserved

START = 10 * SECOND  # of load
WARM = 1 * SECOND


class Phase:
    """A level in jobs per second for so long, its ramp from the level before included."""

    def __init__(self, name: str, seconds: float, rate: float, ramp: float = 0.0) -> None:
        self.name = name
        self.seconds = seconds
        self.rate = rate
        self.ramp = ramp


def stretches(*phases: Phase, users_per_rate: float = 1.0) -> list[dict[str, Any]]:
    """The facts of a course: a second of warm-up, then each phase."""
    level, at = phases[0].rate * users_per_rate, WARM
    found = [_stretch("warm-up", 0, WARM, level, level, None)]
    for index, each in enumerate(phases):
        new, ramped = each.rate * users_per_rate, at + round(each.ramp * SECOND)
        end = at + round(each.seconds * SECOND)
        if ramped > at:
            found.append(_stretch(each.name, at, ramped, level, new, index))
        if end > ramped:
            found.append(_stretch(each.name, ramped, end, new, new, index))
        level, at = new, end
    return found


def _stretch(
    name: str, begin: int, end: int, start: float, last: float, phase: int | None
) -> dict[str, Any]:
    return {
        "name": name,
        "begin_ns": begin,
        "end_ns": end,
        "level_start": start,
        "level_end": last,
        "phase": phase,
    }


def arrivals(course: list[dict[str, Any]]) -> Iterator[int]:
    """Constant arrivals; under a ramp the n-th comes where the area below it is n."""
    for each in course:
        low, high = each["level_start"], each["level_end"]
        seconds = (each["end_ns"] - each["begin_ns"]) / 1e9
        for n in range(math.floor((low + high) / 2 * seconds + 1e-9)):
            slope = (high - low) / seconds
            after = n / low if not slope else (math.sqrt(low * low + 2 * slope * n) - low) / slope
            yield START + each["begin_ns"] + round(after * SECOND)


def phased(
    *phases: Phase,
    slots: int = 4,
    service_ms: float = 49.0,
    drain_s: float = 4.0,
    users: float | None = None,
    **facts: Any,
) -> Sketch:
    """A next-free-server queue under that load; ``users`` makes it a closed model, so many a job/s.

    What would not be done by the end of the drain waits in its list.
    """
    plain = stretches(*phases)
    window_end = START + plain[-1]["end_ns"]
    over = window_end + round(drain_s * SECOND)
    free = [START] * slots
    rows: list[Row] = []
    jobs: list[Row] = []
    leftovers: list[Row] = []
    for seq, at in enumerate(arrivals(plain)):
        row = request(seq, at)
        rows.append(row)
        slot = min(range(slots), key=free.__getitem__)
        started = max(at + 6 * MS, free[slot])
        finished = started + round(service_ms * MS)
        if finished > over:
            jobs.append(unserved(row))
            leftovers.append(left(row, "list"))
            continue
        free[slot] = finished + MS
        jobs.append(delivery(row, started_ns=started, finished_ns=finished, acked_ns=finished + MS))
    done = [row for row, job in zip(rows, jobs, strict=True) if job["outcome"] == "done"]
    seconds = sum(each.seconds for each in phases)
    known: dict[str, Any] = {
        "stretches": plain if users is None else stretches(*phases, users_per_rate=users),
        "model": "open" if users is None else "closed",
        "offered_per_s": sum(each.seconds * each.rate for each in phases) / seconds,
        "instants_ns": {
            "load_start": START,
            "window_start": START + WARM,
            "window_end": window_end,
            "load_end": window_end,
            "drain_end": over,
        },
    }
    return Sketch(
        rows, jobs, leftovers=leftovers, calls=[call(row) for row in done], facts=known | facts
    )
