"""Every planned request in exactly one class, for warm-up, window and drain together."""

from __future__ import annotations

import functools
from collections import Counter as Counted
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, NamedTuple

from perfkit.frames import Session, incidents_of, session, stalled_most
from perfkit.store import StoredRun
from perfkit.verdict.evidence import DUPLICATED, evidence
from perfkit.verdict.independent import Counter, independent
from perfkit.verdict.repeating import charges, repeats

__all__ = ["CLASSES", "LATE_NS", "UNVOUCHED", "Accounting", "Identity", "accounting"]

LATE_NS: Final = 10_000_000
CLASSES: Final = ("done", "done_unacked", "dead", "pending", "stranded", "lost", "unexplained")
_EXAMPLES: Final = 20


class Identity(NamedTuple):
    """Two counts that must be equal."""

    text: str
    left: int
    right: int
    holds: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Accounting:
    """Counts of one trial, or their sums over several."""

    planned: int = 0
    sent: int = 0
    dropped: int = 0  # never sent: the in-flight cap was full
    late: int = 0  # sent more than 10 ms after intended, time spent blocked not counted
    blocked: int = 0  # waited for a connection
    accepted: int = 0  # answered 2xx
    refused: int = 0  # answered otherwise
    errored: int = 0  # no whole answer
    done: int = 0
    done_unacked: int = 0
    dead: int = 0
    pending: int = 0
    stranded: int = 0
    lost: int = 0
    unexplained: int = 0
    phantom: int = 0  # ran although the client saw an error
    duplicated: int = 0  # jobs of which one attempt started, or finished, more than once
    redelivered: int = 0  # messages that started more than once
    ambiguous: int = 0  # errored, and not known whether the job exists or what became of it
    double_charges: int = 0  # payments that were charged more than once
    charges_stopped: int = 0  # executions that ledger or gateway kept from charging again
    stalled_max: int = 0  # messages that waited for recovery at once, at the most
    answered: int = 0  # accepted, and no job: user code's requests that enqueue none
    ids: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    # How the lost were lost, and who holds the stranded.
    mechanisms: Mapping[str, int] = field(default_factory=dict)
    # Why the duplicated ran again.
    causes: Mapping[str, int] = field(default_factory=dict)
    counted: Mapping[str, int] = field(default_factory=dict)  # by the generator, where it said
    counters: tuple[Counter, ...] = ()  # kept by others; none of a trial that was cut short
    spawned: int = 0  # jobs that no request asked for: enqueued by other jobs
    jobs_known: bool = True  # False: only requests were recorded, and nothing is known of jobs
    lag_known: bool = True  # False: nothing is known of when requests were due

    def counts(self) -> dict[str, int | None]:
        """The counts by name, in the order of the public contract; None is what is not known."""
        known = _COUNTS if self.jobs_known else _OF_REQUESTS
        if not self.lag_known:
            known = tuple(name for name in known if name != "late")
        return {name: getattr(self, name) if name in known else None for name in _COUNTS}

    @property
    def served(self) -> int:
        """What came to a good end: jobs done, or requests accepted where no jobs are known."""
        return self.done + self.answered if self.jobs_known else self.accepted

    def identities(self) -> list[Identity]:
        """What must add up: on the left what the generator counted, on the right its rows.

        The left is of the rows as well where the generator did not say, or was cut short.
        """
        said = {name: getattr(self, name) for name in _COUNTS} | dict(self.counted)
        classes = (*CLASSES, "answered") if self.answered else CLASSES
        whole = sum(getattr(self, name) for name in classes)
        answered = self.accepted + self.refused + self.errored
        found = [
            _identity("planned = sent + dropped", said["planned"], self.sent + self.dropped),
            _identity("sent = accepted + refused + errored", said["sent"], answered),
            _identity(f"accepted = {' + '.join(classes)}", said["accepted"], whole),
        ]
        return found if self.jobs_known else found[:-1]

    @property
    def balanced(self) -> bool:
        """Whether every identity holds, every counter agrees, and no job is unexplained."""
        add_up = all(each.holds for each in self.identities())
        return add_up and all(each.holds for each in self.counters) and not self.unexplained


_NOT_COUNTS: Final = (
    "ids", "mechanisms", "causes", "counted", "counters", "spawned", "jobs_known",
    "lag_known",
)  # fmt: skip
_OF_REQUESTS: Final = (
    "planned", "sent", "dropped", "late", "blocked", "accepted", "refused", "errored",
)  # fmt: skip
_COUNTS: Final = tuple(each.name for each in fields(Accounting) if each.name not in _NOT_COUNTS)


def _identity(text: str, left: int, right: int) -> Identity:
    return Identity(text, left, right, left == right)


@functools.lru_cache(maxsize=64)
def accounting(run: StoredRun, trial: int | None = None) -> Accounting:
    """Account for every planned request of one trial, or of all together.

    ``ids`` has up to 20 examples per class that is not `done`.
    """
    if trial is not None:
        return _of_trial(run, trial)
    return _sum([accounting(run, each) for each in run.trials])


