"""PASS, FAIL, INCONCLUSIVE or INVALID, for each trial and for the run.

    INVALID        evidence against the instrument: its numbers mean nothing
    FAIL           a threshold does not hold
    INCONCLUSIVE   the run or a trial was cut short, or nothing was measured
    PASS           every threshold holds, or there is none: observed, not inferred

That a trial is saturated is a result and no verdict; its steady-state thresholds fail.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import pandas as pd

from perfkit import frames
from perfkit.store import StoredRun
from perfkit.units import format_duration, format_percent, format_rate
from perfkit.verdict.accounting import accounting
from perfkit.verdict.counters import disagreements
from perfkit.verdict.lateness import lateness
from perfkit.verdict.saturation import Saturation, State, saturation
from perfkit.verdict.thresholds import ThresholdResult, evaluate_thresholds, thresholds_of

__all__ = ["Status", "TrialVerdict", "Verdict", "judge", "trials"]

Status = Literal["PASS", "FAIL", "INCONCLUSIVE", "INVALID"]

_WORST_FIRST: Final[tuple[Status, ...]] = ("INVALID", "FAIL", "INCONCLUSIVE", "PASS")
_RESIDUAL_NS: Final = 1_000
_OBSERVED: Final = "no thresholds: observed, not inferred"


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
    """Judge every trial and the run."""
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
    names = frames.titles(run)
    for each in judged:
        prefix = f"{names[each.trial]}: " if len(judged) > 1 else ""
        found += [(each.status, prefix + reason) for reason in each.reasons]
    statuses = {status for status, _ in found} | {each.status for each in judged}
    status: Status = next((each for each in _WORST_FIRST if each in statuses), "PASS")
    if not any(thresholds_of(run, trial) for trial in run.trials):
        found.append(("PASS", _OBSERVED))
    ordered = sorted(found, key=lambda each: _WORST_FIRST.index(each[0]))
    return Verdict(
        status=status,
        reasons=tuple(dict.fromkeys(reason for _, reason in ordered)),
        trials=judged,
    )


def _judge_trial(run: StoredRun, trial: int) -> TrialVerdict:
    facts = run.facts(trial)
    state = saturation(run, trial)
    invalid = list(_invalid(run, trial))
    results = [result for result in evaluate_thresholds(run, trial) if not result.holds]
    failed = [_failure(result) for result in results if not math.isnan(result.observed)]
    unseen = [_failure(result) for result in results if math.isnan(result.observed)]
    counted = accounting(run, trial)
    if counted.planned and not counted.done:
        # Whatever the targets are: a system that did nothing held none of them.
        failed.insert(
            0,
            f"no job was done: of {counted.planned} planned {counted.refused} were refused and "
            f"{counted.errored} had no answer",
        )
    status: Status = "PASS"
    reasons: list[str] = []
    if invalid:
        status, reasons = "INVALID", invalid
    elif facts.outcome != "complete":
        status, reasons = "INCONCLUSIVE", [f"cut short: {facts.reason or 'no reason is known'}"]
    elif failed:
        status, reasons = "FAIL", failed + unseen
    elif unseen:
        status, reasons = "INCONCLUSIVE", unseen
    elif thresholds_of(run, trial):
        reasons = ["every threshold holds: observed, not inferred"]
    reasons += _stated(state, facts.offered_per_s)
    return TrialVerdict(
        trial=trial,
        label=facts.label,
        status=status,
        state=state.state,
        saturated=state.saturated,
        capacity_per_s=state.capacity_per_s,
        reasons=tuple(reasons),
    )


def _stated(state: Saturation, offered_per_s: float) -> Iterator[str]:
    """What else is to be said of a trial's load."""
    why = "; ".join(state.reasons)
    if state.pushed:
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
    yield from disagreements(run, trial)
    residual = frames.stages(run, trial)["residual_ns"].max()
    if residual > _RESIDUAL_NS:
        yield (
            "clock or join error: the stages of a job miss its latency by "
            f"{format_duration(residual)}"
        )
    if run.facts(trial).outcome != "complete":
        # What was cut off can't be evidence against the instrument.
        return
    counted = accounting(run, trial)
    if counted.unexplained:
        examples = ", ".join(counted.ids.get("unexplained", ())[:3])
        yield f"{counted.unexplained} accepted jobs are unexplained, such as {examples}"
    yield from (
        f"the accounting does not balance: {each.text}: {each.left} and {each.right}"
        for each in counted.identities()
        if not each.holds
    )
    late = lateness(run, trial)
    if late.own_making and late.reason is not None:
        yield late.reason


def _failure(result: ThresholdResult) -> str:
    what = f"{result.metric}{f' of {result.queue}' if result.queue else ''} {result.expr}"
    observed = _shown(result)
    if math.isnan(result.observed):
        return f"{what}: {result.note}"
    note = "" if result.note.startswith("observed") else f" ({result.note})"
    return f"{what} does not hold: {observed}{note}"


def _shown(result: ThresholdResult) -> str:
    value = result.observed
    if result.metric == "errors":
        return format_percent(value)
    if result.metric == "throughput":
        return format_rate(value)
    if result.metric in ("dropped", "lost", "dead", "duplicated"):
        return f"{value:.0f}"
    return format_duration(value)


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
