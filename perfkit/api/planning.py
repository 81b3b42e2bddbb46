"""Scenarios and plans, described."""

from __future__ import annotations

from typing import Any

from perfkit.plan import Plan
from perfkit.scenario import (
    Scenario,
    blotted,
    builtins,
    cautions,
    load_document,
    load_words,
    parse,
    settings_of,
)
from perfkit.units import format_duration, format_rate

__all__ = ["plan_document", "plan_text", "scenarios"]


def scenarios() -> dict[str, Scenario]:
    """The built-in scenarios by name."""
    return {name: parse(load_document(name)[0], name) for name in builtins()}


def _load_words(scenario: Scenario) -> str:
    load, offered = scenario.load, format_rate(scenario.offered_per_s)
    arrivals = f"{load.arrivals}, exact" if load.exact else load.arrivals
    if load.trace is not None:
        return f"open, {load_words(load)} (mean {offered})"
    if load.phase:
        if load.model == "open":
            return f"open, {arrivals}, {load_words(load)} (mean {offered})"
        return f"closed, {load_words(load)}, at most {offered} on average"
    if load.model == "open":
        return f"open, {arrivals}, {offered}"
    return f"closed, {load.users} users, at most {offered}"


def _system_words(scenario: Scenario) -> str:
    if not scenario.has_stack and scenario.target is not None:
        return f"{scenario.target.origin}, nothing is started"
    settings = settings_of(scenario)
    counts = f"{settings.workers} workers, {settings.slots} slots"
    return f"{counts} ({settings.preset}, Redis {scenario.redis.profile})"


def plan_text(plan: Plan) -> str:
    """A table of the trials and the time they take."""
    lines = []
    for trial in plan.trials:
        window = trial.scenario.window
        lines.append(
            f"{trial.index:>3}  {trial.scenario.name}  {trial.label}  seed {trial.seed}  "
            f"{_load_words(trial.scenario)}; {_system_words(trial.scenario)}; "
            f"warm-up {format_duration(trial.scenario.window_start_ns)}, "
            f"window {format_duration(trial.scenario.window_ns)}, "
            f"drain at most {format_duration(window.drain_ns)}"
        )
    lines += [f"     warning: {words}" for words in _cautions(plan)]
    count = f"{len(plan.trials)} trial{'' if len(plan.trials) == 1 else 's'}"
    lines.append(f"{count}, {format_duration(plan.least_ns)} to {format_duration(plan.most_ns)}")
    return "\n".join(lines)


def _cautions(plan: Plan) -> list[str]:
    """What will make a scenario's numbers worth less, once each."""
    found = [
        f"{trial.scenario.name}: {words}"
        for trial in plan.trials
        for words in cautions(trial.scenario)
    ]
    return list(dict.fromkeys(found))


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan as JSON's types."""
    return {
        "name": plan.name,
        "least_s": plan.least_ns / 1e9,
        "most_s": plan.most_ns / 1e9,
        "warnings": _cautions(plan),
        "trials": [
            {
                "trial": trial.index,
                "scenario": trial.scenario.name,
                "label": trial.label,
                "axes": dict(trial.axes),
                "repetition": trial.repetition,
                "seed": trial.seed,
                "reason": trial.reason,
                "document": blotted(trial.document)[0],
            }
            for trial in plan.trials
        ],
    }
