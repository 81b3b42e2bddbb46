"""Shapes of a phase: which keys each has, what contradicts itself in them, and their words."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Final

from perfkit.errors import Problem
from perfkit.scenario.load import Load, Phase
from perfkit.scenario.raw import duration_ns, rows
from perfkit.units import format_count, format_duration, format_rate, parse_rate

__all__ = ["LEVELS", "has_load", "has_steady_part", "load_words", "shape_problems"]

LEVELS: Final = ("users", "rate", "from", "to", "low", "high")
"""Keys of a phase that say how many."""

_NEEDS: Final[Mapping[str, tuple[str, ...]]] = {
    "flat": (),  # users or rate: `perfkit.scenario.courses`
    "ramp": ("from", "to"),
    "step": ("from", "to", "steps"),
    "spike": ("low", "high", "width"),
    "sine": ("low", "high"),
    "burst": ("size", "every"),
}
_MAY: Final[Mapping[str, tuple[str, ...]]] = {
    "flat": ("users", "rate"),
    "spike": ("at", "edge"),
    "sine": ("period",),
    "burst": ("rate",),
}
_OWN: Final = tuple(
    dict.fromkeys(key for each in (_NEEDS, _MAY) for keys in each.values() for key in keys)
)


def shape_problems(place: str, phase: Mapping[str, Any], model: object) -> Iterator[Problem]:
    """Problems of one phase's shape; an unknown one is reported by the types.

    Args:
        place: the dotted key of the phase.
        phase: its raw table.
        model: "open" or "closed".
    """
    shape = phase.get("shape", "flat")
    if not isinstance(shape, str) or shape not in _NEEDS:
        return
    needs, known = _NEEDS[shape], (*_NEEDS[shape], *_MAY.get(shape, ()))
    for key in needs:
        if key not in phase:
            yield Problem(f"{place}.{key}", f'missing: shape = "{shape}" needs {_listed(needs)}')
    for key in _OWN:
        if key in phase and key not in known:
            yield Problem(
                f"{place}.{key}", f'has no meaning with shape = "{shape}"', _mend(key, known)
            )
    if shape == "burst" and model == "closed":
        mend = 'use model = "open", or a spike of users'
        yield Problem(f"{place}.shape", "users don't come in bursts", mend)
    if model == "closed":
        for key in LEVELS:
            level = _number(phase, key)
            if key in needs and level is not None and not level.is_integer():
                yield Problem(f"{place}.{key}", f"there are no {level:g} users", "use whole ones")
    low, high = _number(phase, "low"), _number(phase, "high")
    if {"low", "high"} <= set(needs) and low is not None and high is not None and low > high:
        yield Problem(f"{place}.low", f"low {low:g} is above high {high:g}", "swap them")
    if shape == "spike":
        yield from _spike(place, phase)


def _spike(place: str, phase: Mapping[str, Any]) -> Iterator[Problem]:
    whole_ns, width_ns = duration_ns(phase, "duration"), duration_ns(phase, "width")
    ramp_ns, edge_ns = duration_ns(phase, "ramp", 0), duration_ns(phase, "edge", 0)
    if whole_ns is None or width_ns is None or ramp_ns is None or edge_ns is None:
        return
    room_ns = whole_ns - ramp_ns
    at_ns = duration_ns(phase, "at", max(0, (room_ns - width_ns) // 2))
    if at_ns is not None and at_ns + width_ns > room_ns:
        what = f"the spike ends after its phase: {format_duration(at_ns)} + {phase['width']}"
        mend = f"{format_duration(room_ns)} are left for both, at and width"
        yield Problem(f"{place}.width", what, mend)
    if 2 * edge_ns > width_ns:
        what = f"two edges of {phase['edge']} are longer than the spike, {phase['width']}"
        yield Problem(f"{place}.edge", what, "both are within its width")


def has_load(phase: Mapping[str, Any]) -> bool:
    """Whether a raw phase asks for anything; yes where that can't be told."""
    asked = [phase[key] for key in (*LEVELS, "size") if key in phase]
    return not asked or any(each != 0 for each in asked)


def has_steady_part(load: Mapping[str, Any]) -> bool:
    """Whether a raw load stays at one level anywhere behind its ramps; bursts come on top of one.

    Yes where that can't be told.
    """
    if load.get("arrivals") == "trace":
        return False
    phases = rows(load, "phase")
    return not phases or any(_is_steady(phase) for phase in phases)


def _is_steady(phase: Mapping[str, Any]) -> bool:
    if phase.get("shape", "flat") not in ("flat", "burst"):
        return False
    ramp_ns, length_ns = duration_ns(phase, "ramp", 0), duration_ns(phase, "duration")
    return ramp_ns is None or length_ns is None or ramp_ns < length_ns


def _mend(key: str, known: tuple[str, ...]) -> str:
    homes = [name for name in _NEEDS if key in (*_NEEDS[name], *_MAY.get(name, ()))]
    close = difflib.get_close_matches(key, known, n=1)
    shapes = " or ".join(f'shape = "{name}"' for name in homes)
    return f"did you mean {close[0]!r}? it is of {shapes}" if close else f"it is of {shapes}"


def _number(phase: Mapping[str, Any], key: str) -> float | None:
    value = phase.get(key)
    try:
        value = parse_rate(value) if isinstance(value, str) else value
    except ValueError:
        return None
    return float(value) if isinstance(value, int | float) else None


def _listed(keys: tuple[str, ...]) -> str:
    return keys[0] if len(keys) == 1 else f"{', '.join(keys[:-1])} and {keys[-1]}"


def load_words(load: Load) -> str:
    """The course of a load in a few words: "100, sine 50 to 300 every 20 s, 100 jobs/s"."""
    unit = "jobs/s" if load.model == "open" else "users"
    if load.trace is not None:
        sped = f" at {load.speed:g} times its speed" if load.speed != 1 else ""
        return f"trace {load.trace.file}{sped}"
    return f"{', '.join(_phase_words(each) for each in load.phase)} {unit}"


def _phase_words(phase: Phase) -> str:
    low, high, first, last = (
        f"{level or 0:g}" for level in (phase.low, phase.high, phase.begin, phase.to)
    )
    match phase.shape:
        case "ramp":
            return f"ramp {first} to {last}"
        case "step":
            return f"{phase.steps} steps {first} to {last}"
        case "spike":
            width = format_duration(phase.width_ns or 0)
            edges = f", edges of {format_duration(phase.edge_ns)}" if phase.edge_ns else ""
            return f"spike {low} to {high} for {width}{edges}"
        case "sine":
            every = format_duration(phase.period_ns or phase.duration_ns)
            return f"sine {low} to {high} every {every}"
        case "burst":
            beside = f" beside {format_rate(phase.level)}" if phase.level else ""
            every = format_duration(phase.every_ns or 0)
            return f"bursts of {format_count(phase.size or 0)} every {every}{beside}"
        case _:
            return f"{phase.level:g}"
