"""How the simulated gateway behaves towards each queue: its delays and its errors.

A configuration file is JSON, one member per queue, and adds to or replaces the defaults:

    {"payments": {"median_ms": 40, "sigma": 0.5, "errors": 0.01}}

A queue may also have "outages", see `outages`. They change no draw: a delay hangs on the job alone,
so the calls outside of an outage take as long as they would have without it.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .draws import lognormal, uniform
from .outages import Outage, OutagesError, parse

__all__ = ["DEFAULTS", "Behaviour", "ConfigError", "load"]


class ConfigError(ValueError):
    """A configuration file that can't be used, with everything that is wrong in it."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """Log-normal delay (median in ms, sigma of the logarithm), share of failed calls, outages."""

    median_ms: float
    sigma: float
    errors: float
    outages: tuple[Outage, ...] = ()

    def delay_ns(self, key: str, queue: str, attempt: int) -> int:
        """How long this attempt takes."""
        return round(lognormal(self.median_ms * 1e6, self.sigma, key, queue, attempt, "delay"))

    def fails(self, key: str, queue: str, attempt: int) -> bool:
        """Whether this attempt fails."""
        return uniform(key, queue, attempt, "error") < self.errors


DEFAULTS: Final = {
    "payments": Behaviour(median_ms=40, sigma=0.5, errors=0.01),
    "notifications": Behaviour(median_ms=15, sigma=0.4, errors=0),
    "webhooks": Behaviour(median_ms=80, sigma=0.9, errors=0.02),
}

_LIMITS: Final = {
    "median_ms": (0.0, 3_600_000.0),
    "sigma": (0.0, 5.0),
    "errors": (0.0, 1.0),
}


def load(path: Path) -> dict[str, Behaviour]:
    """The defaults with what the file says.

    Raises:
        ConfigError: listing every problem.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise ConfigError(f"{path} is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise ConfigError(f"{path} must hold an object with one member per queue")
    problems: list[str] = []
    read: dict[str, Behaviour] = {}
    for queue, given in document.items():
        if not isinstance(given, dict) or set(given) - {"outages"} != set(_LIMITS):
            listed = ", ".join(_LIMITS)
            problems.append(f"{queue} must be an object with {listed}, and outages if it has any")
            continue
        numbers = {name: given[name] for name in _LIMITS}
        wrong = [
            f"{queue}.{name} must be a number from {low:g} to {high:g}"
            for name, (low, high) in _LIMITS.items()
            if not _is_number(numbers[name]) or not low <= numbers[name] <= high
        ]
        outages: tuple[Outage, ...] = ()
        try:
            outages = parse(queue, given.get("outages", []))
        except OutagesError as error:
            wrong.append(str(error))
        problems += wrong
        if not wrong:
            read[queue] = Behaviour(**numbers, outages=outages)
    if problems:
        raise ConfigError(f"{path}: " + "; ".join(problems))
    return {**DEFAULTS, **read}


def _is_number(value: object) -> bool:
    return type(value) is int or (type(value) is float and math.isfinite(value))
