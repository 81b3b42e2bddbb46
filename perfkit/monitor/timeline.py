"""The timeline of one job: what happened to each of its deliveries, and when."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from perfkit.recorder.deliveries import Delivery
from perfkit.recorder.reader import SpoolAnchor

__all__ = ["STAMPS", "timeline_of"]

STAMPS: Final = (
    "delayed_ns", "enqueued_ns", "enqueue_done_ns", "fetched_ns", "started_ns", "finished_ns",
    "acked_ns", "requeued_ns",
)  # fmt: skip
"""Monotonic ns, null for what did not happen or is not known."""


def timeline_of(job_id: str, rows: Sequence[Delivery], anchor: SpoolAnchor) -> dict[str, Any]:
    """A job's attempts in order, as JSON's types; ``clock`` dates the stamps."""
    first = rows[0].identity if rows else None
    return {
        "id": job_id,
        "queue": first.queue if first else None,
        "actor": first.actor if first else None,
        "clock": {"mono_ns": anchor.mono_ns, "wall_ns": anchor.wall_ns},
        "attempts": [
            {
                "attempt": row.identity.attempt,
                "delivery": row.number,
                "worker": row.worker,
                **{stamp: getattr(row, stamp) for stamp in STAMPS},
                "outcome": row.outcome,
                "error": row.error,
            }
            for row in sorted(rows, key=lambda row: row.enqueued_ns or row.fetched_ns or 0)
        ],
    }
