"""Whether a trial carried its load. If it did not, what it finished is its capacity.

saturated   there is evidence that it did not sustain its load, or one phase of it
carried     there is evidence that it did: the backlog can't have grown by much
undecided   neither: the window, or a phase, was too short to tell
partial     it was cut short
idle        nothing came due
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import pandas as pd

from perfkit.frames import Phase, Session, phases_of, session, waiting, within
from perfkit.stats import Estimate, backlog_trend
from perfkit.store import StoredRun, TrialFacts
from perfkit.units import format_count, format_rate
from perfkit.verdict.leaving import LEAST_LEFT, LEFT_SHARE, left_over, queues_of
from perfkit.verdict.punctuality import given_up, lateness
from perfkit.verdict.recovering import clear_of, recoveries
from perfkit.verdict.showing import level_words

__all__ = ["PhaseState", "Saturation", "State", "saturation"]

State = Literal["carried", "saturated", "undecided", "partial", "idle"]

_GROWTH: Final = 0.01  # of the load: growth below it is none
_CARRIED: Final = 0.05  # of the load: growth surely below it is carried
_LEFT_SD: Final = 3.0
_LEVEL: Final = 0.99
_LEAST_STEADY_S: Final = 5.0
_UNRECOVERED: Final = (
    "it is not decided whether the load was carried: the backlog did not come back after a fault"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseState:
    """Whether one phase of the load was carried."""

    phase: Phase
    state: Literal["carried", "saturated", "undecided"]
    reasons: tuple[str, ...]  # that it is saturated, or undecided
    trend: Estimate | None  # of the backlog in its steady part, jobs/s; None where it had none
    throughput_per_s: float  # jobs done in its steady part (in all of it where there is none)


@dataclass(frozen=True, slots=True, kw_only=True)
class Saturation:
    """One trial's state. Rules: statistics.md 1.4 and Decisions 5."""

    state: State
    reasons: tuple[str, ...]  # that it is saturated, or undecided
    throughput_per_s: float  # jobs done in the window, by the window
    due_per_s: float  # what came due in the window, by the window
    trend: Estimate | None  # of the backlog, jobs/s; None where nothing ran, or in several phases
    pushed: bool  # to its capacity: saturated by more than a generator kept from its core
    phases: tuple[PhaseState, ...]

    @property
    def saturated(self) -> bool:
        """Whether it did not sustain its load."""
        return self.state == "saturated"

    @property
    def capacity_per_s(self) -> float:
        """Throughput of a trial that was pushed to its capacity; NaN of any other.

        Of several phases, the highest in one that was not sustained: the others asked for less.
        """
        if not self.pushed:
            return math.nan
        if len(self.phases) < 2:
            return self.throughput_per_s
        pushed = [each.throughput_per_s for each in self.phases if each.state == "saturated"]
        return max(pushed, default=self.throughput_per_s)

    def unsteady(self, over: str) -> bool:
        """Whether the time that ``over`` of a threshold means had no steady state."""
        for each in self.phases:
            if each.phase.name == over and len(self.phases) > 1:
                return each.state == "saturated"
        return self.saturated


