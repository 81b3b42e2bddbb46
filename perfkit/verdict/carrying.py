"""Trials that may be compared, put together: a number of workers carries only if it always did."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from perfkit.frames import Arm, arms, force, recovery_s
from perfkit.store import StoredRun
from perfkit.units import format_count, format_duration, format_rate
from perfkit.verdict.showing import level_words
from perfkit.verdict.sustaining import saturation

__all__ = ["Group", "by_scenario", "carried", "chosen"]

_MOST_ARMS: Final = 3  # told one by one; more are counted


@dataclass(frozen=True, slots=True)
class Group:
    """The repeats of one number of workers under one load, all else being equal."""

    arm: Arm
    offered_per_s: float
    users: int | None  # of a closed model
    workers: int  # at the start
    least: int  # while it ran
    most: int
    rows: pd.DataFrame  # of `perfkit.verdict.trials`
    levels: dict[float, set[str]]  # of a load with phases: what became of each level, low to high
    recovered_s: tuple[float, ...]  # after the peak, of the repeats that did not sustain it

    @property
    def state(self) -> str:
        """Saturated if any repeat was, carried if all did, else undecided."""
        states = set(self.rows["state"])
        if "saturated" in states:
            return "saturated"
        return "carried" if states == {"carried"} else "undecided"

    @property
    def middle(self) -> Any:
        """The repeat whose P95 is in the middle."""
        ordered = self.rows.sort_values("p95_ns", kind="stable")
        return ordered.iloc[(len(ordered) - 1) // 2]

    @property
    def who(self) -> str:
        """How many workers, in words."""
        if self.least < self.most:
            return f"{self.least} to {self.most} workers"
        return f"{self.workers} worker{'' if self.workers == 1 else 's'}"

    @property
    def load(self) -> str:
        """What was asked for."""
        if self.levels:
            return f"up to {self._level(max(self.levels))}"
        if self.users is None:
            return format_rate(self.offered_per_s)
        return f"{format_count(self.users)} users (at most {format_rate(self.offered_per_s)})"

    def refused(self) -> str:
        """That it did not sustain its load, and what it did instead."""
        if self.levels:
            return self._refused_level()
        count = int(self.rows["saturated"].sum())
        often = f" in {count} of {len(self.rows)} repeats" if len(self.rows) > 1 else ""
        does = self.rows.loc[self.rows["saturated"], "throughput_per_s"].median()
        return f"{self.who} did not sustain {self.load}{often} and did {format_rate(does)}"

    def _refused_level(self) -> str:
        """The lowest level that was not carried, and the highest below it that was."""
        bad = [level for level, states in self.levels.items() if "saturated" in states]
        if not bad:
            return f"{self.who} did not sustain {self.load}"
        good = [
            level
            for level, states in self.levels.items()
            if states == {"carried"} and 0 < level < min(bad)
        ]
        after = "".join(f"; {each}" for each in self._recovery())
        if not good:
            return f"{self.who} did not sustain {self._level(min(bad))}{after}"
        they = "it" if self.most == 1 else "they"
        carried = f"{self.who} carried {self._level(max(good))}"
        return f"{carried}; at {self._level(min(bad))} {they} did not{after}"

    def _recovery(self) -> Iterator[str]:
        if not self.recovered_s:
            return
        middle = statistics.median_high(self.recovered_s)
        if math.isinf(middle):
            yield "the backlog of the peak was not gone at the end"
        elif middle > 0:
            yield f"recovered {format_duration(middle * 1e9)} after the peak"
        else:
            yield "the backlog was gone when the peak ended"

    def _level(self, level: float) -> str:
        return level_words(level, "jobs/s" if self.users is None else "users")


def by_scenario(run: StoredRun, table: pd.DataFrame) -> dict[str, list[Group]]:
    """The groups of each scenario, in the order of the trials."""
    known = arms(run)
    members: dict[tuple[Arm, float, int, str], list[int]] = {}
    columns = (table[name].tolist() for name in ("trial", "offered_per_s", "workers", "label"))
    for place, (trial, offered, workers, label) in enumerate(zip(*columns, strict=True)):
        key = (known[trial], offered, workers, label)
        members.setdefault(key, []).append(place)
    found: dict[str, list[Group]] = {}
    for (arm, offered, workers, _), places in members.items():
        rows = table.iloc[places]
        found.setdefault(arm.scenario, []).append(_group(run, arm, offered, workers, rows))
    return found


def _group(
    run: StoredRun, arm: Arm, offered_per_s: float, workers: int, rows: pd.DataFrame
) -> Group:
    trials = [int(trial) for trial in rows["trial"]]
    facts = [run.facts(trial) for trial in trials]
    forces = [force(each) for each in facts]
    levels: dict[float, set[str]] = {}
    recovered = []
    for trial in trials:
        phases = saturation(run, trial).phases
        if len(phases) < 2:
            continue
        peak = max(each.phase.level for each in phases)
        for each in phases:
            levels.setdefault(each.phase.level, set()).add(each.state)
            if each.phase.level == peak and each.state == "saturated":
                recovered.append(recovery_s(run, trial))
    return Group(
        arm=arm,
        offered_per_s=offered_per_s,
        users=(facts[0].users or 0) if facts[0].model == "closed" else None,
        workers=workers,
        least=min(each.least for each in forces),
        most=max(each.most for each in forces),
        rows=rows,
        levels=dict(sorted(levels.items())),
        recovered_s=tuple(each for each in recovered if each is not None),
    )


def carried(groups: list[Group]) -> str:
    """Who carries the load of one scenario, as a clause without a full stop."""
    sets: dict[tuple[str, float], list[Group]] = {}
    for group in groups:
        sets.setdefault((group.arm.axes, group.offered_per_s), []).append(group)
    alike = any(len({each.workers for each in found}) < len(found) for found in sets.values())
    if len(sets) > _MOST_ARMS or alike:
        return _counted(groups)
    axes = {name for name, _ in sets}
    return "; ".join(
        (f"{name}: " if name and len(axes) > 1 else "") + _of_arm(each)
        for (name, _), each in sets.items()
    )


def _of_arm(groups: list[Group]) -> str:
    groups = sorted(groups, key=lambda each: each.workers)
    good = [each for each in groups if each.state == "carried"]
    bad = [each for each in groups if each.state == "saturated"]
    open_ = [each for each in groups if each.state == "undecided"]
    clauses = []
    if good:
        clauses.append(f"{good[0].who} carried {good[0].load}")
        if len(good) > 1 and not bad:
            clauses[-1] += "; so did more"
    if bad:
        most = max(bad, key=lambda each: float(each.rows["throughput_per_s"].median()))
        refused = most.refused()
        if len(groups) > 1 and not good and not open_:
            refused = f"no number of workers tried carried the load: {refused}"
        clauses.append(refused)
    if open_:
        who = ", ".join(each.who for each in open_)
        clauses.append(
            f"whether {who} can carry {open_[0].load} is not decided: lengthen the window"
        )
    return "; ".join(clauses)


def _counted(groups: list[Group]) -> str:
    def names(state: str) -> str:
        chosen = [each for each in groups if each.state == state]
        titles = [str(title) for each in chosen for title in each.rows["title"]]
        return ", ".join(titles) or "none"

    count = sum(len(each.rows) for each in groups if each.state == "carried")
    whole = sum(len(each.rows) for each in groups)
    said = f"{count} of {whole} trials carried their load; saturated: {names('saturated')}"
    undecided = names("undecided")
    return said if undecided == "none" else f"{said}; not decided: {undecided}"


def chosen(groups: list[Group]) -> Group:
    """The group to speak of: of those that carried the smallest; else undecided; else fastest."""
    for state in ("carried", "undecided"):
        if fitting := [each for each in groups if each.state == state]:
            return min(fitting, key=lambda each: each.workers)
    return max(groups, key=lambda each: float(each.rows["throughput_per_s"].median()))
