"""What was stamped, in the least that laws can be checked by; each costs one pass over a table."""

from __future__ import annotations

import pandas as pd

from perfkit.frames.session import session
from perfkit.store import StoredRun

__all__ = ["disordered", "served", "stays"]


def stays(run: StoredRun, trial: int) -> pd.DataFrame:
    """When each request of one trial came into the system and when it left; warm-up and drain too.

    Columns: came_ns (intended), left_ns (its job was first finished; of a request that is the work
    itself, or of a trial without recorded jobs, its answer), both int64. What has not left by the
    end of the drain is there until then. Requests that were dropped, refused or had no answer, and
    whose job did not run, never came in.
    """
    with session(run, trial) as sql:
        return sql.frame("""
            with ended as (
                select job_id, min(finished_ns) as finished_ns from jobs
                where outcome = 'done' and finished_ns is not null group by job_id
            ), joined as (
                select r.intended_ns as came_ns, drain_end,
                       coalesce(r.status between 200 and 299, false) as accepted,
                       e.finished_ns is not null as ran,
                       case when accepted and (r.job_id is null or not f.jobs_recorded)
                            then r.done_ns else e.finished_ns end as ended_ns
                from requests r join facts f on f.trial = r.trial
                left join ended e on e.job_id = r.job_id
            )
            select came_ns, coalesce(ended_ns, greatest(drain_end, came_ns))::bigint as left_ns
            from joined where accepted or ran
        """)


def disordered(run: StoredRun, trial: int) -> int:
    """Deliveries of one trial that ended before something that must come first.

    That is: before the job was intended or sent, or it was enqueued, fetched or started. Where
    there is none, the stages of every job add up to its latency exactly, since each of them begins
    where the one before it ended; see tests/frames/test_stamps.py.
    """
    with session(run, trial) as sql:
        return int(
            sql.rows("""
                select count(*) from jobs m left join requests r on r.job_id = m.job_id
                where m.started_ns is not null
                  and m.finished_ns < greatest(m.started_ns, coalesce(m.fetched_ns, 0),
                        coalesce(m.enqueued_ns, 0), coalesce(r.intended_ns, 0),
                        coalesce(r.sent_ns, 0))
            """)[0][0]
        )


def served(run: StoredRun, trial: int) -> pd.DataFrame:
    """Deliveries of one trial that a worker began, in the order in which it had fetched them.

    Columns: worker, fetched_ns, started_ns, released_ns (when its thread was free for the next: the
    ack was answered, else the end), Int64 and missing where it is not known.
    """
    with session(run, trial) as sql:
        return sql.frame("""
            select worker::varchar as worker, fetched_ns, started_ns,
                   coalesce(acked_ns, finished_ns) as released_ns
            from jobs where started_ns is not null
            order by worker, coalesce(fetched_ns, started_ns), started_ns
        """)
