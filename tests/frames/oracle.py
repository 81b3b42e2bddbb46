"""Slow and obvious: what the frames must say, in plain Python on plain rows."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from tests.sealed import INSTANTS

Row = dict[str, Any]


def type7(values: Iterable[float], p: float) -> float:
    """Hyndman and Fan's type 7 by its definition, with infinities."""
    ordered = sorted(values)
    if not ordered:
        return math.nan
    place = (len(ordered) - 1) * p
    if math.isclose(place, round(place), abs_tol=1e-9):
        return ordered[round(place)]
    low, high = ordered[math.floor(place)], ordered[math.floor(place) + 1]
    if math.isinf(high):
        return math.inf
    return low + (high - low) * (place - math.floor(place))


def decides(rows: Sequence[Row]) -> Row | None:
    """The delivery that decides a job: the first that did it, else the last that began."""
    done = [row for row in rows if row["outcome"] == "done"]
    if done:
        return min(done, key=lambda row: row["finished_ns"])

    def began(row: Row) -> tuple[int, int, int]:
        at = next(
            each
            for each in (row["started_ns"], row["fetched_ns"], row["enqueued_ns"])
            if each is not None
        )
        return (row["attempt"], at, row["delivery"])

    return max(rows, key=began, default=None)


def minus(later: int | None, earlier: int | None) -> float:
    return math.nan if later is None or earlier is None else float(later - earlier)


def job(request: Row, deliveries: Sequence[Row], calls: Sequence[Row]) -> Row:
    """One row of `perfkit.frames.jobs`."""
    own = [row for row in deliveries if row["job_id"] == request["job_id"]]
    decided = decides(own) or dict.fromkeys(deliveries[0] if deliveries else {})
    started = [row for row in own if row["started_ns"] is not None]
    delays = [row["delay_ns"] for row in calls if row["key"] == request["key"]]
    done = decided.get("outcome") == "done"
    finished = decided.get("finished_ns")
    gateway = float(sum(delays)) if delays else math.nan
    accepted = request["status"] is not None and 200 <= request["status"] < 300
    latency = float(finished - request["intended_ns"]) if done else math.inf
    response = math.nan
    if request["sent_ns"] is not None:
        response = float(finished - request["sent_ns"]) if done else math.inf
    waited = minus(decided.get("started_ns"), decided.get("enqueued_ns"))
    once = len(started) == 1 and len({row["attempt"] for row in started}) == 1
    return {
        "accepted": accepted,
        "in_window": INSTANTS["window_start"] <= request["intended_ns"] < INSTANTS["window_end"],
        "enqueued_ns": min((row["enqueued_ns"] for row in own), default=None),
        "first_started_ns": min((row["started_ns"] for row in started), default=None),
        **{
            name: decided.get(name)
            for name in ("fetched_ns", "started_ns", "finished_ns", "acked_ns", "outcome")
        },
        "attempts": len({row["attempt"] for row in started}),
        "deliveries": len(started),
        "gateway_ns": gateway,
        "send_lag_ns": minus(request["sent_ns"], request["intended_ns"]),
        "latency_ns": latency,
        "response_ns": response,
        "queue_wait_ns": math.inf if decided.get("started_ns") is None and accepted else waited,
        "broker_dwell_ns": minus(decided.get("fetched_ns"), decided.get("enqueued_ns")),
        "prefetch_wait_ns": minus(decided.get("started_ns"), decided.get("fetched_ns")),
        "service_ns": minus(finished, decided.get("started_ns")),
        "added_ns": latency - gateway if done and once else math.nan,
    }
