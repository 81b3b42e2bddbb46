"""A trial over time: rates, latency, queues."""

from __future__ import annotations

import functools
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from perfkit.frames.session import session
from perfkit.store import StoredRun

__all__ = ["backlog", "timeline", "waiting", "waiting_at"]

_MOST_POINTS: Final = 600
_SAME_TICK_NS: Final = 1_000_000_000  # another probe's reading comes a little later


def timeline(run: StoredRun, trial: int, step_ns: int = 1_000_000_000) -> pd.DataFrame:
    """Rates and latency per step, from the start of load to the end of the drain.

    Columns: at_s (start of the step), intended_per_s, sent_per_s, accepted_per_s (by the end of
    the request), done_per_s (by the finish of the delivery that did the job), failed_per_s
    (attempts that raised), p50_ns and p95_ns (latency of the jobs that finished in the step; NaN
    where none did), in_window (the step lies in the window). The last step may be shorter; its
    rates are over what it has.

    Raises:
        ValueError: the step is not positive.
    """
    if step_ns <= 0:
        raise ValueError(f"a step of {step_ns} ns is no step")
    with session(run, trial) as sql:
        return sql.frame(
            """
            with events as (
                select unnest(['intended', 'sent', 'accepted', 'done']) as kind,
                       unnest([intended_ns, sent_ns, case when accepted then done_ns end,
                               case when done then finished_ns end]) as at_ns, latency_ns
                from job
                union all select 'failed', finished_ns, null from jobs
                    where outcome in ('failed', 'dead')
            ), placed as (
                select (at_ns - load_start) // $1 as step, kind, latency_ns
                from events, facts where at_ns is not null
            ), counted as (
                select step,
                       count(*) filter (kind = 'intended') as intended,
                       count(*) filter (kind = 'sent') as sent,
                       count(*) filter (kind = 'accepted') as accepted,
                       count(*) filter (kind = 'done') as done,
                       count(*) filter (kind = 'failed') as failed,
                       list(latency_ns order by latency_ns) filter (kind = 'done') as ordered
                from placed group by step
            ), steps as (
                select unnest(range(greatest(
                    (drain_end - load_start + $1 - 1) // $1,
                    coalesce((select max(step) + 1 from placed), 0)))) as step,
                    load_start, window_start, window_end, drain_end
                from facts
            ), timed as (
                select *, load_start + step * $1 as begins,
                       case when begins < drain_end then least($1, drain_end - begins)
                            else $1 end / 1e9 as width_s
                from steps
            )
            select step * $1 / 1e9 as at_s,
                   coalesce(intended, 0) / width_s as intended_per_s,
                   coalesce(sent, 0) / width_s as sent_per_s,
                   coalesce(accepted, 0) / width_s as accepted_per_s,
                   coalesce(done, 0) / width_s as done_per_s,
                   coalesce(failed, 0) / width_s as failed_per_s,
                   type7(ordered, 0.5)::double as p50_ns,
                   type7(ordered, 0.95)::double as p95_ns,
                   begins >= window_start and begins + $1 <= window_end as in_window
            from timed left join counted using (step) order by step
            """,
            [step_ns],
        )


def backlog(run: StoredRun, trial: int) -> pd.DataFrame:
    """Queue counts as sampled, at most 600 points a queue.

    Columns: at_s, queue, waiting, in_flight, delayed, dead, oldest_age_ns, stalled (of those in
    flight or delayed; NaN where it was not read). Where there are more readings, each point is the
    largest of a short stretch, so that no peak is lost.
    """
    with session(run, trial) as sql:
        return sql.frame(
            f"""
            with ticks as (
                select at_ns, subject as queue,
                       max(value) filter (metric = 'queue.waiting') as waiting,
                       max(value) filter (metric = 'queue.in_flight') as in_flight,
                       max(value) filter (metric = 'queue.delayed') as delayed,
                       max(value) filter (metric = 'queue.dead') as dead,
                       max(value) filter (metric = 'queue.oldest_age_ns') as oldest_age_ns
                from samples where starts_with(metric, 'queue.') and metric <> 'queue.stalled'
                group by at_ns, subject
            ), stalls as (
                select at_ns as read_ns, subject as queue, value as stalled
                from samples where metric = 'queue.stalled'
            ), joined as (
                select ticks.*, case when read_ns - at_ns < {_SAME_TICK_NS} then stalled end
                       as stalled
                from ticks asof left join stalls
                    on ticks.queue = stalls.queue and ticks.at_ns <= stalls.read_ns
            ), placed as (
                select *,
                       (row_number() over (partition by queue order by at_ns) - 1) //
                       ceil(count(*) over (partition by queue) / {_MOST_POINTS})::bigint as stretch
                from joined
            )
            select (max(at_ns) - any_value(load_start)) / 1e9 as at_s, queue,
                   max(waiting) as waiting, max(in_flight) as in_flight, max(delayed) as delayed,
                   max(dead) as dead, max(oldest_age_ns) as oldest_age_ns,
                   max(stalled)::double as stalled
            from placed, facts group by queue, stretch order by queue, at_s
            """
        )


def waiting(
    run: StoredRun, trial: int, step_ns: int = 100_000_000, queue: str | None = None
) -> pd.DataFrame:
    """Messages enqueued and not started, counted from the records, in the window.

    Where there are no jobs, requests that were intended and have no answer yet.

    Of one queue, or of all together.

    Columns: at_s, waiting. Finer and more exact than the sampled backlog, and it includes what
    workers have fetched ahead; jobs in a retry's backoff are not waiting.
    """
    instants = run.facts(trial).instants
    grid = np.arange(instants.window_start, instants.window_end + 1, step_ns, dtype=np.int64)
    return pd.DataFrame(
        {
            "at_s": (grid - instants.load_start) / 1e9,
            "waiting": waiting_at(run, trial, grid, queue),
        }
    )


def waiting_at(
    run: StoredRun, trial: int, instants_ns: npt.ArrayLike, queue: str | None = None
) -> npt.NDArray[np.int64]:
    """Messages enqueued and not started at each of these instants; as `waiting`."""
    grid = np.asarray(instants_ns, dtype=np.int64)
    enqueued, started = (
        np.searchsorted(each, grid, side="right") for each in _turns(run, trial, queue)
    )
    return enqueued - started


_MESSAGES: Final = """
    select min(enqueued_ns) as enqueued_ns, min(started_ns) as started_ns
    from jobs where $1 is null or queue = $1 group by trial, redis_message_id
"""
_ANSWERS: Final = """
    select intended_ns as enqueued_ns,
           case when coalesce(error not in ('timeout', 'abandoned'), true)
                then coalesce(done_ns, sent_ns) end as started_ns
    from requests where sent_ns is not null and ($1 is null or queue = $1)
"""


# Asked for again with every fault of a trial; 16 bytes a message.
@functools.lru_cache(maxsize=16)
def _turns(
    run: StoredRun, trial: int, queue: str | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
    """When messages were first enqueued, and when first started, each in order.

    Of a server that is not ours: when requests were intended, and when they had their end. One that
    nothing came back to in time stays.
    """
    with session(run, trial) as sql:
        messages = sql.arrays(_MESSAGES if run.facts(trial).jobs_recorded else _ANSWERS, [queue])
    enqueued, started = (
        np.sort(messages[name].compressed().astype(np.int64))
        for name in ("enqueued_ns", "started_ns")
    )
    return enqueued, started
