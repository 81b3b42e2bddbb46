"""A load that the generator can't send is refused before anything starts.

    asked > ceiling x shards      refused, with the number of shards that would do
    asked unknown                 not judged: users without think time send as fast as they can,
                                  user code and templates cost what they cost
    no ceiling kept               not judged: `perfkit doctor` has not measured this machine

The ceiling is what one core sends back to back; a shard that is to send in time is planned with
four fifths of it. ``PERFKIT_CEILING=off`` lets everything pass; a number takes the ceiling's place.
"""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from perfkit.errors import UsageError
from perfkit.plan import Trial
from perfkit.scenario import Scenario
from perfkit.store.ceiling import kept_ceiling
from perfkit.telemetry.facts import HostFacts, usable_cpus, versions
from perfkit.units import format_rate

__all__ = [
    "CEILING",
    "known_ceiling",
    "peak_per_s",
    "refuse_above_ceiling",
    "sender_versions",
    "shards_for",
]

CEILING: Final = "PERFKIT_CEILING"
_SENDERS: Final = ("perfkit", "uvloop", "httptools")
_PLANNED_SHARE: Final = 0.8
_SOURCE: Final = f"measured by `perfkit doctor`, or said by {CEILING}"


def shards_for(rate_per_s: float, ceiling_per_s: float) -> int:
    """Shards that send a rate with a fifth of their cores to spare."""
    return max(1, math.ceil(rate_per_s / (ceiling_per_s * _PLANNED_SHARE)))


def sender_versions() -> dict[str, str]:
    """Versions of what decides how much the generator can do."""
    return {"python": platform.python_version(), **versions(_SENDERS)}


def peak_per_s(scenario: Scenario) -> float | None:
    """The highest rate the built-in generator may have to send; None: unknown, or not its load.

    Of users with a think time an upper bound, at zero latency.
    """
    if scenario.load.via != "http" or scenario.is_journey:
        return None
    rate = scenario.load.jobs_per_s(scenario.peak)
    return rate if math.isfinite(rate) else None


def refuse_above_ceiling(todo: Sequence[Trial], results: Path) -> None:
    """Refuse trials whose load is above the ceiling of their shards.

    Raises:
        UsageError: one is; or PERFKIT_CEILING is neither "off" nor a number.
    """
    if (ceiling := known_ceiling(results)) is None:
        return
    cores = len(usable_cpus())
    for trial in todo:
        asked = trial.scenario.load.shards
        shards = cores if asked == "auto" else asked
        rate = peak_per_s(trial.scenario)
        if rate is None or rate <= ceiling * shards:
            continue
        wanted = shards_for(rate, ceiling)
        named = "1 shard" if shards == 1 else f"{shards} shards"
        do = f"take {wanted} shards (--shards {wanted}), each with a core of its own"
        if wanted > cores:
            do += f"; this machine has {cores}, so lower the load, or measure on a larger one"
        raise UsageError(
            f"{trial.scenario.name} asks for up to {format_rate(rate)}; {named} of the generator "
            f"can send {format_rate(ceiling * shards)} here ({_SOURCE})",
            f"{do}; {CEILING}=off sends it all the same, late",
        )


def known_ceiling(results: Path) -> float | None:
    """Requests per second of a core; None: nothing is known, or nobody wants to know."""
    said = os.environ.get(CEILING, "").strip()
    if said == "off":
        return None
    if said:
        try:
            given = float(said)
        except ValueError:
            given = math.nan
        if not (math.isfinite(given) and given > 0):
            raise UsageError(
                f"{CEILING}={said[:40]!r} is no ceiling", 'write requests per second, or "off"'
            )
        return given
    kept = kept_ceiling(results, HostFacts.read().fingerprint, sender_versions())
    return None if kept is None else kept.requests_per_s_per_core
