"""PASS, FAIL, INCONCLUSIVE or INVALID, for each trial and for the run.

    INVALID        evidence against the instrument: its numbers mean nothing
    FAIL           a threshold does not hold, at the end or while running
    INCONCLUSIVE   the run or a trial was cut short, or nothing was measured
    PASS           every threshold that applies holds, or there is none: observed, not inferred

That a trial is saturated is a result and no verdict; its steady-state thresholds fail. So is what a
planned fault cost: it is told first, unless the trial is INVALID.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import pandas as pd

from perfkit import frames
from perfkit.store import StoredRun
from perfkit.units import format_rate
from perfkit.verdict.books import accounting
from perfkit.verdict.breaking import broken
from perfkit.verdict.counters import disagreements
from perfkit.verdict.journeys import kept_loop
from perfkit.verdict.lawful import unlawful
from perfkit.verdict.punctuality import lateness, rate_missed_by
from perfkit.verdict.showing import shown
from perfkit.verdict.sustaining import Saturation, State, saturation
from perfkit.verdict.thresholds import OBSERVED, ThresholdResult, evaluate_thresholds

__all__ = ["WORST_FIRST", "Status", "TrialVerdict", "Verdict", "judge", "phases", "trials"]

Status = Literal["PASS", "FAIL", "INCONCLUSIVE", "INVALID"]

WORST_FIRST: Final[tuple[Status, ...]] = ("INVALID", "FAIL", "INCONCLUSIVE", "PASS")
_DECIDED: Final = ("carried", "saturated")
_MOST_REASONS: Final = 6  # of a run with several scenarios


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialVerdict:
    """One trial, judged."""

    trial: int
    label: str
    status: Status
    state: State
    saturated: bool
    capacity_per_s: float  # NaN unless it was pushed to its capacity
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """A run, judged: the worst of its trials."""

    status: Status
    reasons: tuple[str, ...]
    trials: tuple[TrialVerdict, ...]


@functools.lru_cache(maxsize=16)
def judge(run: StoredRun) -> Verdict:
    """Judge every trial and the run.

    The reasons of a run are those of its trials, the worst first. Where it has several scenarios,
    each trial has one, and what goes beyond six is counted; `TrialVerdict` has them all.
    """
    judged = tuple(_judge_trial(run, trial) for trial in run.trials)
    found: list[tuple[Status, str]] = [
        ("INCONCLUSIVE", f"trial {each['trial']} could not be measured: {each['reason']}")
        for each in run.manifest["trials"]
        if each["outcome"] == "failed"
    ]
    if run.manifest["status"] != "complete":
        found.append(("INCONCLUSIVE", f"the run was cut short: {run.manifest.get('reason')}"))
    if not judged:
        found.append(("INCONCLUSIVE", "no trial was measured"))
    statuses = {status for status, _ in found} | {each.status for each in judged}
    status: Status = next((each for each in WORST_FIRST if each in statuses), "PASS")
    several = len({run.facts(each.trial).scenario for each in judged}) > 1
    found += _of_scenarios(run, judged) if several else _of_trials(run, judged)
    if (nothing := _nothing_applied(evaluate_thresholds(run))) is not None:
        found.append(("PASS", nothing))
    ordered = sorted(found, key=lambda each: WORST_FIRST.index(each[0]))
    reasons = list(dict.fromkeys(reason for _, reason in ordered))
    if several:
        reasons = _shortened(reasons, judged)
    return Verdict(status=status, reasons=tuple(reasons), trials=judged)


def _of_trials(run: StoredRun, judged: Sequence[TrialVerdict]) -> Iterator[tuple[Status, str]]:
    names = frames.titles(run)
    for each in judged:
        prefix = f"{names[each.trial]}: " if len(judged) > 1 else ""
        yield from ((each.status, prefix + reason) for reason in each.reasons)


def _of_scenarios(run: StoredRun, judged: Sequence[TrialVerdict]) -> Iterator[tuple[Status, str]]:
    """A sentence for each trial that gives cause for one."""
    names = frames.titles(run)
    for each in judged:
        if each.reasons and (each.status != "PASS" or each.saturated):
            more = f" (and {len(each.reasons) - 1} more)" if len(each.reasons) > 1 else ""
            yield each.status, f"{names[each.trial]}: {each.reasons[0]}{more}"


def _shortened(reasons: list[str], judged: Sequence[TrialVerdict]) -> list[str]:
    if len(reasons) <= _MOST_REASONS:
        return reasons
    counts = Counter(each.status for each in judged)
    said = ", ".join(f"{counts[status]} {status}" for status in WORST_FIRST if counts[status])
    kept = reasons[: _MOST_REASONS - 1]
    return [*kept, f"and {len(reasons) - len(kept)} more; of {len(judged)} trials {said}"]


def _nothing_applied(results: Sequence[ThresholdResult]) -> str | None:
    """That no threshold was judged, in words; None where one was."""
    if any(each.applicable for each in results):
        return None
    return f"no thresholds{' applied' if results else ''}: {OBSERVED}"


def _judge_trial(run: StoredRun, trial: int) -> TrialVerdict:
    facts = run.facts(trial)
    state = saturation(run, trial)
    invalid = list(_invalid(run, trial))
    every = evaluate_thresholds(run, trial)
    missed = [result for result in every if not result.holds]
    failed = [_failure(result) for result in missed if not math.isnan(result.observed)]
    unseen = [_failure(result) for result in missed if math.isnan(result.observed)]
    counted = accounting(run, trial)
    if counted.planned and not counted.served:
        # Whatever the targets are: a system that did nothing held none of them.
        failed.insert(
            0,
            f"no job was done: of {counted.planned} planned {counted.refused} were refused and "
            f"{counted.errored} had no answer",
        )
    if counted.double_charges:
        failed.insert(0, f"{counted.double_charges} payments were charged more than once")
    status: Status = "PASS"
    reasons: list[str] = []
    if invalid:
        status, reasons = "INVALID", invalid
    elif facts.aborted is not None:
        status, reasons = "FAIL", [f"stopped: {facts.aborted.text}"]
    elif facts.outcome != "complete":
        status, reasons = "INCONCLUSIVE", [f"cut short: {facts.reason or 'no reason is known'}"]
    elif failed:
        status, reasons = "FAIL", failed + unseen
    elif unseen:
        status, reasons = "INCONCLUSIVE", unseen
    elif every:
        reasons = [_held(every)]
    reasons += _stated(state, facts.offered_per_s)
    told = broken(run, trial)
    reasons = [*reasons, *told] if invalid else [*told, *reasons]
    reasons += (
        f"fault not carried out to its end: {each.action} {each.target}: {each.error}"
        for each in facts.faults
        # Half of a restart is none, and neither is what could not be mended what was asked.
        if each.done_ns is not None and each.error is not None and each.ended_ns is None
    )
    return TrialVerdict(
        trial=trial,
        label=facts.label,
        status=status,
        state=state.state,
        saturated=state.saturated,
        capacity_per_s=state.capacity_per_s,
        reasons=tuple(reasons),
    )


def _held(results: Sequence[ThresholdResult]) -> str:
    """That nothing failed; what is not applicable has not passed."""
    if (nothing := _nothing_applied(results)) is not None:
        return nothing
    aside = sum(not each.applicable for each in results)
    more = f"; {aside} not applicable at this load" if aside else ""
    return f"every threshold{' that applies' if aside else ''} holds: {OBSERVED}{more}"


def _stated(state: Saturation, offered_per_s: float) -> Iterator[str]:
    """What else is to be said of a trial's load."""
    why = "; ".join(state.reasons)
    if state.pushed and len(state.phases) > 1:
        yield f"SATURATED: {why}; its capacity is {format_rate(state.capacity_per_s)}"
    elif state.pushed:
        yield (
            f"SATURATED: it does not sustain the offered {format_rate(offered_per_s)} "
            f"({format_rate(state.due_per_s)} came due), "
            f"its capacity is {format_rate(state.capacity_per_s)}: {why}"
        )
    elif state.saturated:
        yield f"SATURATED: {why}"
    elif state.state == "undecided":
        yield why


