"""The phases of a trial's load, what came of each, and the time that a threshold speaks of.

    level      ______
              /      \\____         a phase: its ramp, if it has one, then its steady part
    ____|____/
        | 1  |   2   |   3  |
        window              end

A load without phases has one, "window".
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import pandas as pd

from perfkit.frames.session import session
from perfkit.frames.timelines import waiting_at
from perfkit.scenario import Shaped, Stretch
from perfkit.store import StoredRun, TrialFacts

__all__ = ["Phase", "Spans", "phases", "phases_of", "spans_of", "within"]

Spans = tuple[tuple[int, int], ...]
"""Half-open stretches of time, from and until, in ns of the trial's clock."""

WINDOW: Final = "window"


@dataclass(frozen=True, slots=True, kw_only=True)
class Phase:
    """A part of the window at one level; instants in ns of the trial's clock."""

    index: int
    name: str
    begin_ns: int
    steady_ns: int  # where its ramp is over
    end_ns: int
    level_start: float
    level: float  # users, or jobs per second; of a shape that moves, its mean
    whole: bool  # the trial was not cut short in it

    @property
    def length_s(self) -> float:
        """How long it was, its ramp included."""
        return (self.end_ns - self.begin_ns) / 1e9

    @property
    def steady_s(self) -> float:
        """How long its level stayed."""
        return (self.end_ns - self.steady_ns) / 1e9


def phases_of(facts: TrialFacts) -> tuple[Phase, ...]:
    """The phases of the load in order; those that began before the trial was cut short."""
    start, end = facts.instants.window_start, facts.instants.window_end
    pieces: dict[int, list[Stretch]] = {}
    for each in facts.stretches or _one(facts):
        if each.phase is not None and facts.instants.load_start + each.begin_ns < end:
            pieces.setdefault(each.phase, []).append(each)
    found = []
    for index, parts in sorted(pieces.items()):
        first, last = parts[0], parts[-1]
        planned = facts.instants.load_start + last.end_ns
        ramp_ns = (last.begin_ns if last.steady else last.end_ns) - first.begin_ns
        begin = max(start, facts.instants.load_start + first.begin_ns)
        found.append(
            Phase(
                index=index,
                name=first.name,
                begin_ns=begin,
                steady_ns=min(begin + ramp_ns, end),
                end_ns=min(planned, end),
                level_start=first.level_start,
                level=_level(parts),
                whole=planned <= end and (facts.outcome == "complete" or bool(facts.stretches)),
            )
        )
    return tuple(found)


def _level(parts: list[Stretch]) -> float:
    """The level a phase comes to; bursts and all that moves by design count by their mean."""
    shaped = [each for each in parts if isinstance(each, Shaped)]
    if not shaped:
        return parts[-1].level_end
    lasting = sum(each.end_ns - each.begin_ns for each in shaped)
    return sum(each.area for each in shaped) / lasting


def _one(facts: TrialFacts) -> tuple[Stretch, ...]:
    """The course of a load whose facts do not tell it: one level from end to end."""
    instants = facts.instants
    level = float(facts.users or 0) if facts.model == "closed" else facts.offered_per_s
    begin, end = (
        each - instants.load_start for each in (instants.window_start, instants.window_end)
    )
    return (
        Stretch(
            name=WINDOW, begin_ns=begin, end_ns=end, level_start=level, level_end=level, phase=0
        ),
    )


def spans_of(facts: TrialFacts, over: str) -> Spans:
    """The time that ``over`` of a threshold means: the window, it without its ramps, or a phase.

    Nothing where the trial was cut short before the phase began.
    """
    if over == WINDOW:
        return ((facts.instants.window_start, facts.instants.window_end),)
    phases = phases_of(facts)
    if over == "steady":
        return _joined(tuple((each.steady_ns, each.end_ns) for each in phases))
    return tuple((each.begin_ns, each.end_ns) for each in phases if each.name == over)


def within(column: str, spans: Spans) -> str:
    """SQL that holds where an instant lies in one of these stretches of time."""
    parts = [f"({column} >= {begin} and {column} < {end})" for begin, end in spans]
    return f"({' or '.join(parts)})" if parts else "false"


def phases(run: StoredRun, trial: int | None = None) -> pd.DataFrame:
    """One row per phase of the load of each trial.

    Columns: trial, label, phase (index), name, begin_s and end_s (as ``at_s``), level_start (of its
    ramp) and level_end (of a sine or another shape: the mean) in unit ("users" or "jobs/s");
    offered_per_s (came due), done_per_s (jobs done) by the length of the phase, ramp included;
    p50_ns p95_ns p99_ns (latency of what was intended in the phase, unfinished jobs as +infinity);
    backlog_begin, backlog_end (jobs enqueued and not started). A load without phases has one,
    "window". A phase that a cut-short trial never reached has no row.

    Whether a phase was carried is a verdict: `perfkit.verdict.phases` adds that column.
    """
    trials = run.trials if trial is None else (trial,)
    return pd.concat([_of_trial(run, each) for each in trials] or [_table([])], ignore_index=True)


_COLUMNS: Final = {
    "trial": "int64",
    "label": "str",
    "phase": "int64",
    "name": "str",
    "begin_s": "float64",
    "end_s": "float64",
    "level_start": "float64",
    "level_end": "float64",
    "unit": "str",
    "offered_per_s": "float64",
    "done_per_s": "float64",
    "p50_ns": "float64",
    "p95_ns": "float64",
    "p99_ns": "float64",
    "backlog_begin": "float64",
    "backlog_end": "float64",
}


def _table(rows: list[tuple[object, ...]]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)


def _of_trial(run: StoredRun, trial: int) -> pd.DataFrame:
    facts = run.facts(trial)
    found = phases_of(facts)
    ends = [instant for each in found for instant in (each.begin_ns, each.end_ns)]
    counts = waiting_at(run, trial, ends)
    rows: list[tuple[object, ...]] = []
    with session(run, trial) as sql:
        for place, each in enumerate(found):
            intended, done, *latency = sql.rows(f"""
                with cohort as (
                    select list(latency_ns order by latency_ns) as ordered from job
                    where {within("intended_ns", ((each.begin_ns, each.end_ns),))}
                )
                select coalesce(len(ordered), 0),
                       (select count(*) from job where done
                        and {within("finished_ns", ((each.begin_ns, each.end_ns),))}),
                       type7(ordered, 0.5), type7(ordered, 0.95), type7(ordered, 0.99)
                from cohort
            """)[0]
            begin_s, end_s = (
                (instant - facts.instants.load_start) / 1e9
                for instant in (each.begin_ns, each.end_ns)
            )
            rows.append(
                (
                    trial,
                    facts.label,
                    each.index,
                    each.name,
                    begin_s,
                    end_s,
                    each.level_start,
                    each.level,
                    "users" if facts.model == "closed" else "jobs/s",
                    intended / each.length_s,
                    done / each.length_s,
                    *latency,
                    counts[2 * place] if facts.jobs_recorded else math.nan,
                    counts[2 * place + 1] if facts.jobs_recorded else math.nan,
                )
            )
    return _table(rows)


def _joined(spans: Spans) -> Spans:
    """The same time without seams, so that what lies across one is not lost."""
    joined: list[tuple[int, int]] = []
    for begin, end in spans:
        if joined and joined[-1][1] == begin:
            begin = joined.pop()[0]
        if end > begin:
            joined.append((begin, end))
    return tuple(joined)
