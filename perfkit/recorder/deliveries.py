"""Events joined: one row for each delivery of a message, and one for each that no worker took."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from perfkit.recorder.events import Event, Kind
from perfkit.recorder.reader import SpoolContents

__all__ = ["Delivery", "deliveries"]


@dataclass(slots=True)
class Delivery:
    """One delivery; stamps are monotonic ns, None for what did not happen or is not known."""

    identity: Event
    worker: str | None = None
    number: int = 0  # nth start of this redis message id, from 1; 0: never started
    delayed_ns: int | None = None
    enqueued_ns: int | None = None
    enqueue_done_ns: int | None = None
    fetched_ns: int | None = None
    started_ns: int | None = None
    finished_ns: int | None = None
    acked_ns: int | None = None
    requeued_ns: int | None = None
    outcome: str = "enqueued"  # as of `perfkit.records.JOBS`
    error: str | None = None

    @property
    def over(self) -> bool:
        """This worker has given the message out of its hands."""
        return self.acked_ns is not None or self.requeued_ns is not None


def deliveries(spools: Sequence[SpoolContents]) -> Iterator[tuple[str, Delivery]]:
    """Redis message ids and their deliveries, those of one id together and in order.

    Events of the delayed half of a queue are left out: a delayed message is no delivery, and its
    real one follows when it falls due, with the time at which it was put aside.
    """
    enqueued: dict[str, Event] = {}
    put_aside: dict[str, int | None] = {}
    taken: dict[str, list[Delivery]] = {}
    for spool in spools:
        # A thread works on one message at a time, and its events are in order. A message that was
        # put into the list twice may be in the hands of two threads of a process at once.
        here: dict[tuple[str, int], Delivery] = {}
        # It enqueues what it put aside itself, under a new redis id.
        aside: dict[tuple[str, int], int | None] = {}
        for event in spool.events:
            rid = event.redis_message_id
            if rid is None:
                continue
            if event.delayed:
                if event.kind is Kind.DELAY:
                    aside[event.message_id, event.attempt] = event.delayed_ns
                continue
            if event.kind is Kind.ENQ:
                enqueued[rid] = event
                if aside:
                    put_aside[rid] = aside.get((event.message_id, event.attempt))
                continue
            row = here.get((rid, event.thread_id))
            if row is None or row.over or event.kind in (Kind.START, Kind.REQUEUE):
                row = here[rid, event.thread_id] = Delivery(event, worker=spool.name)
                taken.setdefault(rid, []).append(row)
            _apply(row, event)
    for rid in dict.fromkeys([*enqueued, *taken]):
        producer = enqueued.get(rid)
        rows = sorted(taken.get(rid, []), key=_began)
        if not rows and producer is not None:
            rows = [Delivery(producer)]
        starts = 0
        for row in rows:
            starts += row.started_ns is not None
            row.number = starts if row.started_ns is not None else 0
            row.delayed_ns = put_aside.get(rid)
            if producer is not None:
                row.enqueued_ns = producer.enqueued_ns
                row.enqueue_done_ns = producer.enqueue_done_ns
            yield rid, row


def _began(row: Delivery) -> int:
    """When a delivery began, as far as it is known; what never started comes last."""
    return row.started_ns or 2**63


def _apply(row: Delivery, event: Event) -> None:
    match event.kind:
        case Kind.START:
            row.enqueued_ns, row.fetched_ns = event.enqueued_ns, event.fetched_ns
            row.started_ns, row.outcome = event.started_ns, "running"
        case Kind.END:
            row.finished_ns, row.error = event.finished_ns, event.error
            row.outcome = "failed" if event.error else "done"
        case Kind.ACK:
            row.acked_ns = event.acked_ns
            if row.outcome == "enqueued":
                row.outcome = "fetched"
        case Kind.NACK:
            row.acked_ns, row.outcome = event.acked_ns, "dead"
        case Kind.SKIP:
            row.outcome = "skipped"
        case Kind.REQUEUE:
            row.enqueued_ns, row.fetched_ns = event.enqueued_ns, event.fetched_ns
            row.requeued_ns, row.outcome = event.requeued_ns, "requeued"
        case _:
            pass
