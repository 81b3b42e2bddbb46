"""Contradictions in time: phases, workers that come and go, outages of the gateway."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from perfkit.errors import Problem
from perfkit.scenario.raw import (
    duration_ns,
    phase_names,
    repeated,
    rows,
    table,
    window_ns,
    window_start_ns,
)
from perfkit.scenario.shapes import has_load, shape_problems
from perfkit.units import format_duration

__all__ = ["courses", "phased"]

_TAKEN = ("window", "steady", "ramp", "warm-up")


def courses(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Problems between keys that say when something happens."""
    yield from phased(document)
    yield from _scaling(document)
    yield from _outages(document)


def phased(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Problems of phases alone."""
    load = table(document, "load")
    if "phase" in load:
        yield from _phases(document, load)


def _phases(document: Mapping[str, Any], load: Mapping[str, Any]) -> Iterator[Problem]:
    wanted, other = ("rate", "users") if load.get("model") == "open" else ("users", "rate")
    if wanted in load:
        mend = f"set load.phase.0.{wanted}, or that of another phase"
        yield Problem(f"load.{wanted}", "has no meaning beside [[load.phase]]", mend)
    names = phase_names(document)
    for name in repeated(names):
        yield Problem("load.phase", f"two phases are named {name!r}", "names tell phases apart")
    for index, name in enumerate(names):
        if name in _TAKEN:
            mend = f"{', '.join(_TAKEN)} mean something already"
            yield Problem(f"load.phase.{index}.name", f"a phase can't be named {name!r}", mend)
    phases = rows(load, "phase")
    for index, phase in enumerate(phases):
        place = f"load.phase.{index}"
        if wanted not in phase and phase.get("shape", "flat") == "flat":
            mend = "or a shape: ramp, step, spike, sine or burst"
            yield Problem(f"{place}.{wanted}", "missing: the level of the phase", mend)
        if other in phase:
            what = f"has no meaning in {'an open' if other == 'users' else 'a closed'} model"
            yield Problem(f"{place}.{other}", what, f"use {wanted}")
        yield from shape_problems(place, phase, load.get("model"))
        ramp_ns, length_ns = duration_ns(phase, "ramp", 0), duration_ns(phase, "duration")
        if ramp_ns and index == 0:
            mend = "use load.ramp, which leads to the first phase"
            yield Problem(f"{place}.ramp", "the first phase has no level before it", mend)
        elif ramp_ns and length_ns and ramp_ns > length_ns:
            what = f"{phase['ramp']} is longer than the phase, {phase['duration']}"
            yield Problem(f"{place}.ramp", what, "the ramp is the first part of its phase")
    if not any(has_load(phase) for phase in phases):
        mend = f"give at least one phase {wanted} above 0"
        yield Problem("load.phase", "no phase has any load", mend)


def _scaling(document: Mapping[str, Any]) -> Iterator[Problem]:
    entries = rows(document, "scale")
    asked = [(f"scale.{index}", each) for index, each in enumerate(entries)]
    if "autoscale" in document:
        rule = table(document, "autoscale")
        asked.append(("autoscale", rule))
        least, most = rule.get("minimum", 1), rule.get("maximum", 8)  # as in `Autoscale`
        if isinstance(least, int) and isinstance(most, int) and least > most:
            what = f"minimum {least} is above maximum {most}"
            yield Problem("autoscale.minimum", what, "swap them")
        if entries:
            yield Problem("autoscale", "a rule beside [[scale]], a plan", "keep one of the two")
    stack = table(document, "stack")
    if asked and stack.get("supervisor") == "dramatiq":
        mend = 'use supervisor = "perfkit"'
        yield Problem(asked[0][0], "the stock dramatiq command can't change its workers", mend)
    pools = [str(pool.get("name")) for pool in rows(stack, "pool")]
    for place, each in asked:
        yield from _pool(place, each.get("pool"), pools)
    yield from _instants(document, entries)


def _pool(place: str, pool: object, pools: list[str]) -> Iterator[Problem]:
    if pool is None and pools:
        yield Problem(f"{place}.pool", "missing: which pool", f"there are {', '.join(pools)}")
    elif isinstance(pool, str) and not pools:
        mend = "leave it out: all workers share one pool"
        yield Problem(f"{place}.pool", "there is no [[stack.pool]]", mend)
    elif isinstance(pool, str) and pool not in pools:
        yield Problem(
            f"{place}.pool", f"there is no pool {pool!r}", f"known are {', '.join(pools)}"
        )


def _instants(document: Mapping[str, Any], entries: list[Mapping[str, Any]]) -> Iterator[Problem]:
    start_ns, length_ns = window_start_ns(document), window_ns(document)
    if start_ns is None or length_ns is None:
        return
    seen: set[tuple[object, int]] = set()
    for index, each in enumerate(entries):
        if (at_ns := duration_ns(each, "at")) is None:
            continue
        if not -start_ns <= at_ns < length_ns:
            mend = f"from {format_duration(-start_ns)} to before {format_duration(length_ns)}"
            what = f"{each['at']} is outside the load"
            yield Problem(f"scale.{index}.at", what, f"use {mend}, from the start of the window")
        if (instant := (each.get("pool"), at_ns)) in seen:
            what = f"two changes of the same workers at {each['at']}"
            yield Problem(f"scale.{index}.at", what, "keep one of the two")
        seen.add(instant)


def _outages(document: Mapping[str, Any]) -> Iterator[Problem]:
    length_ns = window_ns(document)
    for queue, each in table(document, "gateway").items():
        if not isinstance(each, dict):
            continue
        begin, end = (key in each for key in ("outage_from", "outage_until"))
        if begin != end:
            absent = "outage_until" if begin else "outage_from"
            mend = "an outage has both, counted from the start of the window"
            yield Problem(f"gateway.{queue}.{absent}", "missing", mend)
        elif "outage_mode" in each and not begin:
            mend = "say when it is, by outage_from and outage_until"
            yield Problem(f"gateway.{queue}.outage_mode", "there is no outage", mend)
        if not (begin and end):
            continue
        from_ns, until_ns = duration_ns(each, "outage_from"), duration_ns(each, "outage_until")
        if from_ns is None or until_ns is None:
            continue
        if from_ns >= until_ns:
            mend = "outage_until must be after outage_from"
            yield Problem(f"gateway.{queue}.outage_from", "the outage ends before it begins", mend)
        elif length_ns is not None and from_ns >= length_ns:
            mend = f"begin before {format_duration(length_ns)}"
            yield Problem(f"gateway.{queue}.outage_from", "the window is over by then", mend)
