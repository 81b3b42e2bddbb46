"""Attempts that ran more than once: what made them, and what they cost where money is charged."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

from perfkit.frames import SLEEP_NS, Incidents, Session
from perfkit.verdict.evidence import DUPLICATED

__all__ = ["UNKNOWN", "Charges", "Repeat", "charges", "repeats"]

UNKNOWN: Final = "no cause is known"


class Repeat(NamedTuple):
    """A job of which one attempt ran again, by its first repetition."""

    job_id: str
    cause: str
    at_ns: int | None  # when it began again
    first: str | None = None  # the worker that had it first


class _Pair(NamedTuple):
    job_id: str
    first_id: str  # of the message
    first: str | None  # worker
    first_ns: int  # when the first worker had it
    second_id: str
    second: str | None
    taken_ns: int
    started_ns: int
    acked_ns: int | None  # by the first


_PAIRS: Final = f"""
    with twice as ({DUPLICATED}), paired as (
        select job_id, attempt, lag(redis_message_id) over w as first_id,
               lag(worker) over w as first,
               lag(coalesce(fetched_ns, started_ns)) over w as first_ns,
               lag(acked_ns) over w as first_acked_ns,
               redis_message_id, worker, coalesce(fetched_ns, started_ns) as taken_ns, started_ns
        from jobs where started_ns is not null and job_id in (select job_id from twice)
        window w as (partition by job_id, attempt order by started_ns, delivery)
    )
    select job_id, first_id, first, first_ns, redis_message_id, worker, taken_ns, started_ns,
           first_acked_ns
    from paired where first_ns is not null
    qualify row_number() over (partition by job_id order by started_ns) = 1
    order by started_ns
"""


def repeats(sql: Session, incidents: Incidents) -> list[Repeat]:
    """Every duplicated job of a trial and, by what is recorded, why it ran again."""
    known = {row[0]: _Pair(*row) for row in sql.rows(_PAIRS)}
    return [
        Repeat(job, _cause(pair, incidents), pair.started_ns, pair.first)
        if (pair := known.get(job)) is not None
        else Repeat(job, UNKNOWN, None)
        for (job,) in sql.rows(f"select distinct job_id from ({DUPLICATED}) order by job_id")
    ]


def _cause(pair: _Pair, incidents: Incidents) -> str:
    def within(instants: Iterable[int]) -> bool:
        return any(pair.first_ns <= at <= pair.taken_ns for at in instants)

    forgotten = within(each.died_ns for each in incidents.restarts)
    died = [at for name, at in incidents.gone.items() if name == pair.first]
    if pair.first_id != pair.second_id:
        return _enqueued_twice(pair, incidents, forgotten)
    if within(died):
        return "its worker died before it was acknowledged"
    if forgotten:
        return "Redis died, and came back without the acknowledgement"
    if _silent(pair, incidents):
        return "its worker was silent for longer than its heartbeat timeout"
    if within(at for name, at in incidents.told.items() if name == pair.first):
        return "its worker was told to stop before it was done"
    if pair.acked_ns is None or pair.acked_ns > pair.taken_ns:
        # Only that way is a message handed out again under its id.
        return "Redis took its worker for dead, but it lived"
    return UNKNOWN


def _silent(pair: _Pair, incidents: Incidents) -> bool:
    """Whether one of the two was kept from Redis until the other got the message.

    A worker that wakes up runs again what it had fetched ahead: then it is the second.
    """
    timeout_ns = incidents.heartbeat_timeout_ns
    if timeout_ns is None:
        return False
    least = timeout_ns - SLEEP_NS
    return any(
        each.worker in (None, pair.first, pair.second)
        and each.begin_ns <= pair.started_ns
        and each.end_ns >= pair.first_ns
        and each.end_ns - each.begin_ns >= least
        for each in incidents.silences
    )


def _enqueued_twice(pair: _Pair, incidents: Incidents, forgotten: bool) -> str:
    if forgotten:
        return "Redis died, and came back with a message that had been moved on"
    timeout_ns = incidents.heartbeat_timeout_ns
    if timeout_ns is not None and any(
        each.begin_ns <= pair.taken_ns
        and each.end_ns >= pair.first_ns - SLEEP_NS
        and each.end_ns - each.begin_ns >= timeout_ns - SLEEP_NS
        for each in incidents.silences
    ):
        # Both moved it on when it fell due: it was put aside, or waited for its retry.
        return "a silent worker had put it aside, and another was given it: it was enqueued twice"
    if any(pair.first_ns - SLEEP_NS <= at <= pair.taken_ns for at in incidents.gone.values()):
        return "a worker died between moving it on and saying so: it was enqueued twice"
    if any(
        each.begin_ns <= pair.taken_ns and each.end_ns >= pair.first_ns - SLEEP_NS
        for each in incidents.outages
    ):
        return "its enqueue was sent again when no answer came"
    return "it was enqueued twice, and no cause is known"


class Charges(NamedTuple):
    """What repetitions cost where money is charged."""

    double: int  # payments that were charged more than once
    stopped: int  # executions that ledger or gateway kept from charging again


def charges(sql: Session) -> Charges:
    """Count them; both are nought where nothing is charged."""
    return Charges(
        *sql.rows("""
            with paying as (select distinct queue from calls where charged)
            select (select count(*) from (select key from calls where charged group by key
                                          having count(*) > 1)),
                   (select count(*) from calls
                    where status < 400 and not charged and queue in (from paying))
                   + (select count(*) from jobs j join requests r on r.job_id = j.job_id
                      where j.outcome = 'done' and r.queue in (from paying)
                        and not exists (select 1 from calls c where c.key = r.key
                            and c.received_ns between j.started_ns and j.finished_ns))
        """)[0]
    )
