"""Trials that may be compared, put together: a number of workers carries only if it always did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from perfkit.frames import Arm, arms
from perfkit.store import StoredRun
from perfkit.units import format_count, format_rate

__all__ = ["Group", "by_scenario", "carried", "chosen"]

_MOST_ARMS: Final = 3  # told one by one; more are counted


@dataclass(frozen=True, slots=True)
class Group:
    """The repeats of one number of workers under one load, all else being equal."""

    arm: Arm
    offered_per_s: float
    users: int | None  # of a closed model
    workers: int
    rows: pd.DataFrame  # of `perfkit.verdict.trials`

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
        return f"{self.workers} worker{'' if self.workers == 1 else 's'}"

    @property
    def load(self) -> str:
        """What was asked for."""
        if self.users is None:
            return format_rate(self.offered_per_s)
        return f"{format_count(self.users)} users (at most {format_rate(self.offered_per_s)})"

    def refused(self) -> str:
        """That it did not sustain its load, and what it did instead."""
        count = int(self.rows["saturated"].sum())
        often = f" in {count} of {len(self.rows)} repeats" if len(self.rows) > 1 else ""
        does = self.rows.loc[self.rows["saturated"], "throughput_per_s"].median()
        return f"{self.who} did not sustain {self.load}{often} and did {format_rate(does)}"


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
        users = None
        if rows.iloc[0]["model"] == "closed":
            users = run.trial_facts(int(rows.iloc[0]["trial"])).get("users") or 0
        found.setdefault(arm.scenario, []).append(Group(arm, offered, users, workers, rows))
    return found


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
