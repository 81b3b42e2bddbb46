"""What was broken on purpose and what it cost, in a sentence each."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from perfkit.store import StoredRun, TrialFacts
from perfkit.store.facts import FaultEvent
from perfkit.units import format_count, format_duration, format_percent
from perfkit.verdict.recovering import Recovery, recoveries

__all__ = ["broken"]

_MOST: Final = 3  # told one by one; more are counted
_ALIKE: Final = 0.1  # of a latency: a difference below it is none
_DONE: Final = {
    "kill": "killed",
    "stop": "stopped",
    "terminate": "told to stop",
    "restart": "restarted",
    "pause": "paused",
    "fill": "filled up",
    "cut": "cut",
    "slow": "slowed down",
    "outage": "out of order",
    "poison": "given a job that kills its worker",
}
_NAMES: Final = {
    "worker": "a worker",
    "workers": "all workers",
    "redis": "Redis",
    "ingest": "the ingest",
    "supervisor": "the master of the workers",
    "gateway": "the gateway",
}


def broken(run: StoredRun, trial: int) -> list[str]:
    """One sentence for each fault of a trial, without a full stop; of many the first three.

    What was not carried out comes first: everything else is read differently then.
    """
    facts = run.facts(trial)
    pairs = list(zip(facts.faults, recoveries(run, trial), strict=True))
    pairs.sort(key=lambda pair: pair[0].done_ns is not None)
    found = [_sentence(facts, fault, each) for fault, each in pairs]
    if len(found) <= _MOST:
        return found
    return [*found[:_MOST], f"and {format_count(len(found) - _MOST)} more faults"]


def _sentence(facts: TrialFacts, fault: FaultEvent, cost: Recovery) -> str:
    if fault.done_ns is None:
        why = f": {fault.error}" if fault.error else ""
        return f"{fault.action} {fault.target} {_when(facts, fault.at_ns)} was not done{why}"
    who, many = _who(fault)
    length = ""
    if fault.ended_ns is not None and fault.ended_ns > fault.done_ns:
        length = f" for {format_duration(fault.ended_ns - fault.done_ns)}"
    verb = f"{'were' if many else 'was'} {_DONE.get(fault.action, fault.action)}"
    said = f"{who} {verb} {_when(facts, fault.done_ns)}{length}: {', '.join(_costs(cost))}"
    return "; ".join([said, *_latency(cost), *_backlog(cost)])


def _who(fault: FaultEvent) -> tuple[str, bool]:
    head, _, name = fault.target.partition(":")
    if head in ("worker", "workers") and fault.victims:
        *first, last = fault.victims
        return (f"{', '.join(first)} and {last}" if first else last), bool(first)
    if head == "worker" and name:
        return name, False
    if head == "gateway" and name:
        return f"the gateway of {name}", False
    if head == "queue":
        return f"the queue {name}", False
    return _NAMES.get(head, f"the connection {fault.target}"), head == "workers"


def _when(facts: TrialFacts, at_ns: int) -> str:
    """From the start of the window, as faults are planned."""
    at_s = round((at_ns - facts.instants.window_start) / 1e9, 1)
    return f"at {at_s:g} s" if at_s >= 0 else f"{-at_s:g} s before the window"


def _costs(cost: Recovery) -> Iterator[str]:
    if cost.redelivered:
        after = format_duration(cost.time_to_first_redelivery_s * 1e9)
        yield f"{_jobs(cost.redelivered)} redelivered after {after}"
    else:
        yield "no job redelivered"
    yield f"{format_count(cost.lost)} lost"
    yield f"{format_count(cost.duplicated)} ran twice"
    if cost.stranded:
        yield f"{format_count(cost.stranded)} stranded"
    if cost.dead:
        yield f"{format_count(cost.dead)} dead"
    if cost.ingest_availability < 1:
        yield f"{format_percent(cost.ingest_availability)} of requests accepted"


def _jobs(count: float) -> str:
    return f"{format_count(count)} job{'' if count == 1 else 's'}"


def _latency(cost: Recovery) -> Iterator[str]:
    before, during = cost.p99_before_ns, cost.p99_during_ns
    if math.isnan(before) or math.isnan(during) or math.isinf(before):
        return
    if math.isinf(during):
        yield f"P99 rose from {format_duration(before)} beyond the end of the trial"
    elif abs(during - before) <= _ALIKE * before:
        yield f"P99 stayed at {format_duration(during)}"
    else:
        verb = "rose" if during > before else "fell"
        yield f"P99 {verb} from {format_duration(before)} to {format_duration(during)}"


def _backlog(cost: Recovery) -> Iterator[str]:
    back = cost.backlog_recovered_s
    if math.isinf(back):
        yield "the backlog did not come back"
    elif back > 0:
        yield f"the backlog was back after {format_duration(back * 1e9)}"
