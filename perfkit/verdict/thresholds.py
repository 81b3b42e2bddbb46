"""Targets of the scenario against what was observed."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from perfkit.frames import session, spans_of
from perfkit.scenario import Expression, Threshold, unit_of, with_values
from perfkit.store import StoredRun, TrialFacts
from perfkit.units import format_rate
from perfkit.verdict.observing import Observed, observe
from perfkit.verdict.sustaining import Saturation, saturation
from perfkit.verdict.watching import applies

__all__ = ["OBSERVED", "ThresholdResult", "evaluate_thresholds"]

OBSERVED: Final = "observed, not inferred"
_STEADY: Final = ("latency", "response", "queue_wait", "added")
"""Metrics that have no steady state while a backlog grows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdResult:
    """One target in one trial; limits and ``observed`` are in ``unit``."""

    trial: int
    label: str
    metric: str
    queue: str | None
    expr: str
    over: str  # "window", "steady" (without its ramps), or the name of a phase
    unit: str  # duration (ns), share, rate (per second), count, bytes; number: of user code
    limit: float  # of a range the low end
    limit_high: float | None  # the other end of a range
    observed: float  # NaN where there was nothing to observe
    n: int  # values behind it
    applicable: bool  # whether it is meant for so much load; if not, it holds and proves nothing
    holds: bool
    margin: float  # share of the limit that is left, negative beyond it; a difference at limit 0
    claimed: str | None  # what somebody said of it before
    note: str


def thresholds_of(run: StoredRun, trial: int) -> list[Threshold]:
    """The targets of one trial, as it was run: with its axes, and all that was set by hand."""
    document = run.trial_facts(trial).get("document")
    if document is None:
        # Simulated runs have only what the manifest says of the scenario's file.
        facts = run.facts(trial)
        document = run.manifest["scenarios"].get(facts.scenario, {}).get("document", {})
        document = with_values(document, facts.axes)
    return [Threshold(**each) for each in document.get("threshold", [])]


def evaluate_thresholds(run: StoredRun, trial: int | None = None) -> list[ThresholdResult]:
    """Judge the observed values of one trial, or of all; nothing is inferred.

    Durations are over the cohort, unfinished jobs as +infinity; throughput over the window;
    ``errors`` is the share of what was sent of the cohort whose job was not done by the end of the
    drain: refused, no answer, dead, lost, but also pending and stranded. A job that was done is no
    error even if its request got no answer (a phantom). Counts are over the whole trial. Telemetry
    is what was sampled in the window, see `perfkit.frames.gauge`.

    ``over`` narrows all of them to a part of the window: jobs intended in it, or done in it for
    throughput. What needs more load than was offered is observed, and not judged.
    """
    trials = run.trials if trial is None else (trial,)
    return [result for each in trials for result in _of_trial(run, each)]


@functools.lru_cache(maxsize=64)
def _of_trial(run: StoredRun, trial: int) -> tuple[ThresholdResult, ...]:
    return tuple(_results(run, trial))


def _results(run: StoredRun, trial: int) -> Iterator[ThresholdResult]:
    targets = thresholds_of(run, trial)
    if not targets:
        return
    facts = run.facts(trial)
    state = saturation(run, trial)
    with session(run, trial) as sql:
        for target in targets:
            spans = spans_of(facts, target.over)
            found = observe(run, trial, sql, target, spans)
            yield _judged(facts, state, target, found)


def _judged(
    facts: TrialFacts, state: Saturation, target: Threshold, found: Observed
) -> ThresholdResult:
    parsed = target.parsed
    applicable = applies(target, facts.offered_per_s)
    unsteady = target.metric in _STEADY and state.unsteady(target.over)
    aborted = facts.aborted if facts.aborted and facts.aborted.threshold == str(target) else None
    observed = found.value if aborted is None else aborted.observed
    if not applicable:
        note = (
            f"not applicable at this load (offered {format_rate(facts.offered_per_s)}, "
            f"needs more than {format_rate(target.needs_offered_per_s or 0.0)})"
        )
    elif aborted is not None:
        note = "it stopped the trial"
    elif facts.outcome != "complete":
        note = "the trial was cut short: not judged"
    elif unsteady:
        note = "the trial did not sustain its load: there is no steady state"
    elif math.isnan(observed):
        note = found.note or "there was nothing to observe"
    else:
        note = found.note or OBSERVED
    return ThresholdResult(
        trial=facts.trial,
        label=facts.label,
        metric=target.metric,
        queue=target.request or target.queue,
        expr=target.expr,
        over=target.over,
        unit=unit_of(target.metric),
        limit=parsed.limit,
        limit_high=parsed.high,
        observed=observed,
        n=found.n,
        applicable=applicable,
        holds=not applicable or (parsed.holds(observed) and not unsteady and aborted is None),
        margin=_margin(parsed, observed),
        claimed=target.claimed,
        note=note,
    )


def _margin(expression: Expression, observed: float) -> float:
    limit, high = expression.limit, expression.high
    if high is not None:
        return min(_left(observed - limit, limit), _left(high - observed, high))
    match expression.operator:
        case "<" | "<=":
            return _left(limit - observed, limit)
        case ">" | ">=":
            return _left(observed - limit, limit)
        case _:
            return _left(-abs(observed - limit), limit)


def _left(difference: float, limit: float) -> float:
    return (difference / abs(limit) if limit else difference) + 0.0  # no minus nought