@functools.lru_cache(maxsize=64)
def saturation(run: StoredRun, trial: int) -> Saturation:
    """Judge whether one trial sustained its load.

    It did not if the backlog grew over the window (the 99 % interval of its slope lies above 1 %
    of the load), or more jobs still waited after the drain than 3 standard deviations of the
    backlog in the window (and than 1 % of the window's jobs), or the in-flight cap filled, or the
    generator was kept from its core; or one queue of several grew (at a level stricter by their
    number), or was left with 5 jobs and 5 % of its cohort or more. It did if the interval lies
    below 5 % of the load. Else that is not decided. A trial that was stopped because it missed its
    rate, and not by the generator's own lateness, did not sustain it either.

    Where the load has phases, growth is judged in the steady part of each, at a level stricter by
    their number, and the trial is saturated if one is. A phase with less than 5 s of it grew if its
    backlog rose by more than 3 standard deviations and 5 % of its jobs. One whose backlog fell by
    5 % of its jobs or more was carried.

    What was broken on purpose is no overload: growth and drops are judged before a fault and after
    the recovery from it alone, in each of these parts as if it were a phase. Where the backlog did
    not come back, what was left after the drain says nothing of the load, which stays undecided.

    Of a server that is not ours the backlog is of requests that have no answer yet.
    """
    facts = run.facts(trial)
    if not facts.jobs_recorded and facts.imported:
        return _unknown(run, facts)
    window_s = facts.instants.window_s
    with session(run, trial) as sql:
        intended, finished, left, unanswered = sql.rows("""
            select count(*) filter (in_window), count(*) filter (done_in_window),
                   (select count(*) from leftovers where place = 'list'),
                   count(*) filter (in_window and error = 'abandoned')
            from job
        """)[0]
        queues = queues_of(sql) if facts.jobs_recorded else []
        found = phases_of(facts)
        course = _Course(run, facts, sql, [each.name for each in queues], len(found))
        phases = tuple(course.judged(each) for each in found)
    spread = float(np.std(course.backlog["waiting"].to_numpy(dtype=np.float64)))
    # A trial that was cut short had no drain, or not all of it.
    whole = facts.outcome == "complete"
    pushed = [reason for each in phases if each.state == "saturated" for reason in each.reasons]
    unrecovered = [each for each in recoveries(run, trial) if not each.recovered]
    if not unrecovered and left > max(_LEFT_SD * spread, _GROWTH * intended):
        pushed.append(f"{format_count(left)} jobs still waited when the drain ended")
    if not facts.jobs_recorded and unanswered > max(_LEFT_SD * spread, _GROWTH * intended):
        pushed.append(f"{format_count(unanswered)} requests had no answer when the drain ended")
    if len(queues) > 1 and not unrecovered:
        pushed += [reason for queue in queues for reason in left_over(queue)]
    late = lateness(run, trial)
    starved = late.reason is not None and not late.own_making
    reasons = (*pushed, str(late.reason)) if starved else tuple(pushed)
    state = _state(whole, bool(intended), reasons, phases)
    if state == "carried" and unrecovered:
        state, reasons = "undecided", (_UNRECOVERED,)
    elif state == "undecided":
        reasons = tuple(
            reason for each in phases if each.state == "undecided" for reason in each.reasons
        )
    if (why := given_up(run, trial)) is not None:
        state, reasons = "saturated", (why,)
    return Saturation(
        state=state,
        reasons=reasons if whole or why is not None else (),
        throughput_per_s=finished / window_s,
        due_per_s=intended / window_s,
        trend=phases[0].trend if len(phases) == 1 else None,
        pushed=whole and bool(pushed),
        phases=phases,
    )


def _unknown(run: StoredRun, facts: TrialFacts) -> Saturation:
    """Of an import, which knows when nothing was due: whether its backlog grew can't be told."""
    with session(run, facts.trial) as sql:
        intended, finished = sql.rows(
            "select count(*) filter (in_window), count(*) filter (done_in_window) from job"
        )[0]
    whole = facts.outcome == "complete"
    why = "no jobs were recorded, so whether the load was carried is not known"
    return Saturation(
        state=_state(whole, bool(intended), (), ()) if not (whole and intended) else "undecided",
        reasons=(why, *([facts.omission] if facts.omission else ())) if whole else (),
        throughput_per_s=finished / facts.instants.window_s,
        due_per_s=intended / facts.instants.window_s,
        trend=None,
        pushed=False,
        phases=(),
    )


