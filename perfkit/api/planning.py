"""Scenarios and plans, described."""

from __future__ import annotations

from typing import Any

from perfkit.plan import Plan
from perfkit.scenario import Scenario, blotted, builtins, load_document, parse, settings_of
from perfkit.units import format_duration, format_rate

__all__ = ["plan_document", "plan_text", "scenarios"]


def scenarios() -> dict[str, Scenario]:
    """The built-in scenarios by name."""
    return {name: parse(load_document(name)[0], name) for name in builtins()}


def _load_words(scenario: Scenario) -> str:
    load, offered = scenario.load, format_rate(scenario.offered_per_s)
    if load.phase:
        unit = "jobs/s" if load.model == "open" else "users"
        levels = ", ".join(f"{phase.level:g}" for phase in load.phase)
        if load.model == "open":
            return f"open, {load.arrivals}, {levels} {unit} (mean {offered})"
        return f"closed, {levels} {unit}, at most {offered} on average"
    if load.model == "open":
        return f"open, {load.arrivals}, {offered}"
    return f"closed, {load.users} users, at most {offered}"


def plan_text(plan: Plan) -> str:
    """A table of the trials and the time they take."""
    lines = []
    for trial in plan.trials:
        settings, window = settings_of(trial.scenario), trial.scenario.window
        lines.append(
            f"{trial.index:>3}  {trial.scenario.name}  {trial.label}  seed {trial.seed}  "
            f"{_load_words(trial.scenario)}; {settings.workers} workers, {settings.slots} slots "
            f"({settings.preset}, Redis {trial.scenario.redis.profile}); "
            f"warm-up {format_duration(trial.scenario.window_start_ns)}, "
            f"window {format_duration(trial.scenario.window_ns)}, "
            f"drain at most {format_duration(window.drain_ns)}"
        )
    count = f"{len(plan.trials)} trial{'' if len(plan.trials) == 1 else 's'}"
    lines.append(f"{count}, {format_duration(plan.least_ns)} to {format_duration(plan.most_ns)}")
    return "\n".join(lines)


def plan_document(plan: Plan) -> dict[str, Any]:
    """The plan as JSON's types."""
    return {
        "name": plan.name,
        "least_s": plan.least_ns / 1e9,
        "most_s": plan.most_ns / 1e9,
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
