"""The accounting of one trial row by row: each request, its class, and what proves it."""

from __future__ import annotations

from typing import Final

import pandas as pd

from perfkit.frames import incidents_of, session
from perfkit.store import StoredRun
from perfkit.verdict.books import UNVOUCHED
from perfkit.verdict.evidence import evidence
from perfkit.verdict.repeating import repeats

__all__ = ["accounts"]

_ROWS: Final = """
    , runs as (
        select job_id, count(started_ns) as starts, count(finished_ns) as finishes,
               max(attempt) + 1 as attempts, arg_max(outcome, coalesce(
                   finished_ns, started_ns, fetched_ns, enqueued_ns)) as outcome,
               arg_max(worker, started_ns) as worker, max(started_ns) as started_ns,
               max(finished_ns) as finished_ns, max(acked_ns) as acked_ns,
               any_value(queue) as queue
        from jobs group by job_id
    ), places as (
        select job_id, string_agg(distinct place, ', ' order by place) as place,
               string_agg(distinct owner, ', ' order by owner) as owner,
               bool_or(owner_alive) as owner_alive
        from leftovers group by job_id
    ), again as (
        select distinct job_id from jobs where started_ns is not null
        qualify row_number() over (partition by redis_message_id order by started_ns) > 1
    ), classes as (
        select seq, queue, job_id, status, intended_ns, written_ns,
               coalesce(class, {unvouched}, case
                   when dropped then 'dropped' when errored then 'absent' else 'refused' end)
               as class
        from classed
        union all
        select -1, queue, job_id, null, -1, null, 'spawned: no request asked for it'
        from runs where job_id not in (select job_id from requests where job_id is not null)
    )
    select {trial} as trial, seq, c.queue, c.job_id,
           split_part(class, ': ', 1) as class,
           nullif(array_to_string(class.split(': ')[2:], ': '), '') as mechanism,
           status, coalesce(starts, 0) as starts, coalesce(finishes, 0) as finishes,
           coalesce(attempts, 0) as attempts, outcome, worker, intended_ns, written_ns,
           started_ns, finished_ns, acked_ns, place, owner, owner_alive,
           c.job_id in (select job_id from again) as redelivered
    from classes c left join runs r on r.job_id = c.job_id
    left join places p on p.job_id = c.job_id
    order by seq < 0, seq, c.job_id
"""


def accounts(run: StoredRun, trial: int) -> pd.DataFrame:
    """One row per planned request, in their order, then per job that no request asked for.

    Columns: trial, seq (missing of the latter), queue, job_id; class (of `perfkit.verdict.CLASSES`;
    of what was not accepted: "dropped", "refused", "phantom", "ambiguous", or "absent" where it is
    known that there is no job; else "spawned"), mechanism (how it was lost, who holds the stranded;
    missing where there is nothing to explain).

    The evidence: status (of the request), starts, finishes, attempts (of all its deliveries),
    outcome and worker (of the last), intended_ns, written_ns (when Redis last got it), started_ns,
    finished_ns, acked_ns (the last of each), place, owner, owner_alive (where Redis held it at the
    end), redelivered (a message of it started more than once), duplicated (an attempt of it did, or
    finished more than once) and cause (of that).
    """
    with session(run, trial) as sql:
        statement = _ROWS.format(unvouched=UNVOUCHED, trial=trial)
        table = sql.frame(f"with {evidence(run, trial)} {statement}")
        causes = {each.job_id: each.cause for each in repeats(sql, incidents_of(run, trial))}
    asked = table["seq"] >= 0
    for name in ("seq", "intended_ns"):
        table[name] = table[name].astype("Int64").where(asked)
    table["duplicated"] = table["job_id"].isin(list(causes))
    table["cause"] = table["job_id"].map(causes)
    return table
