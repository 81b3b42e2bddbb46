"""Random small histories of a system: requests, deliveries, calls."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from tests.sealed import MS, SECOND, call, delivery, dropped, request

Row = dict[str, Any]

__all__ = ["histories"]

_QUEUES = ("payments", "notifications")


@st.composite
def _deliveries(draw: st.DrawFn, of: Row) -> tuple[list[Row], list[Row]]:
    """Attempts one after another; a message may be delivered again; the end may be missing."""
    rows: list[Row] = []
    answered: list[Row] = []
    at = of["sent_ns"] + draw(st.integers(1, 5)) * MS

    def step() -> int:
        return draw(st.integers(0, 400)) * MS

    for attempt in range(draw(st.integers(1, 3))):
        enqueued = at
        name = f"message-{of['seq']}-{attempt}"
        for number in range(1, draw(st.integers(1, 2)) + 1):
            fetched = at + step()
            started = fetched + step()
            finished = started + step()
            at = finished + step()
            outcome = draw(st.sampled_from(["done", "failed", "running", "fetched", "enqueued"]))
            has_started = outcome in ("done", "failed", "running")
            has_ended = outcome in ("done", "failed")
            rows.append(
                delivery(
                    of,
                    redis_message_id=name,
                    attempt=attempt,
                    delivery=number if has_started else 0,
                    enqueued_ns=enqueued,
                    fetched_ns=None if outcome == "enqueued" else fetched,
                    started_ns=started if has_started else None,
                    finished_ns=finished if has_ended else None,
                    acked_ns=at if has_ended and draw(st.booleans()) else None,
                    outcome=outcome,
                )
            )
            if has_ended:
                delay = draw(st.integers(1, 200)) * MS
                answered.append(call(of, attempt=attempt, delay_ns=delay))
        at += step()
    return rows, answered


@st.composite
def histories(draw: st.DrawFn) -> tuple[list[Row], list[Row], list[Row]]:
    """Requests, deliveries and calls of one trial; all kinds of ends, also none at all."""
    requests: list[Row] = []
    jobs: list[Row] = []
    calls: list[Row] = []
    for seq in range(draw(st.integers(0, 8))):
        intended = 10 * SECOND + draw(st.integers(0, 12_000)) * MS
        queue = draw(st.sampled_from(_QUEUES))
        kind = draw(
            st.sampled_from(["ran", "ran", "ran", "waits", "refused", "errored", "dropped"])
        )
        if kind == "dropped":
            requests.append(dropped(seq, intended, queue=queue))
            continue
        status = {"refused": 503, "errored": None}.get(kind, 202)
        sent = intended + draw(st.integers(0, 30)) * MS
        blocked = draw(st.sampled_from([0, 0, sent - intended]))
        row = request(seq, intended, queue=queue, status=status, sent_ns=sent, blocked_ns=blocked)
        requests.append(row)
        if kind in ("ran", "errored"):
            rows, answered = draw(_deliveries(row))
            jobs += rows
            calls += answered
    return requests, jobs, calls
