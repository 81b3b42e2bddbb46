"""Scaling: throughput, latency and efficiency against the number of workers.

Trials are compared only with those of their scenario that differ in nothing but the number of
workers; such a family is a line. Where every trial has as many workers, trials stand beside each
other by name instead; so do those of a server elsewhere, of whose workers nobody knows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from perfkit.figures.chart import (
    Axis,
    Chart,
    Line,
    Mark,
    Panel,
    Points,
    Rule,
    Table,
    numbers,
    time_ticks,
)
from perfkit.figures.multiples import PANELS, at_least, drawn, highest, lowest, sound, titles
from perfkit.figures.naming import words_of_trials
from perfkit.figures.style import FLOWS, PERCENTILES, trial_colours
from perfkit.units import format_count, format_ms, format_percent, format_rate

__all__ = ["against_workers", "latency_against_workers"]

_ONE: Final = "Sweep the number of workers to see how the stack scales."
_CLAUSES: Final = 4
_WORKERS: Final = "workers="
_RATES: Final = (
    ("offered", "offered_per_s", "grey", 1.0),
    ("came due", "due_per_s", "sky", 1.0),
    ("done", "throughput_per_s", FLOWS["done"], 1.0),
)


def against_workers(trials: pd.DataFrame) -> Chart:
    """Throughput and efficiency against workers, a line a family.

    Args:
        trials: ``run.trials()``.
    """
    reading = (
        "Throughput: jobs finished a second; dashed is the load offered. Efficiency: throughput of"
        " one worker, relative to the trial with the fewest of the same line; it is left out where"
        " the offered load was the limit, not the workers."
    )
    if len(trials) < 2:
        return Chart(title="One trial: nothing to compare", reading=reading, empty=_ONE)
    if _alike(trials):
        counted = "requests accepted" if _unknown(trials) else "jobs finished"
        why = "" if _unknown(trials) else " Every trial has as many workers."
        things = words_of_trials(trials).things
        return Chart(
            title=_finding(trials),
            reading=f"Throughput: {counted} a second, beside what was offered and what of that"
            f" came due.{why}",
            panels=(_rows(trials, _RATES, Axis(title=f"{things}/s", zero=True)),),
            table=_scaling_table(trials),
            height=_height(trials),
        )
    families = list(_families(trials))
    if len(families) > _CLAUSES:
        return Chart(
            title=_finding(trials),
            reading="Throughput: jobs finished a second, a panel for each way to set the stack up;"
            f" dashed is the load offered.{drawn(len(families), 'ways')}",
            panels=tuple(_family_panel(family, trials) for family in families[:PANELS]),
            table=_scaling_table(trials),
        )
    placed, x = _placed(trials)
    loads = sorted({float(value) for value in trials["offered_per_s"].dropna() if value > 0})
    rate: list[Mark] = [Rule(y=level, label=f"offered {format_rate(level)}") for level in loads[:3]]
    efficiency: list[Mark] = []
    families = list(_families(placed))
    for family, colour in zip(families, trial_colours(len(families)), strict=True):
        name = family.name or family.scenario
        rate += _series(family.rows, "throughput_per_s", name, colour)
        efficiency += _series(family.rows, "efficiency", name, colour, scale=100.0)
    return Chart(
        title=_finding(trials),
        reading=reading,
        panels=(
            Panel(title="throughput", x=x, y=Axis(title="jobs/s", zero=True), marks=tuple(rate)),
            Panel(title="efficiency", x=x, y=Axis(title="%", zero=True), marks=tuple(efficiency)),
        ),
        shared=False,
    )


def latency_against_workers(trials: pd.DataFrame, windows: pd.DataFrame | None = None) -> Chart:
    """P50, P95 and P99 of latency against workers, a panel a family.

    Args:
        trials: ``run.trials()``.
        windows: ``windows(trials, run.trial_facts)``; it bounds what is infinite.
    """
    reading = (
        f"From the intended time, over {_counted(trials)} a trial; the scale of"
        " time is logarithmic. A saturated trial's latency grows with the length of the run."
    )
    if trials.empty:
        return Chart(title="No trial was measured", reading=reading, empty=_ONE)
    ticks = time_ticks(
        value for name in PERCENTILES for value in numbers(trials[f"{name}_ns"], 1e-6)
    )
    if _alike(trials):
        series = tuple((n.upper(), f"{n}_ns", colour, 1e-6) for n, colour in PERCENTILES.items())
        axis = Axis(title="latency", scale="log", ticks=ticks)
        return Chart(
            title=_latency_finding(trials, windows),
            reading=reading,
            panels=(_rows(trials, series, axis),),
            table=_table(trials),
            height=_height(trials),
        )
    placed, x = _placed(trials)
    panels = []
    families = list(_families(placed))
    for family in families[:PANELS]:
        marks: list[Mark] = []
        for name, colour in PERCENTILES.items():
            marks += _series(family.rows, f"{name}_ns", name.upper(), colour, scale=1e-6)
        panels.append(
            Panel(
                title=family.name,
                x=x,
                y=Axis(title="latency", scale="log", ticks=ticks),
                marks=tuple(marks),
            )
        )
    if len(families) > PANELS:
        reading += f" {PANELS} of {len(families)} lines are drawn; the table has all."
    return Chart(
        title=_latency_finding(trials, windows),
        reading=reading,
        panels=tuple(panels),
        table=_table(trials),
    )


def _alike(trials: pd.DataFrame) -> bool:
    """Whether trials have nothing to stand along but their names, and too many for a line."""
    is_one = bool(trials["workers"].nunique() == 1)
    return _unknown(trials) or (is_one and len(trials) > _CLAUSES)


def _unknown(trials: pd.DataFrame) -> bool:
    """Whether of no trial the number of workers is known."""
    return bool(trials["workers"].isna().all())


def _rows(trials: pd.DataFrame, series: tuple[tuple[str, str, str, float], ...], x: Axis) -> Panel:
    """A dot a value, a row a trial, the first at the top: long names have room at the side."""
    names = list(titles(trials).values())
    places = tuple(float(len(names) - 1 - place) for place in range(len(names)))
    ticks = tuple((place, name) for place, name in zip(places, names, strict=True))
    marks = []
    for name, of, colour, scale in series:
        # What is not known, or infinite, has no place on an axis; the table has it.
        known = [
            (value, place)
            for value, place in zip(numbers(trials[of], scale), places, strict=True)
            if value is not None
        ]
        if known:
            values, rows = zip(*known, strict=True)
            marks.append(Points(name=name, x=values, y=rows, colour=colour))
    return Panel(x=x, y=Axis(title="", ticks=ticks), marks=tuple(marks))


def _height(trials: pd.DataFrame) -> int:
    return 40 + 22 * len(trials)


def _family_panel(family: _Family, trials: pd.DataFrame) -> Panel:
    """Throughput of one family, and the load that it was offered."""
    placed, x = _placed(trials)
    rows = placed[placed["trial"].isin(family.rows["trial"])]
    loads = sorted({float(value) for value in rows["offered_per_s"].dropna() if value > 0})
    rules = [Rule(y=level, label=f"offered {format_rate(level)}") for level in loads[:2]]
    dots = _series(rows, "throughput_per_s", "throughput", FLOWS["done"])
    title = family.name or family.scenario
    return Panel(title=title, x=x, y=Axis(title="jobs/s", zero=True), marks=(*rules, *dots))


def _scaling_table(trials: pd.DataFrame) -> Table:
    if _unknown(trials):
        return Table(
            columns=("trial", *(name for name, *_ in _RATES)),
            rows=tuple(
                (str(row["title"]), *(format_rate(float(row[of])) for _, of, *_ in _RATES))
                for _, row in trials.iterrows()
            ),
        )
    rows = [
        (
            str(row["title"]),
            format_count(float(row["workers"])),
            *(format_rate(float(row[of])) for _, of, *_ in _RATES),
            format_percent(float(row["efficiency"]), 0),
        )
        for _, row in trials.iterrows()
    ]
    return Table(
        columns=("trial", "workers", *(name for name, *_ in _RATES), "efficiency"),
        rows=tuple(rows),
        note="Efficiency: throughput of one worker, relative to the fewest; n/a where the offered"
        " load was the limit.",
    )


@dataclass(frozen=True, slots=True)
class _Family:
    """Trials that differ in the number of workers, and in repetition, alone."""

    scenario: str
    name: str  # empty where there is only one
    rows: pd.DataFrame


def _families(trials: pd.DataFrame) -> Iterator[_Family]:
    others = [_others(row["label"], row["scenario"]) for _, row in trials.iterrows()]
    keyed = trials.assign(others=others)
    # Trials alike in workers are told apart by place, so one line holds them all.
    alike = trials["workers"].nunique() == 1 and len(trials) > 1
    keys = ["scenario"] if alike else ["scenario", "others"]
    several = keyed["scenario"].nunique() > 1
    grouped = list(keyed.groupby(keys, sort=False))
    for key, rows in grouped:
        parts = [str(key[0])] if several else []
        parts += [str(each) for each in key[1:] if each]
        yield _Family(str(key[0]), ", ".join(parts) if len(grouped) > 1 else "", rows)


def _others(label: object, scenario: object) -> str:
    """A trial's label without its number of workers: all its other axes."""
    words = [word for word in str(label).split(" ") if not word.startswith(_WORKERS)]
    return "" if str(label) == str(scenario) else " ".join(words)


