"""What is known of each planned request, and the class that follows from it.

Classes are given by positive evidence, in this order; none is a remainder.

    done           a delivery finished it, and the ack of that delivery was answered
    done_unacked   a delivery finished it, and no such ack is known
    dead           its nack was answered, or Redis holds it among the dead
    pending        Redis holds it in a list, waiting or delayed
    stranded       Redis holds it in an ack set alone, of a worker that is dead, or that lived on
    lost           Redis holds its body and no list holds its id; or the application skipped it;
                   or it was in Redis, is gone, and after it was written there Redis died without
                   having kept it, or evicted keys; or its last attempt failed and was
                   acknowledged, no retry is known, and Redis could not be reached just then
    answered       by a request that enqueues no job: its reply named none
    unexplained    none of these

*Written* is the last instant at which it is known to have been put into Redis: its last enqueue,
what was given back, or the failure whose retry followed; of a job that nobody recorded, the answer
that accepted it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from perfkit.frames import Incidents, incidents_of
from perfkit.store import StoredRun

__all__ = ["DUPLICATED", "evidence"]

_RECORDED: Final = """
    select job_id,
           bool_or(outcome = 'done' and finished_ns is not null) as finished,
           bool_or(outcome = 'done' and finished_ns is not null and acked_ns is not null) as acked,
           bool_or(outcome = 'dead' and acked_ns is not null) as buried,
           bool_or(outcome = 'skipped' and acked_ns is not null) as skipped,
           bool_or(started_ns is not null) as started,
           min(enqueued_ns) as enqueued_ns,
           max(finished_ns) filter (outcome = 'failed' and acked_ns is not null) as failed_ns,
           max(attempt) filter (outcome = 'failed' and acked_ns is not null) = max(attempt)
               as retry_unseen,
           list_max([max(enqueued_ns), max(requeued_ns), max(finished_ns) filter (
               outcome = 'failed' and acked_ns is not null)]) as rewritten_ns
    from jobs group by job_id
"""

_LEFT: Final = """
    select l.job_id,
           bool_or(place = 'dead') as in_dead,
           bool_or(place in ('list', 'delayed')) as in_list,
           bool_or(place = 'acks') as in_acks,
           bool_or(place = 'acks' and owner_alive) as in_living,
           bool_or(place = 'acks' and not owner_alive) as in_orphaned,
           bool_or(place = 'acks' and owner_alive and l.redis_message_id not in (
               select redis_message_id from jobs)) as put_aside,
           bool_or(place = 'acks' and owner_alive and (l.queue, l.owner) in (
               select (queue, owner) from leftovers
               where place = 'acks' and job_id = redis_message_id)) as spoilt,
           bool_or(place = 'nowhere') as in_none
    from leftovers l group by l.job_id
"""

# A retry is enqueued right after the failure; a client gives up within seconds.
_RETRY_NS: Final = 10_000_000_000
_UNRETRIED: Final = "its retry could not be enqueued, and the failure was acknowledged"


def evidence(run: StoredRun, trial: int) -> str:
    """Common table expressions of one trial: ``evidence``, and ``classed`` with the class of each.

    ``class`` is "class" or "class: mechanism"; null where a request was not accepted.
    """
    found = incidents_of(run, trial)
    return f"""
    {_incidents(found)},
    recorded as ({_RECORDED}),
    held as ({_LEFT}),
    joined as (
        select q.*, r.* exclude (job_id), h.* exclude (job_id),
               r.job_id is not null or h.job_id is not null as known,
               coalesce(q.status between 200 and 299, false) as accepted,
               q.sent_ns is null as dropped,
               q.job_id is null and q.queue not in (
                   select queue from requests where job_id is not null) as makes_no_job,
               q.sent_ns is not null and q.status is null as errored,
               coalesce(r.rewritten_ns, q.done_ns) as written_ns
        from requests q
        left join recorded r on r.job_id = q.job_id
        left join held h on h.job_id = q.job_id
    ), evidence as (
        select *,
               {_befallen(found)}
        from joined
    ), classed as (
        select *, case
            when not accepted or not {run.facts(trial).jobs_recorded} then null
            when job_id is null then 'answered'
            when acked then 'done'
            when finished then 'done_unacked'
            when buried or in_dead then 'dead'
            when in_list then 'pending'
            when spoilt then 'stranded: fetched together with a message that cannot be decoded'
            when in_orphaned then 'stranded: held by a worker that is dead'
            when put_aside and cut_off
                then 'stranded: put aside by a worker that then lost its connection'
            when in_living then 'stranded: held by a worker that lived'
            when in_acks then 'stranded: held by a worker that is not known'
            when in_none and evicted then 'lost: Redis evicted the list that held its id'
            when in_none then 'lost: no list holds its id'
            when skipped then 'lost: skipped by the application'
            when retry_unseen and retry_shut_out then 'lost: {_UNRETRIED}'
            when died_with is not null then 'lost: ' || died_with
            when evicted then 'lost: evicted by Redis'
            when retry_unseen and retry_kept_out then 'lost: {_UNRETRIED}'
            else 'unexplained' end as class
        from evidence
    )
