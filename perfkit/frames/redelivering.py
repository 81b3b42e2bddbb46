"""Messages that were handed to a second worker, because Redis took the first for dead.

That a worker fetched a message is recorded when it starts it. What a dead worker had fetched ahead
is known by the order of the list: Redis hands out what was put in first. Where a later message
was fetched long before an earlier one, somebody had the earlier one in between.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from perfkit.frames.incidents import Incidents
from perfkit.frames.session import Session

__all__ = ["SLEEP_NS", "Redelivery", "redeliveries"]

SLEEP_NS: Final = 1_500_000_000
"""A worker's last sign of life may be as old as its sleep between two looks into its queue."""


class Redelivery(NamedTuple):
    """One message that began, or was to begin, at one worker and began at another."""

    redis_message_id: str
    job_id: str
    queue: str
    first: str | None  # worker; None where it never started there
    second: str | None
    since_ns: int  # the first start, or when the first worker was lost with it
    taken_ns: int  # fetched by the second
    started_ns: int


_AGAIN: Final = """
    select redis_message_id, job_id, queue, first, worker, before_ns,
           coalesce(fetched_ns, started_ns), started_ns
    from (
        select *, lag(worker) over w as first, lag(started_ns) over w as before_ns
        from jobs where started_ns is not null
        window w as (partition by redis_message_id order by started_ns, delivery)
    ) where before_ns is not null order by started_ns
"""

_OVERTAKEN: Final = """
    with messages as (
        select redis_message_id, any_value(job_id) as job_id, queue,
               min(enqueued_ns) as enqueued_ns,
               arg_min(worker, started_ns) as worker,
               min(fetched_ns) filter (started_ns is not null) as taken_ns,
               min(started_ns) as started_ns,
               bool_or(requeued_ns is not null) as given_back
        from jobs where enqueued_ns is not null group by redis_message_id, queue
    ), ordered as (
        select *, min(taken_ns) over (
            partition by queue order by enqueued_ns
            rows between 1 following and unbounded following) as overtaken_ns
        from messages
    )
    select redis_message_id, job_id, queue, worker, enqueued_ns, taken_ns, started_ns
    from ordered
    where not given_back and taken_ns - overtaken_ns >= $1 order by started_ns
"""


def redeliveries(sql: Session, incidents: Incidents) -> list[Redelivery]:
    """All of a trial, in the order of their starts, whatever made Redis do it."""
    found = [Redelivery(*row) for row in sql.rows(_AGAIN)]
    timeout_ns = incidents.heartbeat_timeout_ns
    lost = sorted([*incidents.gone.values(), *(each.begin_ns for each in incidents.silences)])
    if timeout_ns is not None and lost:
        for rid, job, queue, worker, enqueued, taken, started in sql.rows(
            _OVERTAKEN, [timeout_ns // 2]
        ):
            # The last that was lost while this waited, and long enough ago.
            fitting = [at for at in lost if enqueued <= at <= taken - timeout_ns + SLEEP_NS]
            if fitting:
                since = min(fitting[-1], taken)
                found.append(Redelivery(rid, job, queue, None, worker, since, taken, started))
    return sorted(found, key=lambda each: each.started_ns)
