"""A snapshot as HTML and as text, for a notebook's cell: the same figures as the page's."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from perfkit.figures import sheet
from perfkit.figures.chart import Axis, Chart, Line, Panel, Table, numbers
from perfkit.figures.markup import table, text
from perfkit.figures.style import queue_colours
from perfkit.monitor.snapshot import Queue, Snapshot
from perfkit.units import format_bytes, format_count, format_duration, format_percent, format_rate

__all__ = ["QUEUES", "WORKERS", "bundle", "charts", "standing"]

QUEUES: Final = 20
"""More queues than this are counted, not listed; those with most trouble come first."""

WORKERS: Final = 12
_LINES: Final = 8
_UNKNOWN: Final = "–"
_THRESHOLD: Final = {"pass": "holds", "fail": "FAILS", "unsure": "not yet known"}


def bundle(snapshot: Snapshot) -> dict[str, str]:
    """MIME type -> content; HTML carries its own style sheet."""
    return {"text/html": _html(snapshot), "text/plain": _plain(snapshot)}


def standing(queue: Queue) -> tuple[str, str]:
    """A mark for the row ("", "bad", "unsure", "broken", "zero") and a word for its state."""
    if queue.problem:
        return "broken", queue.problem
    if queue.waiting is None:
        return "broken", "not known"
    if queue.stalled:
        return "bad", f"{format_count(queue.stalled)} stalled"
    fetched = queue.in_flight or (queue.rate_out or 0) > 0
    if queue.waiting and not fetched and (queue.oldest_age_s or 0) > 2:
        return "bad", "none is fetched"
    if (queue.net_rate or 0) > max(1.0, 0.05 * (queue.rate_in or 0)):
        return "unsure", "backlog grows"
    return ("", "working") if queue.waiting or fetched else ("zero", "idle")


def charts(history: Mapping[str, Any]) -> Chart:
    """Backlog, age and rates over the time of a feed's history (`History.columns`)."""
    at_s: Sequence[float] = history["at_s"]
    series: Mapping[str, Sequence[float | None]] = history["series"]
    if len(at_s) < 2:
        return Chart(title="Over time", reading="", empty="Too little has been seen to draw.")
    x = tuple(each - at_s[0] for each in at_s)
    highest = {
        name.split("/")[1]: max((each or 0 for each in values), default=0)
        for name, values in series.items()
        if name.startswith("queues/") and name.endswith("/waiting")
    }
    names = sorted(sorted(highest, key=lambda name: -highest[name])[:_LINES])
    colours = queue_colours(names)
    left = len(highest) - len(names)

    def panel(title: str, lines: Sequence[tuple[str, str, str]], unit: str) -> Panel:
        return Panel(
            x=Axis(title="time, s"),
            y=Axis(title=unit, zero=True),
            title=title,
            marks=tuple(
                Line(name=label, x=x, y=numbers(series[key]), colour=colour)
                for key, label, colour in lines
                if key in series
            ),
        )

    def of_queues(field: str) -> list[tuple[str, str, str]]:
        return [(f"queues/{name}/{field}", name, colours[name]) for name in names]

    flow = [("totals/rate_in", "in", "grey"), ("totals/rate_out", "out", "green")]
    peak = max(highest.values(), default=0)
    return Chart(
        title=f"At most {format_count(peak)} jobs waited in one queue"
        if peak
        else "No job was seen waiting",
        reading="Out below in: the backlog grows. An age that rises steadily: the queue stands "
        "still." + (f" {left} queues are not drawn." if left else ""),
        panels=(
            panel("waiting", of_queues("waiting"), "jobs"),
            panel("oldest waiting job", of_queues("oldest_age_s"), "age, s"),
            panel("in and out", flow, "jobs per s"),
        ),
        shared=False,
    )


def _html(snapshot: Snapshot) -> str:
    broken = [
        f'<p class="pk-finding"><strong>{text(words)}</strong></p>' for words in _broken(snapshot)
    ]
    parts = [
        f'{sheet.element()}<div class="pk-figure">',
        f'<p class="pk-reading">{text(_head(snapshot))}</p>',
    ]
    if broken:
        parts.append(f'<div class="pk-banner pk-FAIL">{"".join(broken)}</div>')
    queues, left = _queues(snapshot)
    if queues:
        marks = [standing(each)[0] for each in queues]
        parts.append(table(_queue_table(queues, left), marks=marks))
    else:
        parts.append('<p class="pk-empty">No queue is known.</p>')
    ordered = sorted(snapshot.workers, key=lambda each: (not each.lost, each.alive, each.name))
    workers = [each for each in ordered if each.role != "producer"]
    if workers:
        rows = tuple(
            (
                each.name,
                "alive" if each.alive else "lost" if each.lost else "stopped or silent",
                _duration(each.last_seen_s),
                _count(each.in_flight),
                _share(each.cpu),
                _bytes(each.rss_bytes),
            )
            for each in workers[:WORKERS]
        )
        hidden = len(workers) - len(rows)
        shown = Table(
            columns=("worker", "state", "last seen, ago", "in flight", "CPU", "memory"),
            rows=rows,
            note=f"{hidden} more are not listed" if hidden else "",
        )
        parts.append(table(shown, marks=["bad" if each.lost else "" for each in workers]))
    parts += [f'<p class="pk-reading">{text(line)}</p>' for line in _lines(snapshot)]
    return "".join(parts) + "</div>"


