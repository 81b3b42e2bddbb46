"""What the server answers, as a table: the router, the OpenAPI document and its page follow it."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from perfkit.monitor.feed import Feed
from perfkit.monitor.snapshot import Queue, Snapshot

__all__ = ["ROUTES", "Answer", "Route", "route_of"]

_MOST_POINTS: Final = 5000
_SHARES: Final = ("p50", "p95", "p99")


@dataclass(frozen=True, slots=True)
class Answer:
    """A status and a JSON document."""

    status: int
    document: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Route:
    """One path. ``answer`` gets the feed, the snapshot asked for, path words and the query."""

    path: str
    summary: str
    answer: Callable[[Feed, Snapshot, Mapping[str, str], Mapping[str, str]], Answer]
    query: Mapping[str, str] = field(default_factory=dict)
    schema: str = "object"  # a component, "object" or "text"


def route_of(path: str) -> tuple[Route, dict[str, str]] | None:
    """The route of a path, and its words."""
    for route, pattern in _PATTERNS:
        if found := pattern.fullmatch(path):
            return route, found.groupdict()
    return None


def _document(part: Any) -> Any:
    """A part of a snapshot as JSON."""
    return Snapshot(seq=0, at_s=0.0, queues=(part,)).document()["queues"][0]


def _status(feed: Feed, now: Snapshot, words: object, query: object) -> Answer:
    whole = now.document()
    kept = ("at_s", "mode", "version", "subject", "sources", "totals", "queues", "scan")
    return Answer(200, {"broken": list(now.broken), **{key: whole[key] for key in kept}})


def _metrics(
    feed: Feed, now: Snapshot, words: Mapping[str, str], query: Mapping[str, str]
) -> Answer:
    queue = now.queue(words["name"])
    if queue is None:
        return _unknown(f"there is no queue {words['name'][:80]!r} here", "see /queue/status")
    history = feed.history(*_span(query))
    prefix = f"queues/{queue.name}/"
    series = {
        name.removeprefix(prefix): values
        for name, values in history["series"].items()
        if name.startswith(prefix)
    }
    whole = _document(queue)
    return Answer(
        200,
        {
            "name": queue.name,
            "at_s": now.at_s,
            "mode": now.mode,
            "broken": list(now.broken),
            "problem": queue.problem,
            **{what: _quantiles(queue, what) for what in ("latency", "wait", "run")},
            "throughput_per_s": queue.rate_out,
            "arrivals_per_s": queue.rate_in,
            "error_rate": _error_rate(queue),
            "counts": {
                name: whole[name]
                for name in (
                    "waiting", "in_flight", "delayed", "dead", "stalled", "enqueued", "done",
                    "failed",
                )
            },
            "oldest_age_s": queue.oldest_age_s,
            "history": {"at_s": history["at_s"], "series": series},
        },
    )  # fmt: skip


def _quantiles(queue: Queue, what: str) -> dict[str, float | None]:
    return {f"{share}_s": getattr(queue, f"{what}_{share}_s") for share in _SHARES}


def _error_rate(queue: Queue) -> float | None:
    """Of the attempts that ended in the last seconds, those that raised."""
    if queue.errors_rate is None or not queue.rate_out:
        return None
    return min(1.0, queue.errors_rate / queue.rate_out)


def _part(*names: str) -> Callable[..., Answer]:
    def answer(feed: Feed, now: Snapshot, words: object, query: object) -> Answer:
        whole = now.document()
        return Answer(
            200,
            {"at_s": whole["at_s"], "mode": now.mode, "broken": list(now.broken)}
            | {name: whole[name] for name in names},
        )

    return answer


def _job(feed: Feed, now: Snapshot, words: Mapping[str, str], query: object) -> Answer:
    found = feed.job(words["id"])
    if found is None:
        return _unknown(
            "that job is not among those that were seen lately",
            "timelines are known of the last 5000 jobs, where the recorder runs",
        )
    return Answer(200, found)


def _whole(feed: Feed, now: Snapshot, words: object, query: object) -> Answer:
    return Answer(200, now.document())


def _history(feed: Feed, now: Snapshot, words: object, query: Mapping[str, str]) -> Answer:
    return Answer(200, feed.history(*_span(query)))


def _unknown(what: str, mend: str) -> Answer:
    return Answer(404, {"error": what, "mend": mend})


def _span(query: Mapping[str, str]) -> tuple[float, int]:
    """Span in seconds, and how many points; what can't be read is passed over."""
    try:
        span_s = float(query.get("span_s", "inf"))
    except ValueError:
        span_s = math.inf
    points = query.get("points", "600")
    count = int(points) if points.isascii() and points.isdecimal() and len(points) < 6 else 600
    return (span_s if span_s > 0 else math.inf), max(1, min(count, _MOST_POINTS))


_SPAN: Final = {
    "span_s": "Seconds of history; default: all.",
    "points": "At most about so many points; default 600.",
}

ROUTES: Final = (
    Route(path="/queue/status", summary="Counts, ages and rates of all queues.", answer=_status),
    Route(
        path="/queue/{name}/metrics",
        summary="One queue: latency, throughput, error rate, counts and their history.",
        answer=_metrics,
        query=_SPAN,
    ),
    Route(
        path="/workers",
        summary="Workers: alive, last seen, in flight, CPU, memory.",
        answer=_part("workers", "totals"),
    ),
    Route(
        path="/redis", summary="The server, and its slow log.", answer=_part("redis", "more_redis")
    ),
    Route(path="/jobs/{id}", summary="The timeline of one job.", answer=_job),
    Route(path="/thresholds", summary="Targets as they stand now.", answer=_part("thresholds")),
    Route(
        path="/errors",
        summary="Errors by type, and slow jobs.",
        answer=_part("errors", "slow_jobs"),
    ),
    Route(path="/snapshot", summary="All of it.", answer=_whole, schema="Snapshot"),
    Route(path="/history", summary="Series since the monitor looks.", answer=_history, query=_SPAN),
)

_PATTERNS: Final = [
    (route, re.compile(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]{1,200})", route.path)))
    for route in ROUTES
]
