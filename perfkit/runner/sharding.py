"""How many processes send a trial's load.

    load.shards    a number    so many
                   "auto"      as many as the peak rate needs, within the instrument's cores

A process keeps its times only with a part of its core to spare, so "auto" plans with four fifths of
what `perfkit doctor` has measured here, or of a figure that any machine of these years exceeds.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from perfkit.runner.ceiling import known_ceiling, peak_per_s, shards_for
from perfkit.scenario import Scenario

__all__ = ["UNMEASURED_PER_S", "shards_of", "shards_wanted"]

UNMEASURED_PER_S: Final = 6_000.0
"""Requests per second of a core where none was measured: a third of the least that
`tests/benchmarks/bench_generator.py` got from a core of a shared virtual machine (18,000 to 30,000
per second of its CPU)."""


def shards_wanted(scenario: Scenario, results: Path) -> int:
    """Processes that send the scenario's peak in time; 1 where nobody knows how much that is.

    Args:
        scenario: what is asked.
        results: the folder of runs, where this machine's ceiling is kept.
    """
    load = scenario.load
    if load.via != "http":
        return 1
    if load.shards != "auto":
        return load.shards
    if scenario.is_journey:
        return 1  # what user code costs, nobody knows before
    rate = peak_per_s(scenario)
    if rate is None:
        return 1
    # Each needs a part of whatever is divided.
    most = min(load.connection_limit, load.max_in_flight)
    return min(shards_for(rate, known_ceiling(results) or UNMEASURED_PER_S), most)


def shards_of(scenario: Scenario, wanted: int, cores: int) -> int:
    """The same, within the instrument's cores unless a number was asked for."""
    return wanted if scenario.load.shards != "auto" else max(1, min(wanted, cores))