def _placed(trials: pd.DataFrame) -> tuple[pd.DataFrame, Axis]:
    """Trials with their place on the x axis, and that axis."""
    counts = sorted({int(value) for value in trials["workers"].dropna()})
    if len(counts) > 1 or (counts and len(trials) == 1):
        ticks = tuple((float(count), str(count)) for count in counts)
        axis = Axis(title="workers", ticks=ticks if len(ticks) <= 10 else ())
        return trials.assign(place=trials["workers"].astype(float)), axis
    ticks = tuple((float(place), name) for place, name in enumerate(titles(trials).values()))
    return trials.assign(place=[place for place, _ in ticks]), Axis(title="", ticks=ticks)


def _series(
    rows: pd.DataFrame, column: str, name: str, colour: str, scale: float = 1.0
) -> list[Mark]:
    """A line over numbers of workers that were measured once each, else only points."""
    ordered = rows.sort_values("place")
    marks: dict[str, Any] = {
        "name": name,
        "x": tuple(ordered["place"].astype(float)),
        "y": numbers(ordered[column], scale),
        "colour": colour,
    }
    if ordered["workers"].is_unique:
        return [Line(**marks)]
    return [Points(**marks)]


def _finding(trials: pd.DataFrame) -> str:
    known, rest = sound(trials)
    if known.empty:
        return f"No trial to judge by{rest}" if rest else "No load was offered"
    families = list(_families(known))
    if known["workers"].nunique() <= 1 or len(families) > _CLAUSES:
        keeps = int((known["state"] == "carried").sum())
        return f"{keeps} of {len(known)} trials carry their offered load{rest}"
    clauses = [
        f"{family.name}: {_clause(family.rows)}" if family.name else _clause(family.rows)
        for family in families
    ]
    said = "; ".join(clauses)
    return f"{said if families[0].name else said[:1].upper() + said[1:]}{rest}"