def _state(
    whole: bool, due: bool, reasons: tuple[str, ...], phases: tuple[PhaseState, ...]
) -> State:
    if not whole:
        return "partial"
    if reasons:
        return "saturated"
    if not due:
        return "idle"
    return "undecided" if any(each.state == "undecided" for each in phases) else "carried"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Part:
    """What is judged of a phase: its steady part, or all of it where it has none.

    Where there were faults, a part of that in which none was at work.
    """

    phase: Phase
    since_ns: int
    until_ns: int
    short: bool  # too short for a trend
    backlog: pd.DataFrame
    due_per_s: dict[str, float]  # by queue; "" for all
    cohort: int  # jobs intended in the whole phase
    dropped: int  # of them
    done: int

    @property
    def length_s(self) -> float:
        return (self.until_ns - self.since_ns) / 1e9


class _Course:
    """The backlog of one trial over its window, of all queues and of each; phases by it."""

    def __init__(
        self, run: StoredRun, facts: TrialFacts, sql: Session, queues: list[str], phases: int
    ) -> None:
        self._facts = facts
        self._sql = sql
        self._things = "jobs" if facts.jobs_recorded else "requests"
        self._several = phases > 1
        self._phases = phases
        self._pieces = 1  # of the phase that is being judged, between faults
        self._run = run
        self.backlog = waiting(run, facts.trial)
        # Of one queue alone there is nothing more to say than of all.
        each_of = queues if len(queues) > 1 else []
        self._of_queues = {name: waiting(run, facts.trial, queue=name) for name in each_of}

    def judged(self, phase: Phase) -> PhaseState:
        """Whether the backlog grew in the steady part of a phase, or its in-flight cap filled."""
        parts = self._parts(phase)
        self._pieces = max(1, len(parts))
        trends = {
            part.since_ns: None
            if part.short or not part.cohort
            else _trend(part.backlog, self._level(1))
            for part in parts
        }
        reasons = [reason for part in parts for reason in self._pushed(part, trends[part.since_ns])]
        state: Literal["carried", "saturated", "undecided"] = "saturated"
        if not reasons:
            unsure = [self._unsure(part, trends[part.since_ns]) for part in parts]
            reasons = [each for each in unsure if each is not None]
            if not parts:
                what = self._what(phase)
                why = f"it is not decided whether {what} was carried: a fault was at work all along"
                reasons = [why]
            state = "undecided" if reasons else "carried"
        elif self._several:
            reasons = [f"{self._named(phase)} was not sustained: {'; '.join(reasons)}"]
        longest = max(parts, key=lambda part: part.length_s, default=None)
        length_s = sum(part.length_s for part in parts)
        return PhaseState(
            phase=phase,
            state=state,
            reasons=tuple(dict.fromkeys(reasons)),
            trend=None if longest is None else trends[longest.since_ns],
            throughput_per_s=sum(part.done for part in parts) / length_s
            if length_s > 0
            else math.nan,
        )

    def _pushed(self, part: _Part, trend: Estimate | None) -> Iterator[str]:
        yield from self._grown(part, trend)
        if part.dropped:
            yield (
                f"the in-flight cap filled: {format_count(part.dropped)} of "
                f"{format_count(part.cohort)} requests were dropped"
            )

    def _parts(self, phase: Phase) -> list[_Part]:
        since = phase.begin_ns if phase.steady_s <= 0 else phase.steady_ns
        clear = clear_of(self._run, self._facts.trial, since, phase.end_ns)
        # Without faults, what is dropped while the level rises counts as well.
        if clear == [(since, phase.end_ns)]:
            return [self._part(phase, since, phase.end_ns, phase.begin_ns)]
        return [self._part(phase, begin, end, begin) for begin, end in clear]

    def _part(self, phase: Phase, since: int, until: int, inside_ns: int) -> _Part:
        judged = ((since, until),)
        inside = within("intended_ns", ((inside_ns, until),))
        rows = self._sql.rows(f"""
            select queue, count(*) filter ({within("intended_ns", judged)}),
                   count(*) filter ({inside}), count(*) filter ({inside} and sent_ns is null),
                   count(*) filter (done and {within("finished_ns", judged)})
            from job group by queue order by queue
        """)
        length_s = (until - since) / 1e9
        due = {queue: count / length_s for queue, count, *_ in rows if length_s > 0}
        cohort, dropped, done = (sum(row[place] for row in rows) for place in (2, 3, 4))
        apart = self._several or (since, until) != (phase.steady_ns, phase.end_ns)
        return _Part(
            phase=phase,
            since_ns=since,
            until_ns=until,
            short=apart and length_s < _LEAST_STEADY_S,
            backlog=self._slice(self.backlog, since, until),
            due_per_s=due | {"": sum(due.values())},
            cohort=cohort,
            dropped=dropped,
            done=done,
        )

    def _slice(self, backlog: pd.DataFrame, begin_ns: int, end_ns: int) -> pd.DataFrame:
        start = self._facts.instants.load_start
        begin_s, end_s = (begin_ns - start) / 1e9, (end_ns - start) / 1e9
        # The grid is made of whole steps: a point on the seam belongs to both sides.
        return backlog[backlog["at_s"].between(begin_s - 1e-9, end_s + 1e-9)]

    def _level(self, series: int) -> float:
        return 1 - (1 - _LEVEL) / self._phases / self._pieces / series

    def _what(self, phase: Phase) -> str:
        return self._named(phase) if self._several else "the load"

    def _named(self, phase: Phase) -> str:
        unit = "users" if self._facts.model == "closed" else "jobs/s"
        return f"the phase {phase.name} ({level_words(phase.level, unit)})"

    def _grown(self, part: _Part, trend: Estimate | None) -> Iterator[str]:
        """That the backlog grew, of all queues together and of each."""
        if part.short:
            more, spread = _risen(part.backlog)
            if more > max(_LEFT_SD * spread, LEFT_SHARE * part.cohort, LEAST_LEFT):
                yield (
                    f"the backlog grew by {format_count(more)} {self._things} in "
                    f"{part.length_s:.1f} s ({format_count(part.cohort)} came due)"
                )
            return
        if trend is not None and trend.low > _GROWTH * part.due_per_s[""]:
            yield f"the backlog grew by {_grew(trend)}"
        for queue, backlog in self._of_queues.items():
            if due := part.due_per_s.get(queue):
                own = self._slice(backlog, part.since_ns, part.until_ns)
                grown = _trend(own, self._level(len(self._of_queues)))
                if grown.low > _GROWTH * due:
                    yield f"the backlog of {queue} grew by {_grew(grown)}"

    def _unsure(self, part: _Part, trend: Estimate | None) -> str | None:
        """Why it is not decided whether the phase was carried; None where it was."""
        if not part.cohort:
            return None
        (more, _), most = _risen(part.backlog), max(LEFT_SHARE * part.cohort, LEAST_LEFT)
        if not part.phase.whole and self._several:
            why = "the trial was cut short in it"
        elif self._several and more < -most:
            return None  # it did more than came due: what the phase before left behind
        elif trend is None:
            if more <= most:
                return None
            why = f"the backlog rose by {format_count(more)} {self._things}, within its own swing"
        elif trend.high < _CARRIED * part.due_per_s[""]:
            return None
        else:
            why = f"the backlog grew by {_grew(trend)}"
        what, mend = (
            self._what(part.phase),
            "lengthen it" if self._several else "lengthen the window",
        )
        return f"it is not decided whether {what} was carried: {mend} ({why})"


def _risen(backlog: pd.DataFrame) -> tuple[float, float]:
    """How much more waited at the end of a short phase than at its beginning, and the spread."""
    values = backlog["waiting"].to_numpy(dtype=np.float64)
    return (float(values[-1] - values[0]), float(np.std(values))) if len(values) else (0.0, 0.0)


def _trend(backlog: pd.DataFrame, level: float) -> Estimate:
    return backlog_trend(backlog["at_s"], backlog["waiting"], level=level)


def _grew(trend: Estimate) -> str:
    low, high = format_rate(trend.low), format_rate(trend.high)
    return f"{format_rate(trend.point)} ({low} to {high})"