def _plain(snapshot: Snapshot) -> str:
    queues, left = _queues(snapshot)
    lines = [_head(snapshot), *_broken(snapshot)]
    lines += [
        f"{each.name}: {standing(each)[1]}, {_count(each.waiting)} waiting, "
        f"{_count(each.in_flight)} in flight, {_count(each.dead)} dead, "
        f"oldest {_duration(each.oldest_age_s)}"
        for each in queues
    ]
    if left:
        lines.append(f"{left} more queues are not listed")
    return "\n".join([*lines, *_lines(snapshot)])


def _head(snapshot: Snapshot) -> str:
    totals = snapshot.totals
    if snapshot.replay is not None:
        at, whole = snapshot.replay.position_s, snapshot.replay.length_s
        mode = f"recorded, at {format_duration(at * 1e9)} of {format_duration(whole * 1e9)}"
    else:
        mode = snapshot.mode
    if totals.workers is None:
        workers = "workers not known"
    else:
        workers = f"{totals.workers_alive} of {totals.workers} workers alive"
    if totals.clients_alive:
        workers += f", {totals.clients_alive} more clients that may be workers"
    head = f"{snapshot.subject}: {mode}; {workers}".removeprefix(": ")
    if snapshot.mode in ("waiting", "ended"):
        reasons = [each.detail for each in snapshot.sources.values() if not each.ok]
        head += "".join(f"; {reason}" for reason in reasons[:1])
    return head


def _broken(snapshot: Snapshot) -> list[str]:
    if snapshot.mode in ("waiting", "ended"):
        return []  # there is nothing to look at, which is no fault
    return [
        f"{name} is broken: {source.detail} (for {format_duration(source.since_s * 1e9)})"
        for name, source in snapshot.sources.items()
        if not source.ok
    ]


def _queues(snapshot: Snapshot) -> tuple[list[Queue], int]:
    """Those that are listed, and how many are not."""
    worst = {"broken": 0, "bad": 1, "unsure": 2, "": 3, "zero": 4}
    ordered = sorted(snapshot.queues, key=lambda each: (worst[standing(each)[0]], each.name))
    kept = ordered[:QUEUES] if len(ordered) > QUEUES else list(snapshot.queues)
    return kept, len(ordered) - len(kept)


def _queue_table(queues: Sequence[Queue], left: int) -> Table:
    return Table(
        columns=(
            "queue", "state", "waiting", "oldest", "in flight", "stalled", "delayed", "dead",
            "in", "out", "wait P95", "run P95",
        ),
        rows=tuple(
            (
                each.name,
                standing(each)[1],
                _count(each.waiting),
                _duration(each.oldest_age_s),
                _count(each.in_flight),
                _count(each.stalled),
                _count(each.delayed),
                _count(each.dead),
                _rate(each.rate_in),
                _rate(each.rate_out),
                _duration(each.wait_p95_s),
                _duration(each.run_p95_s),
            )
            for each in queues
        ),
        note=f"{left} more queues are not listed" if left else "",
    )  # fmt: skip


def _lines(snapshot: Snapshot) -> list[str]:
    lines = []
    if (redis := snapshot.redis) is not None:
        limit = "" if redis.memory_max_bytes is None else f" of {_bytes(redis.memory_max_bytes)}"
        lines.append(
            f"Redis: {_rate(redis.ops)} commands, {_bytes(redis.memory_used_bytes)}{limit}, "
            f"{_count(redis.clients)} clients, CPU {_share(redis.cpu)}, "
            f"round trip {_duration(redis.round_trip_s)}, {_count(redis.evicted)} keys evicted"
        )
    if (load := snapshot.load) is not None:
        lines.append(
            f"Load: offered {_rate(load.offered)}, achieved {_rate(load.achieved)}, "
            f"generator lag P99 {_duration(load.lag_p99_s)}"
        )
    if snapshot.errors:
        told = ", ".join(
            f"{each.type} on {each.queue} {each.count}" for each in snapshot.errors[:8]
        )
        lines.append(f"Errors: {told}")
    lines += [
        f"Threshold {each.name}: {each.note or _THRESHOLD[each.state]}"
        for each in snapshot.thresholds
    ]
    return lines


def _count(value: float | None) -> str:
    return _UNKNOWN if value is None else format_count(value)


def _rate(value: float | None) -> str:
    return _UNKNOWN if value is None else format_rate(value)


def _duration(seconds: float | None) -> str:
    if seconds is None:
        return _UNKNOWN
    return format_duration(seconds * 1e9) if seconds else "0 s"


def _share(value: float | None) -> str:
    return _UNKNOWN if value is None else format_percent(value)


def _bytes(value: float | None) -> str:
    return _UNKNOWN if value is None else format_bytes(value)
