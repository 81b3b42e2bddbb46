"""What is known of each planned request, and the class that follows from it.

Classes are given by positive evidence, in this order; none is a remainder.

    done           a delivery finished it, and the ack of that delivery was answered
    done_unacked   a delivery finished it, and no such ack is known
    dead           its nack was answered, or Redis holds it among the dead
    pending        Redis holds it in a list, waiting or delayed
    stranded       Redis holds it in an ack set alone, of a worker that is dead, or that lived on
    lost           Redis holds its body and no list holds its id; or the application skipped it;
                   or it was enqueued, is gone, and Redis evicted keys or died meanwhile
    unexplained    none of these
"""

from __future__ import annotations

from typing import Any, Final

from perfkit.frames import Session
from perfkit.store import TrialFacts

__all__ = ["DUPLICATED", "EVIDENCE", "evidence_parameters"]

_RECORDED: Final = """
    select job_id,
           bool_or(outcome = 'done' and finished_ns is not null) as finished,
           bool_or(outcome = 'done' and finished_ns is not null and acked_ns is not null) as acked,
           bool_or(outcome = 'dead' and acked_ns is not null) as buried,
           bool_or(outcome = 'skipped' and acked_ns is not null) as skipped,
           bool_or(started_ns is not null) as started,
           min(enqueued_ns) as enqueued_ns
    from jobs group by job_id
"""

_LEFT: Final = """
    select job_id,
           bool_or(place = 'dead') as in_dead,
           bool_or(place in ('list', 'delayed')) as in_list,
           bool_or(place = 'acks') as in_acks,
           bool_or(place = 'acks' and owner_alive) as in_living,
           bool_or(place = 'acks' and not owner_alive) as in_orphaned,
           bool_or(place = 'nowhere') as in_none
    from leftovers group by job_id
"""

EVIDENCE: Final = f"""
    recorded as ({_RECORDED}),
    held as ({_LEFT}),
    evidence as (
        select q.*, r.* exclude (job_id), h.* exclude (job_id),
               r.job_id is not null or h.job_id is not null as known,
               coalesce(q.status between 200 and 299, false) as accepted,
               q.sent_ns is null as dropped,
               q.sent_ns is not null and q.status is null as errored
        from requests q
        left join recorded r on r.job_id = q.job_id
        left join held h on h.job_id = q.job_id
    ), classed as (
        select *, case
            when not accepted then null
            when acked then 'done'
            when finished then 'done_unacked'
            when buried or in_dead then 'dead'
            when in_list then 'pending'
            when in_orphaned then 'stranded: held by a worker that is dead'
            when in_living then 'stranded: held by a worker that lived'
            when in_acks then 'stranded: held by a worker that is not known'
            when in_none then 'lost: no list holds its id'
            when skipped then 'lost: skipped by the application'
            when enqueued_ns is not null and $evicted then 'lost: evicted by Redis'
            when enqueued_ns < $redis_died_ns then 'lost: Redis died after it was enqueued'
            else 'unexplained' end as class
        from evidence
    )
"""
"""Common table expressions of one trial; their parameters come from `evidence_parameters`."""

DUPLICATED: Final = """
    select job_id from jobs group by job_id, attempt
    having count(started_ns) > 1 or count(finished_ns) > 1
"""
"""Jobs of which one attempt started, or finished, more than once; a retry is none."""


def evidence_parameters(sql: Session, facts: TrialFacts) -> dict[str, Any]:
    """The named parameters that `EVIDENCE` needs: whether keys were evicted, when Redis died."""
    evicted = sql.rows(
        "select coalesce(max(value) - min(value) > 0, false) from samples"
        " where metric = 'redis.evicted'"
    )[0][0]
    died = [death.at_ns for death in facts.deaths if facts.role(death.name) == "redis"]
    return {"evicted": bool(evicted), "redis_died_ns": max(died, default=None)}