"""


_BY_RESTARTS: Final = """
               (select min(how) from restarts where written_ns <= died_ns
                and coalesce(written_ns > kept_ns, true)) as died_with,
"""
_BY_EVICTIONS: Final = """
               exists (select 1 from evictions where at_ns >= written_ns) as evicted,
"""
_BY_OUTAGES: Final = f"""
               exists (select 1 from outages where failed_ns between begin_ns and end_ns
                       and not slow) as retry_shut_out,
               exists (select 1 from outages where failed_ns between begin_ns - {_RETRY_NS}
                       and end_ns) as retry_kept_out,
               exists (select 1 from outages where end_ns >= written_ns) as cut_off,
"""
_FORGOTTEN: Final = """
               exists (select 1 from restarts where died_ns >= sent_ns)
               or exists (select 1 from evictions where at_ns >= sent_ns) as forgotten
"""


def _befallen(found: Incidents) -> str:
    """What befell each job. Of what did not happen that is said at once: to plan it costs most."""
    return "".join(
        (
            _BY_RESTARTS if found.restarts else "null::text as died_with,",
            _BY_EVICTIONS if found.evictions else "false as evicted,",
            _BY_OUTAGES
            if found.outages
            else "false as retry_shut_out, false as retry_kept_out, false as cut_off,",
            _FORGOTTEN if found.restarts or found.evictions else "false as forgotten",
        )
    )


DUPLICATED: Final = """
    select job_id from jobs group by job_id, attempt
    having count(started_ns) > 1 or count(finished_ns) > 1
"""
"""Jobs of which one attempt started, or finished, more than once; a retry is none."""


def _incidents(found: Incidents) -> str:
    restarts = [
        (str(each.died_ns), "null" if each.kept_ns is None else str(each.kept_ns), _text(each.how))
        for each in found.restarts
    ]
    outages = [(str(begin), str(end), str(slow).lower()) for begin, end, slow in found.outages]
    evictions = [(str(at_ns),) for at_ns in found.evictions]
    return ",\n    ".join(
        (
            _table("restarts", {"died_ns": "bigint", "kept_ns": "bigint", "how": "text"}, restarts),
            _table(
                "outages", {"begin_ns": "bigint", "end_ns": "bigint", "slow": "boolean"}, outages
            ),
            _table("evictions", {"at_ns": "bigint"}, evictions),
        )
    )


def _table(name: str, columns: dict[str, str], rows: Iterable[Sequence[str]]) -> str:
    """A table of literals, which may have no rows."""
    empty = ", ".join(f"null::{kind} as {column}" for column, kind in columns.items())
    values = "".join(f" union all select {', '.join(row)}" for row in rows)
    return f"{name} as (select * from (select {empty} where false){values})"


def _text(words: str) -> str:
    return "'" + words.replace("'", "''") + "'"
