"""Load: what was asked for, what came due, and what came of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, Final

import pandas as pd

from perfkit.figures.chart import Axis, Chart, Line, Panel, numbers
from perfkit.figures.multiples import drawn, each, sound, span
from perfkit.figures.naming import words_of_trials
from perfkit.figures.style import FLOWS
from perfkit.units import format_rate

__all__ = ["CLOSED", "TIME", "load_line", "offered", "throughput"]

CLOSED: Final = (
    "In a closed model a slow reply delays the requests after it, so the load gives way to the"
    " stack and latency leaves out the wait of requests that were never made."
)

_FLOWS = (
    ("offered", "intended_per_s", "dash"),
    ("done", "done_per_s", "solid"),
    ("failed", "failed_per_s", "dot"),
)
TIME = Axis(title="seconds since load began")


def throughput(
    timeline: pd.DataFrame, trials: pd.DataFrame, windows: pd.DataFrame | None = None
) -> Chart:
    """Jobs that came due and jobs done in each second, a panel a trial.

    Args:
        timeline: ``across(trials, run.timeline)``.
        trials: ``run.trials()``.
        windows: the stretches to shade.
    """
    title = _finding(trials)
    words = words_of_trials(trials)
    reading = (
        f"Where the green line follows the dashed one, the {words.system} keeps up with what is"
        " asked."
    )
    if timeline.empty:
        return Chart(
            title=title, reading=reading, empty="No request came due, so there is no rate."
        )
    panels = []
    for part in each(timeline):
        lines = tuple(
            Line(
                name=name,
                x=_ended(tuple(part.rows["at_s"].astype(float))),
                y=(*(rates := numbers(part.rows[column])), rates[-1]),
                colour=FLOWS[name],
                dash="dash" if dash == "dash" else "dot" if dash == "dot" else "solid",
                step=True,  # a rate holds for the whole of its second
            )
            for name, column, dash in _FLOWS
            if name != "failed" or part.rows[column].fillna(0).gt(0).any()
        )
        panels.append(
            Panel(
                title=part.title,
                x=TIME,
                y=Axis(title=f"{words.things} per second", zero=True),
                marks=(*span(windows, part.trial), *lines),
            )
        )
    reading += drawn(timeline["trial"].nunique())
    return Chart(title=title, reading=reading, panels=tuple(panels))


def _ended(starts: tuple[float, ...]) -> tuple[float, ...]:
    """Starts of steps of one length, and the end of the last, which else had no length."""
    return (*starts, starts[-1] + (starts[1] - starts[0] if len(starts) > 1 else 1.0))


def offered(row: Any) -> str:
    """The load that was asked for; in a closed model it is the most that users would make.

    Args:
        row: a row of ``run.trials()``.
    """
    rate = format_rate(float(row["offered_per_s"]))
    known = not math.isnan(float(row["offered_per_s"]))
    return f"≤ {rate}" if known and row["model"] == "closed" else rate


def load_line(trials: pd.DataFrame, facts: Callable[[int], Mapping[str, Any]]) -> str:
    """Model, users, and the load asked for beside the one that came due, in a sentence.

    Args:
        trials: ``run.trials()``.
        facts: ``run.trial_facts``.
    """
    kinds: dict[str, list[float]] = {}
    for _, row in trials.iterrows():
        rate = format_rate(float(row["offered_per_s"]))
        if row["model"] == "closed":
            users = facts(int(row["trial"])).get("users")
            most = "" if math.isnan(float(row["offered_per_s"])) else f", at most {rate}"
            kind = f"closed model{f', {users} users' if users else ''}{most}"
        else:
            kind = f"open model, {rate} offered"
        kinds.setdefault(kind, []).append(float(row["due_per_s"]))
    said = [f"{kind}, {_range(due)} came due" for kind, due in kinds.items()]
    if not said:
        return "Load: none."
    more = f" {CLOSED}" if (trials["model"] == "closed").any() else ""
    return f"Load: {'; '.join(said)}.{more}"


def _range(rates: list[float]) -> str:
    least, most = format_rate(min(rates)), format_rate(max(rates))
    return least if least == most else f"{least} to {most}"


def _finding(trials: pd.DataFrame) -> str:
    if trials.empty:
        return "No trial was measured"
    known, rest = sound(trials)
    if known.empty:
        return f"No trial to judge by{rest}" if rest else "No load was offered"
    several = len(known) > 1 or bool(rest)
    count = {state: int((known["state"] == state).sum()) for state in ("carried", "undecided")}
    short = known[known["state"] == "saturated"]
    if len(short) == 0:
        due = f"the {_range(list(known['due_per_s']))} that came due"
        if count["undecided"]:
            who = (
                f"{count['undecided']} of {len(known)} trials"
                if several
                else f"the {words_of_trials(trials).system}"
            )
            verb = "keeps" if count["undecided"] == 1 else "keep"
            return f"Not decided whether {who} {verb} up with {due}{rest}"
        who = f"{len(known)} trials keep" if rest else "Every trial keeps"
        return f"{who if len(known) > 1 else _one(known, several, 'keeps')} up with {due}{rest}"
    row = short.assign(part=short["throughput_per_s"] / short["due_per_s"])
    row = row.sort_values("part").iloc[:1]
    done, due = (
        format_rate(float(row[name].iloc[0])) for name in ("throughput_per_s", "due_per_s")
    )
    more = f"; {count['carried']} of {len(known)} trials keep up" if count["carried"] else ""
    more += f"; {count['undecided']} undecided" if count["undecided"] else ""
    return f"{_one(row, several, 'finishes')} {done} of the {due} that came due{more}{rest}"


def _one(row: pd.DataFrame, named: bool, verb: str) -> str:
    return f"{row['title'].iloc[0] if named else f'The {words_of_trials(row).system}'} {verb}"
