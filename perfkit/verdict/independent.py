"""Counts that others keep, beside what the recorder saw; a difference is explained job by job.

    jobs answered well    more than done: the worker ended, or the attempt failed, between the
                          gateway's answer and its own end
    charges in the ledger fewer than the gateway made: likewise, before the entry
    dead messages         more than recorded: the worker ended before it could record its nack;
                          fewer: the nack of a message that others had by then does nothing

What Redis forgot (it died and had not kept it, or evicted it) is not compared: that is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

from perfkit.frames import Incidents, Session, redeliveries
from perfkit.store import TrialFacts

__all__ = ["Counter", "DeadLetters", "comparable", "dead_letters", "independent"]


@dataclass(frozen=True, slots=True)
class Counter:
    """A count that somebody else kept, beside what it must equal by the recorded rows."""

    name: str
    count: int
    must_equal: int
    holds: bool
    explained: int = 0  # of the difference, what a death or a failure accounts for, one by one
    note: str = ""  # why it differs, or is not compared


def independent(sql: Session, facts: TrialFacts, incidents: Incidents) -> Iterator[Counter]:
    """The counters of one whole trial."""
    yield from _answered(sql, incidents, facts)
    if facts.ledger_entries is not None:
        yield _ledger(sql, incidents, facts, facts.ledger_entries)
    yield _buried(sql, incidents)
    lost = facts.lost + facts.corrupt
    yield Counter("events the recorder lost = 0", lost, 0, lost == 0)


# Gateway and ledger: only queues that called at all. An execution was cut off where its worker
# ended, or was silent to the end, before it could record how it went.
_EXECUTIONS: Final = """
    runs as (
        select r.key, j.*,
               j.outcome = 'running' and {ended} as cut_off
        from jobs j join requests r on r.job_id = j.job_id where j.started_ns is not null
    ), unfinished as (
        select distinct c.key, c.charged from calls c join runs on runs.key = c.key
        where c.status < 400 and c.answered_ns >= runs.started_ns
          and (cut_off or (outcome in ('failed', 'dead') and c.received_ns <= runs.finished_ns))
    ), done as (
        select distinct key, job_queue as queue from job where done and not answered
    )
"""


def _executions(incidents: Incidents, facts: TrialFacts) -> str:
    last = facts.instants.drain_end
    silent = [each.worker for each in incidents.silences if each.end_ns >= last]
    ended = "true" if None in silent else _among("j.worker", [*incidents.gone, *silent])
    return _EXECUTIONS.format(ended=ended)


def _among(column: str, names: Iterable[str | None]) -> str:
    quoted = ", ".join("'" + name.replace("'", "''") + "'" for name in names if name is not None)
    return f"coalesce({column} in ({quoted}), false)" if quoted else "false"


def _answered(sql: Session, incidents: Incidents, facts: TrialFacts) -> Iterator[Counter]:
    calls, good, done, unfinished = sql.rows(f"""
        with {_executions(incidents, facts)},
        good as (select distinct key from calls where status < 400)
        select (select count(*) from calls), (select count(*) from good),
               (select count(*) from done where queue in (select queue from calls)),
               (select count(distinct key) from unfinished
                where key not in (select key from done))
    """)[0]
    if calls and not comparable(sql):
        name = "jobs the gateway answered well = jobs recorded as done"
        yield Counter(name, good, done, True, note="not compared: user code chose keys of its own")
    elif calls:
        name = "jobs the gateway answered well = jobs recorded as done"
        note = "answered, and not finished by then" if unfinished else ""
        yield Counter(name, good, done, good - unfinished == done, unfinished, note)


def comparable(sql: Session) -> bool:
    """Whether calls can be told apart by the keys of requests: user code may send its own."""
    unknown = sql.rows("select count(*) from calls where key not in (select key from requests)")
    return not unknown[0][0] or not sql.rows("select bool_or(answered) from job")[0][0]


def _ledger(sql: Session, incidents: Incidents, facts: TrialFacts, entries: int) -> Counter:
    charged, unfinished = sql.rows(f"""
        with {_executions(incidents, facts)}
        select (select count(distinct key) from calls where charged),
               (select count(distinct key) from unfinished
                where charged and key not in (select key from done))
    """)[0]
    name = "charges the ledger kept = jobs the gateway charged"
    if why := incidents.forgot:
        return Counter(name, entries, charged, True, note=f"not compared: {why}")
    # Whether the entry was made before the end is not recorded: both may be.
    explained = min(max(charged - entries, 0), unfinished)
    note = "charged, and not finished by then" if explained else ""
    return Counter(name, entries, charged, entries + explained == charged, explained, note)


class DeadLetters(NamedTuple):
    """Messages that died, by id: what Redis held, what was recorded, what is explained."""

    held: frozenset[str]
    nacked: frozenset[str]
    unsaid: frozenset[str]  # held; the worker ended before it could record the nack
    void: frozenset[str]  # nacked; others had the message by then, so the nack did nothing

    @property
    def unseen(self) -> frozenset[str]:
        """Held, and nothing explains why nobody recorded it."""
        return self.held - self.nacked - self.unsaid

    @property
    def missing(self) -> frozenset[str]:
        """Recorded, and nothing explains why Redis did not hold it."""
        return self.nacked - self.held - self.void


def dead_letters(sql: Session, incidents: Incidents) -> DeadLetters:
    """The dead letters of one trial."""
    held = {
        rid for (rid,) in sql.rows("select redis_message_id from leftovers where place = 'dead'")
    }
    nacked: set[str] = set()
    unsaid: set[str] = set()
    for rid, worker, outcome, acked in sql.rows("""
        select redis_message_id, worker, outcome, acked_ns from jobs
        where outcome = 'dead' or (started_ns is not null and acked_ns is null)
    """):
        if outcome == "dead" and acked is not None:
            nacked.add(rid)
        elif worker in incidents.gone:
            unsaid.add(rid)
    again = {each.redis_message_id for each in redeliveries(sql, incidents)}
    return DeadLetters(
        frozenset(held),
        frozenset(nacked),
        frozenset(held & unsaid - nacked),
        frozenset(nacked & again - held),
    )


def _buried(sql: Session, incidents: Incidents) -> Counter:
    found = dead_letters(sql, incidents)
    counts = len(found.held), len(found.nacked)
    name = "dead messages Redis held = messages recorded as dead"
    if why := incidents.forgot:
        return Counter(name, *counts, True, note=f"not compared: {why}")
    notes = ["its worker ended before it said so"] * bool(found.unsaid)
    notes += ["others had the message by then"] * bool(found.void)
    holds = not found.unseen and not found.missing
    return Counter(name, *counts, holds, len(found.unsaid) + len(found.void), "; ".join(notes))