def _invalid(run: StoredRun, trial: int) -> Iterator[str]:
    facts = run.facts(trial)
    yield from (
        each.text or f"{each.name} died"
        for each in facts.deaths
        if facts.role(each.name) == "generator"
    )
    yield from disagreements(run, trial)
    yield from kept_loop(run, trial)
    yield from unlawful(run, trial)
    if facts.aborted is not None and rate_missed_by(run, trial) == "generator":
        yield lateness(run, trial).reason or "late sending of the generator's own making"
        yield f"stopped: {facts.aborted.text}"
    if facts.outcome != "complete":
        # What was cut off can't be evidence against the instrument.
        return
    counted = accounting(run, trial)
    if counted.unexplained:
        examples = ", ".join(counted.ids.get("unexplained", ())[:3])
        yield f"{counted.unexplained} accepted jobs are unexplained, such as {examples}"
    # By the rows alone: where they differ from what the generator counted, that is said above.
    yield from (
        f"the accounting does not balance: {each.text}: {each.left} and {each.right}"
        for each in replace(counted, counted={}).identities()
        if not each.holds
    )
    late = lateness(run, trial)
    if late.own_making and late.reason is not None:
        yield late.reason


def _failure(result: ThresholdResult) -> str:
    part = "" if result.over == "window" else f" over {result.over}"
    what = f"{result.metric}{f' of {result.queue}' if result.queue else ''} {result.expr}{part}"
    if math.isnan(result.observed):
        return f"{what}: {result.note}"
    note = "" if result.note == OBSERVED else f" ({result.note})"
    return f"{what} does not hold: {shown(result.unit, result.observed)}{note}"


def phases(run: StoredRun) -> pd.DataFrame:
    """`perfkit.frames.phases` and, last, state: "carried", "saturated" or "undecided".

    A load without phases has the state of its trial; one that was cut short is undecided.
    """
    table = frames.phases(run)
    states = []
    for trial, index in zip(table["trial"], table["phase"], strict=True):
        found = saturation(run, int(trial))
        if len(found.phases) > 1:
            states += [each.state for each in found.phases if each.phase.index == index]
        else:
            states.append(found.state if found.state in _DECIDED else "undecided")
    table["state"] = pd.Series(states, index=table.index, dtype="str")
    return table


def trials(run: StoredRun) -> pd.DataFrame:
    """`perfkit.frames.trials` with the verdict on each.

    After ``backlog_end``: saturated (bool), state (see `perfkit.verdict.saturation`) and status.
    The efficiency is NaN where the load, and not the workers, limited the throughput; it is there
    of saturated trials and of those with the fewest workers, their base.
    """
    table = frames.trials(run)
    judged = judge(run).trials
    place = list(table.columns).index("backlog_end") + 1
    columns = (
        ("status", [each.status for each in judged], "str"),
        ("state", [each.state for each in judged], "str"),
        ("saturated", [each.saturated for each in judged], "bool"),
    )
    for name, values, kind in columns:
        table.insert(place, name, pd.Series(values, index=table.index, dtype=kind))
    arm_of = table["trial"].map({trial: repr(arm) for trial, arm in frames.arms(run).items()})
    known = table["workers"].where(table["efficiency"].notna())
    is_base = table["workers"] == known.groupby(arm_of).transform("min")
    table["efficiency"] = table["efficiency"].where(table["saturated"] | is_base)
    return table
