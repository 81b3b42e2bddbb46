"""Where the time of a job went: stages that add up to its latency.

    intended             sent     enqueued   fetched    started   finished
       |----------|--------|----------|----------|----------|----------|      first attempt
       client lag  blocked   ingest  broker dwell  prefetch   service
                                                   wait
                                                                      |-------|--...  next attempt
                                                                       retry backoff

Blocked is the wait for a connection: none is free while the ingest is slow to answer, so it is the
system's doing; client lag is the generator's.

Some of these stamps come from different processes, and two of them may stand in either order (an
ingest may enqueue before the generator notes that it has sent). Each boundary is therefore the
latest stamp so far (max-plus), and no stage is negative. See tests/frames/test_staging.py.
"""

from __future__ import annotations

from typing import Final

import pandas as pd

from perfkit.frames.keeping import kept
from perfkit.frames.session import session
from perfkit.store import StoredRun

__all__ = ["STAGES", "job_stages", "stages"]

STAGES: Final = (
    "client lag",
    "blocked",
    "ingest",
    "broker dwell",
    "prefetch wait",
    "service",
    "retry backoff",
)
"""In the order of time; a redelivered message dwells in the broker until its last fetch."""

# One row per message that ended on the way to the job's end. Of its deliveries the one that decided
# the job, else the first that ended: that one enqueued the retry. The columns `b_...` are running
# maxima of the stamps.
_CHAIN: Final = """
    with ended as (
        select m.* exclude (actor), m.actor::varchar as actor,
               j.label, j.queue as job_queue, j.seq, j.intended_ns,
               coalesce(j.sent_ns, j.intended_ns) as sent_ns, j.blocked_ns, j.latency_ns,
               m.outcome = 'done' and m.finished_ns = j.finished_ns as decides
        from jobs m
        join job j on j.trial = m.trial and j.job_id = m.job_id
        where j.in_window and j.done and m.finished_ns is not null and m.started_ns is not null
          and m.finished_ns <= j.finished_ns
        qualify row_number() over (
            partition by m.trial, m.job_id, m.redis_message_id
            order by not decides, m.finished_ns) = 1
    ), chained as (
        select *, lag(finished_ns) over (
            partition by trial, job_id order by finished_ns, decides, attempt) as before_ns
        from ended
    ), b0 as (
        select *, before_ns is null as is_first,
               coalesce(before_ns, greatest(intended_ns, sent_ns)) as begin_ns from chained
    ), b1 as (
        select *, greatest(begin_ns, enqueued_ns) as b_enqueued,
               least(blocked_ns, begin_ns - intended_ns) as waited_ns
        from b0
    ),
    b2 as (select *, greatest(b_enqueued, coalesce(fetched_ns, started_ns)) as b_fetched from b1),
    b3 as (select *, greatest(b_fetched, started_ns) as b_started from b2),
    b4 as (select *, greatest(b_started, finished_ns) as b_finished from b3),
    staged as (
        select trial, label, job_queue, seq, any_value(latency_ns) as latency_ns,
               any_value(actor) filter (decides) as actor,
               sum(case when is_first then begin_ns - intended_ns - waited_ns else 0 end)
                   as "client lag",
               sum(case when is_first then waited_ns else 0 end) as "blocked",
               sum(case when is_first then b_enqueued - begin_ns else 0 end) as "ingest",
               sum(b_fetched - b_enqueued) as "broker dwell",
               sum(b_started - b_fetched) as "prefetch wait",
               sum(b_finished - b_started) as "service",
               sum(case when is_first then 0 else b_enqueued - begin_ns end) as "retry backoff"
        from b4 group by trial, label, job_queue, seq
    )
"""


@kept
def stages(run: StoredRun, trial: int | None = None) -> pd.DataFrame:
    """Time per stage over the done jobs of the cohort, per queue and for ``"all"``.

    Columns: trial, label, queue, stage (one of `STAGES`), n (jobs), mean_ns, p50_ns, p99_ns (of
    this stage alone; they do not add up), share (of the mean latency; adds up to 1), residual_ns
    (largest |latency - sum of stages| of one job: 0, or a clock or join error).
    """
    columns = ", ".join(f'"{stage}"' for stage in STAGES)
    whole = " + ".join(f'"{stage}"' for stage in STAGES)
    with session(run, trial) as sql:
        long = sql.frame(f"""
            {_CHAIN}, whole as (
                select *, abs(latency_ns - ({whole})) as residual_ns from staged
            ), doubled as (
                select *, job_queue as queue from whole union all select *, 'all' from whole
            ), long as (
                unpivot doubled on {columns} into name stage value ns
            )
            select trial, label, queue, stage, count(*) as n, avg(ns) as mean_ns,
                   type7(list(ns::double order by ns), 0.5) as p50_ns,
                   type7(list(ns::double order by ns), 0.99) as p99_ns,
                   coalesce(avg(ns) / nullif(avg(latency_ns), 0), 0) as share,
                   max(residual_ns) as residual_ns
            from long group by trial, label, queue, stage
        """)
    place = long["stage"].map({stage: number for number, stage in enumerate(STAGES)})
    return (
        long.assign(last=long["queue"] == "all", place=place)
        .sort_values(["trial", "last", "queue", "place"], ignore_index=True)
        .drop(columns=["last", "place"])
    )


def job_stages(run: StoredRun, trial: int) -> pd.DataFrame:
    """Time in each stage of each job of the cohort of one trial, in the order it was intended.

    Columns: queue, actor (that of the delivery that decided it; of a job that nobody took, the only
    actor of its queue, else its queue's name), latency_ns, and one column per stage of `STAGES`
    (float64 ns; +infinity in ``retry backoff`` alone where the job was not done, so that the sum is
    its latency in any case). Requests that are the work themselves have no stages and no row.
    """
    known = ", ".join(f'coalesce("{stage}", 0)::double as "{stage}"' for stage in STAGES[:-1])
    with session(run, trial) as sql:
        found = sql.frame(f"""
            {_CHAIN}, alone as (
                select queue, any_value(actor)::varchar as actor from jobs
                group by queue having count(distinct actor) = 1
            )
            select j.queue::varchar as queue,
                   coalesce(s.actor, d.actor::varchar, alone.actor, j.queue::varchar) as actor,
                   j.latency_ns, {known},
                   case when j.done then "{STAGES[-1]}"::double else 'inf'::double end
                       as "{STAGES[-1]}"
            from job j
            left join staged s using (trial, seq)
            left join decided d on d.trial = j.trial and d.job_id = j.job_id
            left join alone on alone.queue = j.job_queue
            where j.in_window and (s.seq is not null or not j.done)
            order by j.intended_ns, j.seq
        """)
    return found[["queue", "actor", "latency_ns", *STAGES]]
