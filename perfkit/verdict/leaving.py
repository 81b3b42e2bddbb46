"""What each queue was left with when the drain ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from perfkit.frames import Session
from perfkit.units import format_count, format_percent

__all__ = ["LEAST_LEFT", "LEFT_SHARE", "Queue", "left_over", "queues_of"]

LEAST_LEFT: Final = 5
LEFT_SHARE: Final = 0.05  # of a queue's or a phase's jobs


@dataclass(frozen=True, slots=True)
class Queue:
    """Its cohort, and what of it no worker had done or buried when the drain ended."""

    name: str
    cohort: int  # jobs intended in the window
    left: int  # of them, how many no worker had done or buried when the drain ended


def queues_of(sql: Session) -> list[Queue]:
    """Those of a trial's load, sorted by name."""
    return [
        Queue(*row)
        for row in sql.rows("""
            with left_over as (
                select distinct job_id from leftovers
                where place = 'list' or (place = 'acks' and owner_alive)
            )
            select queue, count(*),
                   count(*) filter (not done and job_id in (select job_id from left_over))
            from job where in_window group by queue order by queue
        """)
    ]


def left_over(queue: Queue) -> Iterator[str]:
    """That so much of a queue still waited that it did not sustain its load."""
    share = queue.left / queue.cohort
    if queue.left >= LEAST_LEFT and share >= LEFT_SHARE:
        yield (
            f"{format_count(queue.left)} of {format_count(queue.cohort)} jobs of {queue.name} "
            f"({format_percent(share, 0)}) still waited when the drain ended"
        )
