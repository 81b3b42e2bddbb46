"""One name for each trial of a run, wherever a person reads of it."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from perfkit.store import StoredRun, TrialFacts

__all__ = ["Arm", "arms", "repetitions", "titles"]


def titles(run: StoredRun) -> dict[int, str]:
    """The name of each trial that has data, different for any two of them.

    Its label; the scenario before it where the run has several, and ``#2`` (of the repetition)
    after it where the run has repetitions. A trial without a label has the scenario's name.
    """
    facts = [run.facts(trial) for trial in run.trials]
    several = len({each.scenario for each in facts}) > 1
    repeated = any(each.repetition for each in facts)

    def title(each: TrialFacts) -> str:
        # A trial without axes has its scenario's name for a label: once is enough.
        label = "" if each.label == each.scenario else each.label
        parts = [each.scenario] if several or not label else []
        name = ", ".join([*parts, label] if label else parts)
        return f"{name} #{each.repetition + 1}" if repeated else name

    names = {each.trial: title(each) for each in facts}
    often = Counter(names.values())
    return {
        trial: name if often[name] == 1 else f"{name} (trial {trial})"
        for trial, name in names.items()
    }


class Arm(NamedTuple):
    """What trials have in common that differ in the number of workers, or the repetition, alone."""

    scenario: str
    axes: str  # the other axes as text, "preset=stock, rate=90"; "" without any


def arms(run: StoredRun) -> dict[int, Arm]:
    """The arm of each trial that has data."""
    return {trial: _arm(run.facts(trial)) for trial in run.trials}


def repetitions(run: StoredRun) -> list[list[int]]:
    """Trials with data that differ in the repetition alone, in the order of the first of each."""
    found: dict[tuple[str, str, str], list[int]] = {}
    for trial in run.trials:
        facts = run.facts(trial)
        asked = (facts.scenario, facts.label, repr(sorted(facts.axes.items())))
        found.setdefault(asked, []).append(trial)
    return list(found.values())


def _arm(facts: TrialFacts) -> Arm:
    short = {key: key.rpartition(".")[2] for key in facts.axes}
    names = list(short.values())
    others = [
        f"{name if names.count(name) == 1 else key}={facts.axes[key]}"
        for key, name in short.items()
        if name != "workers"
    ]
    return Arm(facts.scenario, ", ".join(others))
