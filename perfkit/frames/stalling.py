"""Jobs that wait for recovery: taken by a worker that is dead, silent, or has dropped them.

    fetched   started        death        started elsewhere
       |---------|-------------X==============|            stalled

Known from the records: what was started and not acknowledged, what Redis still held at the end, and
what was fetched ahead and came back (`perfkit.frames.redelivering`). So it is a lower bound while a
silent worker keeps what it has fetched ahead to itself, and of retries that a worker had put aside
only those count that Redis still held at the end. While the trial ran, `queue.stalled` counted both
(`perfkit.telemetry.stalled_probe`; `tests/runner/test_stalled.py` holds the two together).
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from perfkit.frames.incidents import Incidents, incidents_of
from perfkit.frames.redelivering import redeliveries
from perfkit.frames.session import Session, session
from perfkit.store import StoredRun

__all__ = ["Stall", "stalled", "stalled_most", "stalls"]

_COLUMNS: Final = {"at_s": "float64", "queue": "str", "stalled": "int64"}


class Stall(NamedTuple):
    """One message that waited for recovery; half open."""

    redis_message_id: str
    queue: str
    begin_ns: int
    end_ns: int


def stalled(run: StoredRun, trial: int) -> pd.DataFrame:
    """Messages that waited for recovery, by queue, as a step function over the whole trial.

    Columns: at_s, queue, stalled. A message is stalled from the end of the worker that held it, or
    from when that was silent longer than its heartbeat timeout or lost its connection and dropped
    it, until it is started elsewhere, or the worker speaks again, or Redis forgets it, or the trial
    ends.
    """
    facts = run.facts(trial)
    start, end = facts.instants.load_start, facts.instants.drain_end
    with session(run, trial) as sql:
        names = [name for (name,) in sql.rows("select distinct queue from job order by queue")]
    found = stalls(run, trial)
    parts = []
    for queue in sorted({*names, *(each.queue for each in found)}):
        changes = _changes((each for each in found if each.queue == queue), start, end)
        at = sorted(changes)
        counts = np.cumsum([changes[each] for each in at])
        at_s = (np.array(at) - start) / 1e9
        parts.append(pd.DataFrame({"at_s": at_s, "queue": queue, "stalled": counts}))
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(_COLUMNS))
    return whole.astype(_COLUMNS)


def stalled_most(run: StoredRun, trial: int) -> int:
    """The most messages that were stalled at once, of all queues together."""
    instants = run.facts(trial).instants
    changes = _changes(stalls(run, trial), instants.load_start, instants.drain_end)
    return int(max(np.cumsum([changes[at] for at in sorted(changes)]), default=0))


def _changes(found: Iterable[Stall], start: int, end: int) -> dict[int, int]:
    """How many begin and end at each instant; what lasts to the end does not end there."""
    changes = {start: 0, end: 0}
    for each in found:
        begin = max(start, each.begin_ns)
        changes[begin] = changes.get(begin, 0) + 1
        if each.end_ns < end:
            changes[each.end_ns] = changes.get(each.end_ns, 0) - 1
    return changes


@functools.lru_cache(maxsize=64)
def stalls(run: StoredRun, trial: int) -> tuple[Stall, ...]:
    """Every stretch in which a message of this trial waited for recovery."""
    incidents = incidents_of(run, trial)
    end = run.facts(trial).instants.drain_end
    longest: dict[str, Stall] = {}
    with session(run, trial) as sql:
        for each in _all(sql, incidents, end):
            # Redis forgot it, and who held it.
            wiped = [at.died_ns for at in incidents.restarts if each.begin_ns <= at.died_ns]
            until = min([each.end_ns, end, *wiped])
            known = longest.get(each.redis_message_id)
            length = until - each.begin_ns
            if length > 0 and (known is None or length > known.end_ns - known.begin_ns):
                longest[each.redis_message_id] = each._replace(end_ns=until)
    return tuple(sorted(longest.values(), key=lambda each: each.begin_ns))


def _all(sql: Session, incidents: Incidents, end: int) -> Iterator[Stall]:
    if incidents.gone:
        yield from _of_the_dead(sql, incidents, end)
    if incidents.heartbeat_timeout_ns is not None:
        yield from _of_the_silent(sql, incidents, incidents.heartbeat_timeout_ns, end)
    for each in redeliveries(sql, incidents):
        if each.first is None:
            yield Stall(each.redis_message_id, each.queue, each.since_ns, each.started_ns)
    if incidents.outages:
        yield from _dropped(sql, incidents, end)


# What was taken and, as far as is known, never given out of the hands.
_HELD: Final = """
    select redis_message_id, queue, worker, began_ns, acked_ns, next_ns, next_worker, is_left
    from (
        select *, coalesce(fetched_ns, started_ns) as began_ns,
               lead(started_ns) over w as next_ns, lead(worker) over w as next_worker,
               redis_message_id in (select redis_message_id from leftovers
                                    where place <> 'dead') as is_left
        from jobs where started_ns is not null
        window w as (partition by redis_message_id order by started_ns, delivery)
    )
"""


def _of_the_dead(sql: Session, incidents: Incidents, end: int) -> Iterator[Stall]:
    for rid, queue, worker, _, acked, following, _, is_left in sql.rows(
        f"{_HELD} where acked_ns is null"
    ):
        died = incidents.gone.get(worker)
        # Where it came back nowhere, its ack went through and only the record of it is missing.
        if died is not None and acked is None and (following is not None or is_left):
            yield Stall(rid, queue, died, end if following is None else following)
    for rid, queue, owner in sql.rows(
        "select redis_message_id, queue, owner from leftovers where place = 'acks'"
    ):
        if owner in incidents.gone:
            yield Stall(rid, queue, incidents.gone[owner], end)


def _of_the_silent(
    sql: Session, incidents: Incidents, timeout_ns: int, end: int
) -> Iterator[Stall]:
    long = [each for each in incidents.silences if each.end_ns - each.begin_ns > timeout_ns]
    for each in long:
        for rid, queue, worker, _, _, following, _, _ in sql.rows(
            f"{_HELD} where began_ns <= $1 and coalesce(acked_ns > $1, true)", [each.begin_ns]
        ):
            if each.worker not in (None, worker):
                continue
            until = min(at for at in (each.end_ns, following, end) if at is not None)
            if following is None or following > each.begin_ns:
                yield Stall(rid, queue, each.begin_ns + timeout_ns, until)


def _dropped(sql: Session, incidents: Incidents, end: int) -> Iterator[Stall]:
    """What a living worker had put aside or fetched ahead, and let go with its connection."""
    for rid, queue, written in sql.rows("""
        select l.redis_message_id, l.queue, max(coalesce(j.finished_ns, j.enqueued_ns, r.done_ns))
        from leftovers l
        left join jobs j on j.job_id = l.job_id
        left join requests r on r.job_id = l.job_id
        where l.place = 'acks' and l.owner_alive
        group by l.redis_message_id, l.queue having count(j.started_ns) filter (
            j.redis_message_id = l.redis_message_id) = 0
    """):
        later = [each.end_ns for each in incidents.outages if written and each.end_ns >= written]
        if later:
            yield Stall(rid, queue, min(min(later), end), end)
