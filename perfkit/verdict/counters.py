"""Counters that know nothing of each other must agree; each that does not is a reason.

requests      rows of the generator             against its own counts
recorder      starts and ends of jobs           against calls the gateway answered, per key
ledger        charges kept in Redis             against payments done and charges made
leftovers     what Redis still held             against acks and nacks the recorder saw
stamps        cause before effect

What a fault explains is no disagreement, where the fault and the job that it touched are known.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from perfkit.frames import SLEEP_NS, Incidents, Session, incidents_of, redeliveries, session
from perfkit.store import StoredRun, TrialFacts
from perfkit.verdict.books import accounting
from perfkit.verdict.independent import comparable, dead_letters

__all__ = ["disagreements"]


def disagreements(run: StoredRun, trial: int) -> list[str]:
    """Every disagreement of a whole trial, as a sentence; none in a sound one.

    What was cut short has nothing to compare, so it only has its stamps checked.
    """
    facts = run.facts(trial)
    incidents = incidents_of(run, trial)
    with session(run, trial) as sql:
        found = [*_stamps(sql), *_join(sql, facts), *_shards(facts)]
        if facts.outcome == "complete":
            found += [
                *_generator(run, facts),
                *_recorder(facts),
                *(_gateway(sql) if comparable(sql) else ()),
                *_ledger(sql, facts, incidents),
                *_leftovers(sql, incidents),
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


def _join(sql: Session, facts: TrialFacts) -> Iterator[str]:
    # User code may ask for the same job twice, and be told its id again.
    shared = "select count(job_id) - count(distinct job_id) from requests"
    if not facts.journey and (count := _count(sql, shared)):
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


def _shards(facts: TrialFacts) -> Iterator[str]:
    shards = facts.generator.by_shard
    for each in shards:
        if each.counted is not None and each.counted != each.rows:
            yield (
                f"lost rows: load shard {each.shard} of {len(shards)} counted {each.counted} "
                f"requests, its rows are {each.rows}"
            )


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
        select r.key, j.queue, count(j.started_ns) as starts,
               count(distinct j.attempt) filter (j.outcome = 'done') as done
        from requests r join jobs j on j.job_id = r.job_id group by r.key, j.queue
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


def _ledger(sql: Session, facts: TrialFacts, incidents: Incidents) -> Iterator[str]:
    entries = facts.ledger_entries
    if entries is None:
        return
    charges, done = sql.rows("""
        select (select count(*) from calls where charged),
               (select count(*) from job where done
                and job_queue in (select queue from calls where charged))
    """)[0]
    if entries < done and not incidents.forgot:
        yield f"the ledger holds {entries} charges, but {done} payments are recorded as done"
    if entries > charges:
        yield f"the ledger holds {entries} charges, but the gateway made {charges}"


def _leftovers(sql: Session, incidents: Incidents) -> Iterator[str]:
    held = sql.rows("""
        select distinct j.redis_message_id, j.worker, coalesce(j.fetched_ns, j.started_ns),
               j.acked_ns
        from jobs j join leftovers l using (redis_message_id)
        where j.outcome = 'done' and j.acked_ns is not null and l.place <> 'dead'
    """)
    again = {each.redis_message_id for each in redeliveries(sql, incidents)}
    acked = {row[0] for row in held if row[0] not in again and not _void(incidents, *row[1:])}
    if acked:
        yield f"{len(acked)} messages are recorded as acked, but Redis still held them"
    if incidents.forgot:
        return
    letters = dead_letters(sql, incidents)
    if letters.missing:
        yield f"{len(letters.missing)} messages are recorded as dead, but Redis did not hold them"
    if letters.unseen:
        yield f"Redis held {len(letters.unseen)} dead messages that the recorder never saw die"


def _void(incidents: Incidents, worker: str, fetched_ns: int, acked_ns: int) -> bool:
    """Whether an ack, although answered, left the message where it was.

    Either Redis had given it to another, because the worker was silent while it had it; or it died
    later, and came back as it had been before the ack.
    """
    timeout_ns = incidents.heartbeat_timeout_ns
    silent = timeout_ns is not None and any(
        each.worker in (None, worker)
        and each.begin_ns <= acked_ns
        and each.end_ns >= fetched_ns
        and each.end_ns - each.begin_ns >= timeout_ns - SLEEP_NS
        for each in incidents.silences
    )
    return silent or any(
        acked_ns <= each.died_ns and (each.kept_ns is None or each.kept_ns < acked_ns)
        for each in incidents.restarts
    )


def _count(sql: Session, statement: str) -> int:
    found: Any = sql.rows(statement)[0][0]
    return int(found or 0)