def _clause(rows: pd.DataFrame) -> str:
    """What one family says: the fewest workers of which every repetition carried the load."""
    if _unknown(rows):
        return f"{int((rows['state'] == 'carried').sum())} of {len(rows)} carry {_loads(rows)}"
    best = highest(rows, "throughput_per_s")
    most = f"{format_rate(float(best['throughput_per_s']))} with {_workers(int(best['workers']))}"
    if (rows["model"] == "closed").any():
        return f"users get the most, {most}"
    load = _loads(rows)
    states = rows.groupby("workers")["state"].agg(lambda each: set(each) == {"carried"})
    repeats = rows.groupby("workers").size()
    carrying = [int(float(str(count))) for count, carries in states.items() if carries]
    if carrying:
        fewest = min(carrying)
        verb = "carries" if fewest == 1 else "carry"
        times = int(repeats.loc[fewest])
        each = f" in each of {times} repetitions" if times > 1 else ""
        return f"{_workers(fewest)} {verb} {load}{each}"
    if (rows["state"] == "carried").any():
        return f"no number of workers carries {load} in every repetition; the most is {most}"
    if (rows["state"] == "undecided").any():
        return f"not decided whether {load} is carried; the most is {most}"
    return f"no number of workers carries {load}; the most is {most}"


def _loads(rows: pd.DataFrame) -> str:
    least, most = (format_rate(float(rows["offered_per_s"].agg(of))) for of in ("min", "max"))
    return least if least == most else f"{least} to {most}"


def _latency_finding(trials: pd.DataFrame, windows: pd.DataFrame | None) -> str:
    known, rest = sound(trials)
    known = known[known["p95_ns"].notna()]
    if known.empty:
        return f"No trial finished enough of its jobs for a P95{rest}"
    families = list(_families(known))

    def words(row: pd.Series) -> str:
        value = at_least(float(row["p95_ns"]), int(row["trial"]), windows)
        return f"{value} ({row['title']})"

    if len(families) > _CLAUSES or _alike(known):
        slow, fast = highest(known, "p95_ns"), lowest(known, "p95_ns")
        return f"P95 of {len(known)} trials is {words(fast)} to {words(slow)}{rest}"
    clauses = []
    for family in families:
        rows = family.rows
        # A P95 that fell on a job that was never done is the slowest there is.
        slow, fast = highest(rows, "p95_ns"), lowest(rows, "p95_ns")
        said = f"from {words(slow)} to {words(fast)}" if len(rows) > 1 else words(slow)
        clauses.append(f"{family.name}: {said}" if family.name else said)
    if len(clauses) == 1:
        return f"P95 {'goes' if len(families[0].rows) > 1 else 'is'} {clauses[0]}{rest}"
    return f"P95 {'; '.join(clauses)}{rest}"


def _counted(trials: pd.DataFrame) -> str:
    words = words_of_trials(trials)
    over = "" if _unknown(trials) else "all queues and "
    if trials.empty:
        return f"{over}0 {words.things}"
    least, most = (format_count(float(trials["n"].agg(of))) for of in ("min", "max"))
    return f"{over}{least if least == most else f'{least} to {most}'} {words.things}"


def _table(trials: pd.DataFrame) -> Table:
    unknown = _unknown(trials)
    rows = [
        (
            str(row["title"]),
            *(() if unknown else (format_count(float(row["workers"])),)),
            format_count(float(row["n"])),
            *(format_ms(float(row[f"{name}_ns"])) for name in PERCENTILES),
        )
        for _, row in trials.iterrows()
    ]
    what = "request that was not accepted" if unknown else "job that was never done"
    columns = ("trial", *(() if unknown else ("workers",)), "n")
    return Table(
        columns=(*columns, *(f"{name.upper()} ms" for name in PERCENTILES)),
        rows=tuple(rows),
        note=f"∞: the percentile falls on a {what}",
    )


def _workers(count: int) -> str:
    return f"{count} worker" if count == 1 else f"{count} workers"
