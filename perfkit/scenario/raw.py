"""Tolerant readers of a raw document: what has the wrong shape is skipped, the types report it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from perfkit.scenario.load import WINDOW_NS
from perfkit.units import parse_duration_ns

__all__ = [
    "WARMUP_NS",
    "duration_ns",
    "phase_names",
    "repeated",
    "rows",
    "table",
    "window_ns",
    "window_start_ns",
]

WARMUP_NS = 5_000_000_000  # as in `Window`; a test holds the two together


def table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """The table of a key; empty where there is none."""
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def rows(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    """The tables of a list, in its order; what is no table counts as an empty one."""
    value = document.get(key)
    return (
        [row if isinstance(row, dict) else {} for row in value] if isinstance(value, list) else []
    )


def repeated(names: list[str]) -> list[str]:
    """Names that come more than once, sorted."""
    return sorted({name for name in names if names.count(name) > 1})


def duration_ns(place: Mapping[str, Any], key: str, default: int | None = None) -> int | None:
    """A duration; ``default`` where it is left out, None where it is none."""
    if key not in place:
        return default
    try:
        return parse_duration_ns(place[key])
    except (ValueError, AttributeError):
        return None


def phase_names(document: Mapping[str, Any]) -> list[str]:
    """Names of the phases, those without one by their number."""
    phases = rows(table(document, "load"), "phase")
    return [str(phase.get("name") or index + 1) for index, phase in enumerate(phases)]


def window_start_ns(document: Mapping[str, Any]) -> int | None:
    """Start of the window from the start of load; None where it can't be told."""
    ramp_ns = duration_ns(table(document, "load"), "ramp", 0)
    warmup_ns = duration_ns(table(document, "window"), "warmup", WARMUP_NS)
    return None if ramp_ns is None or warmup_ns is None else ramp_ns + warmup_ns


def window_ns(document: Mapping[str, Any]) -> int | None:
    """Length of the window; None where it can't be told."""
    window = table(document, "window")
    if "duration" in window:
        return duration_ns(window, "duration")
    load = table(document, "load")
    if load.get("arrivals") == "trace":
        # Imported here, for it reads files with the types that are read here.
        from perfkit.scenario.replaying import last_of_trace_ns

        last_ns, start_ns = last_of_trace_ns(load), window_start_ns(document)
        return None if last_ns is None or start_ns is None else max(1, last_ns + 1 - start_ns)
    total_ns = 0
    for phase in rows(load, "phase"):
        if (length_ns := duration_ns(phase, "duration")) is None:
            return None
        total_ns += length_ns
    return total_ns or WINDOW_NS