def _sum(parts: list[Accounting]) -> Accounting:
    counts = {name: sum(getattr(part, name) for part in parts) for name in _COUNTS}
    counts["stalled_max"] = max((part.stalled_max for part in parts), default=0)
    ids: dict[str, tuple[str, ...]] = {}
    for part in parts:
        for name, examples in part.ids.items():
            ids[name] = (*ids.get(name, ()), *examples)[:_EXAMPLES]
    # Where a generator did not say, its rows stand for it.
    known = {name for part in parts for name in part.counted}
    return Accounting(
        **counts,
        ids=ids,
        mechanisms=_added(part.mechanisms for part in parts),
        causes=_added(part.causes for part in parts),
        counted={
            name: sum(part.counted.get(name, getattr(part, name)) for part in parts)
            for name in sorted(known)
        },
        counters=tuple(_sum_counters(parts)),
        spawned=sum(part.spawned for part in parts),
        jobs_known=all(part.jobs_known for part in parts),
        lag_known=all(part.lag_known for part in parts),
    )


def _added(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    whole: dict[str, int] = {}
    for part in parts:
        for name, count in part.items():
            whole[name] = whole.get(name, 0) + count
    return whole


def _sum_counters(parts: list[Accounting]) -> Iterator[Counter]:
    named: dict[str, list[Counter]] = {}
    for part in parts:
        for each in part.counters:
            named.setdefault(each.name, []).append(each)
    for name, found in named.items():
        # What one trial has too much does not make up for what another has too little.
        yield Counter(
            name,
            sum(each.count for each in found),
            sum(each.must_equal for each in found),
            all(each.holds for each in found),
            sum(each.explained for each in found),
            "; ".join(dict.fromkeys(each.note for each in found if each.note)),
        )


_REQUESTS: Final = f"""
    select count(*) as planned,
           count(*) filter (not dropped) as sent,
           count(*) filter (dropped) as dropped,
           count(*) filter (late_ns > {LATE_NS}) as late,
           count(*) filter (blocked_ns > 0) as blocked,
           count(*) filter (accepted and not dropped) as accepted,
           count(*) filter (not accepted and not errored and not dropped) as refused,
           count(*) filter (errored) as errored
    from told
"""

# A job that no answer vouches for: what it is known to have become. Null: it never existed, because
# its producer would have recorded it, or it would have been found; or it was refused.
UNVOUCHED: Final = """
    case when accepted or dropped then null
         when started then 'phantom'
         when errored and not makes_no_job and (known or job_id is null or forgotten or not (
             select coalesce(bool_or(enqueue_done_ns is not null), false) from jobs))
         then 'ambiguous' end
"""

# The evidence joins all tables of the trial: once, and no wider than is asked of it.
_TOLD: Final = f"""
    create temp table told as with {{known}}
    select seq, job_id, dropped, accepted, errored, sent_ns - intended_ns - blocked_ns as late_ns,
           blocked_ns, class, {UNVOUCHED} as unvouched
    from classed
"""

_CLASSED: Final = """
    select {column}, count(*) as count, list(job_id order by seq)[:20] as ids
    from told where {column} is not null group by {column}
"""

_TWICE: Final = f"""
    with again as ({DUPLICATED}), redelivered as (
        select any_value(job_id) as job_id from jobs group by redis_message_id
        having count(started_ns) > 1
    )
    select 'duplicated', count(distinct job_id), list(distinct job_id order by job_id)[:20]
    from again
    union all
    select 'redelivered', count(*), list(job_id order by job_id)[:20] from redelivered
"""

_SPAWNED: Final = """
    select count(distinct job_id) from jobs
    where job_id not in (select job_id from requests where job_id is not null)
"""


def _of_trial(run: StoredRun, trial: int) -> Accounting:
    counts: dict[str, Any] = {}
    ids: dict[str, tuple[str, ...]] = {}
    mechanisms: dict[str, int] = {}
    facts = run.facts(trial)
    incidents = incidents_of(run, trial)
    with session(run, trial) as sql:
        sql.rows(_TOLD.format(known=evidence(run, trial)))
        found = sql.rows(_REQUESTS)[0]
        counts |= dict(zip(_OF_REQUESTS, found, strict=True))
        if not facts.jobs_recorded:
            return Accounting(**counts, jobs_known=False, lag_known=not facts.imported)
        for name, count, examples in _grouped(sql):
            kind, _, mechanism = name.partition(": ")
            counts[kind] = counts.get(kind, 0) + count
            if mechanism:
                mechanisms[mechanism] = count
            if kind != "done" and count:
                named = tuple(each for each in examples if each is not None)
                ids[kind] = (*ids.get(kind, ()), *named)[:_EXAMPLES]
        counts["double_charges"], counts["charges_stopped"] = charges(sql)
        causes = Counted(each.cause for each in repeats(sql, incidents))
        spawned = int(sql.rows(_SPAWNED)[0][0])
        whole = facts.outcome == "complete"
        counters = tuple(independent(sql, facts, incidents)) if whole else ()
    said = {name: getattr(facts.generator, name) for name in ("planned", "sent", "accepted")}
    return Accounting(
        **counts,
        stalled_max=stalled_most(run, trial),
        ids=ids,
        mechanisms=mechanisms,
        causes=dict(causes.most_common()),
        counted={name: count for name, count in said.items() if count is not None and whole},
        counters=counters,
        spawned=spawned,
    )


def _grouped(sql: Session) -> Iterator[tuple[str, int, list[str | None]]]:
    for column in ("class", "unvouched"):
        for name, count, examples in sql.rows(_CLASSED.format(column=column)):
            yield name, count, examples
    for name, count, examples in sql.rows(_TWICE):
        yield name, count, examples or []
