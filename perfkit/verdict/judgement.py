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
from perfkit.verdict.saturation import saturation
from perfkit.verdict.thresholds import ThresholdResult, evaluate_thresholds, thresholds_of

__all__ = ["Status", "TrialVerdict", "Verdict", "judge", "trials"]

Status = Literal["PASS", "FAIL", "INCONCLUSIVE", "INVALID"]

_WORST_FIRST: Final[tuple[Status, ...]] = ("INVALID", "FAIL", "INCONCLUSIVE", "PASS")
_OBSERVED: Final = "no thresholds: observed, not inferred"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialVerdict:
    """One trial, judged."""

    trial: int
    label: str
    status: Status
    saturated: bool
    capacity_per_s: float  # NaN unless saturated
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
    several = len(judged) > 1
    for each in judged:
        prefix = f"{each.label or f'trial {each.trial}'}: " if several else ""
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
    if state.saturated:
        reasons.append(
            f"SATURATED: it does not sustain the offered {format_rate(facts.offered_per_s)}, "
            f"its capacity is {format_rate(state.throughput_per_s)}: {'; '.join(state.reasons)}"
        )
    elif not reasons and thresholds_of(run, trial):
        reasons = ["every threshold holds: observed, not inferred"]
    return TrialVerdict(
        trial=trial,
        label=facts.label,
        status=status,
        saturated=state.saturated,
        capacity_per_s=state.capacity_per_s,
        reasons=tuple(reasons),
    )


def _invalid(run: StoredRun, trial: int) -> Iterator[str]:
    yield from disagreements(run, trial)
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
    """`perfkit.frames.trials` with the column ``saturated`` (bool) after ``backlog_end``."""
    table = frames.trials(run)
    states = [saturation(run, trial).saturated for trial in run.trials]
    place = list(table.columns).index("backlog_end") + 1
    table.insert(place, "saturated", pd.Series(states, index=table.index, dtype="bool"))
    return table
