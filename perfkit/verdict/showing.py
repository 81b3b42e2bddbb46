"""Observed values and levels of load in words."""

from __future__ import annotations

import math

from perfkit.units import (
    format_bytes,
    format_count,
    format_duration,
    format_percent,
    format_rate,
)

__all__ = ["level_words", "shown"]


def shown(unit: str, value: float) -> str:
    """A value in the unit of its metric (of `perfkit.scenario.METRICS`)."""
    match unit:
        case "share":
            return format_percent(value)
        case "rate":
            return format_rate(value)
        case "bytes":
            return format_bytes(value)
        case "number":
            return "n/a" if math.isnan(value) else f"{value:.4g}"
        case "count":
            return "n/a" if math.isnan(value) else format_count(value)
        case _:
            return format_duration(value)


def level_words(level: float, unit: str) -> str:
    """A level of load: "2 000 users" or "40.0/s"; ``unit`` as in the frame of phases."""
    if unit != "users":
        return format_rate(level)
    return f"{format_count(level)} user{'' if level == 1 else 's'}"
