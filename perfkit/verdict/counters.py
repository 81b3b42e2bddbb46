"""Counters that know nothing of each other must agree; each that does not is a reason.

requests      rows of the generator             against its own counts
recorder      starts and ends of jobs           against calls the gateway answered, per key
ledger        charges kept in Redis             against payments done and charges made
leftovers     what Redis still held             against acks and nacks the recorder saw
stamps        cause before effect
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from perfkit.frames import Session, session
from perfkit.store import StoredRun, TrialFacts
from perfkit.verdict.accounting import accounting

__all__ = ["disagreements"]


def disagreements(run: StoredRun, trial: int) -> list[str]:
    """Every disagreement of a whole trial, as a sentence; none in a sound one.

    What was cut short has nothing to compare, so it only has its stamps checked.
    """
    facts = run.facts(trial)
    with session(run, trial) as sql:
        found = [*_stamps(sql), *_join(sql)]
        if facts.outcome == "complete":
            found += [
                *_generator(run, facts),
                *_recorder(facts),
                *_gateway(sql),
                *_ledger(sql, facts),
                *_leftovers(sql, facts),
            ]
    return found


_ORDER: Final = (
    ("intended", "sent", "requests"),
    ("enqueued", "fetched", "jobs"),
    ("fetched", "started", "jobs"),
    ("started", "finished", "jobs"),
    ("finished", "acked", "jobs"),
)


def _stamps(sql: Session) -> Iterator[str]:
    for cause, effect, table in _ORDER:
        if count := _count(sql, f"select count(*) from {table} where {effect}_ns < {cause}_ns"):
            yield f"clock error: {count} {table} were {effect} before they were {cause}"
    enqueued_early = _count(sql, "select count(*) from job where enqueued_ns < intended_ns")
    if enqueued_early:
        yield f"clock or join error: {enqueued_early} jobs were enqueued before they were intended"


def _join(sql: Session) -> Iterator[str]:
    if count := _count(sql, "select count(job_id) - count(distinct job_id) from requests"):
        yield f"join error: {count} requests share the id of another"
    dropped = "select count(*) from job where sent_ns is null and enqueued_ns is not null"
    if count := _count(sql, dropped):
        yield f"join error: {count} requests that were never sent have jobs"


def _generator(run: StoredRun, facts: TrialFacts) -> Iterator[str]:
    counted = accounting(run, facts.trial)
    for name in ("planned", "sent", "dropped", "accepted", "refused", "errored"):
        says = getattr(facts.generator, name)
        rows = getattr(counted, name)
        if says is not None and says != rows:
            yield f"lost rows: the generator counted {says} {name}, its rows say {rows}"


def _recorder(facts: TrialFacts) -> Iterator[str]:
    if facts.lost:
        yield f"lost rows: the recorder lost {facts.lost} events"
    if facts.corrupt:
        yield f"lost rows: {facts.corrupt} events of the recorder are corrupt"


# Only queues that called the gateway at all: what else a system does is not its business.
_PER_KEY: Final = """
    with called as (
        select key, queue, count(*) as calls, count(*) filter (status < 400) as good
        from calls group by key, queue
    ), ran as (
        select r.key, r.queue, count(j.started_ns) as starts,
               count(distinct j.attempt) filter (j.outcome = 'done') as done
        from requests r join jobs j on j.job_id = r.job_id group by r.key, r.queue
    )
    select count(*) filter (coalesce(calls, 0) > coalesce(starts, 0)),
           count(*) filter (coalesce(done, 0) > 0 and coalesce(good, 0) = 0)
    from ran full join called using (key, queue)
    where queue in (select queue from calls)
"""


def _gateway(sql: Session) -> Iterator[str]:
    unseen, uncalled = sql.rows(_PER_KEY)[0]
    if unseen:
        yield (
            f"the gateway answered more calls than the recorder saw starts, for {unseen} jobs: "
            "the recorder lost rows"
        )
    if uncalled:
        yield f"{uncalled} jobs are recorded as done, but the gateway answered no call of theirs"


def _ledger(sql: Session, facts: TrialFacts) -> Iterator[str]:
    entries = facts.ledger_entries
    if entries is None:
        return
    charges, twice, done = sql.rows("""
        select (select count(*) from calls where charged),
               (select count(*) from (select key from calls where charged group by key
                                      having count(*) > 1)),
               (select count(*) from job where done
                and queue in (select queue from calls where charged))
    """)[0]
    if entries < done:
        yield f"the ledger holds {entries} charges, but {done} payments are recorded as done"
    if entries > charges:
        yield f"the ledger holds {entries} charges, but the gateway made {charges}"
    if twice:
        yield f"the gateway charged {twice} payments twice"


def _leftovers(sql: Session, facts: TrialFacts) -> Iterator[str]:
    if facts.deaths:
        # A worker that died, or a Redis that did, may leave what was acked, and take what was not.
        return
    acked = _count(
        sql,
        """
        select count(*) from jobs j join leftovers l using (redis_message_id)
        where j.outcome = 'done' and j.acked_ns is not null and l.place <> 'dead'
        """,
    )
    if acked:
        yield f"{acked} messages are recorded as acked, but Redis still held them"
    buried, found = sql.rows("""
        with nacked as (
            select distinct redis_message_id from jobs
            where outcome = 'dead' and acked_ns is not null
        ), dead as (select distinct redis_message_id from leftovers where place = 'dead')
        select (select count(*) from nacked anti join dead using (redis_message_id)),
               (select count(*) from dead anti join nacked using (redis_message_id))
    """)[0]
    if buried:
        yield f"{buried} messages are recorded as dead, but Redis did not hold them"
    if found:
        yield f"Redis held {found} dead messages that the recorder never saw die"


def _count(sql: Session, statement: str) -> int:
    found: Any = sql.rows(statement)[0][0]
    return int(found or 0)
