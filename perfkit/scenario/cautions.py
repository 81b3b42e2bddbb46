"""What can be told of a scenario beforehand that will make its numbers worth less.

So many requests in one instant take a generator longer to send than the 10 ms after which one
counts as late: the lateness is then of the instrument's own making.

    users |        ____             requests |    |
          |   ____|                          | ...|...
          |__|________                       |____|____
             a jump                            a burst
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

from perfkit.scenario.phases import Shaped
from perfkit.scenario.traces import replayed
from perfkit.scenario.types import Scenario
from perfkit.units import format_count, format_duration

__all__ = ["cautions"]

_AT_ONCE: Final = 250
"""Requests in an instant from which on sends were seen to be late; the ramps of built-in scenarios
keep below."""

_INSTANT_NS: Final = 1_000_000


def cautions(scenario: Scenario) -> tuple[str, ...]:
    """Sentences, one a matter, each with its mend; none where all is well."""
    if scenario.load.trace is not None:
        return tuple(_of_trace(scenario))
    if scenario.load.model == "open":
        return tuple(_of_bursts(scenario))
    return tuple(_of_jumps(scenario))


def _of_jumps(scenario: Scenario) -> Iterator[str]:
    pieces = scenario.stretches
    jumps = [("the start of load", pieces[0].level_start)] + [
        (f"the begin of {after.name!r}", after.level_start - before.level_end)
        for before, after in pairwise(pieces)
    ]
    if large := [(where, jump) for where, jump in jumps if jump > _AT_ONCE]:
        where, jump = max(large, key=lambda each: each[1])
        key = "load.ramp" if where == jumps[0][0] else "a ramp (of a spike: an edge)"
        times = f" ({len(large)} such jumps)" if len(large) > 1 else ""
        yield (
            f"{format_count(jump)} users come at once at {where}{times}: more than "
            f"{_AT_ONCE} first requests in one instant are sent late by the generator itself; "
            f"set {key}"
        )


def _of_bursts(scenario: Scenario) -> Iterator[str]:
    sizes = [each.size for each in scenario.stretches if isinstance(each, Shaped)]
    if (size := max(sizes, default=0)) > _AT_ONCE:
        yield (
            f"bursts of {format_count(size)}: more than {_AT_ONCE} requests in one instant are "
            "sent late by the generator itself; make them smaller and more frequent"
        )


def _of_trace(scenario: Scenario) -> Iterator[str]:
    load = scenario.load
    assert load.trace is not None
    times = replayed(load.trace, load.speed)
    times = times[: times.searchsorted(scenario.load_ns)]
    within = times.searchsorted(times + _INSTANT_NS) - range(len(times))
    if len(within) and (most := int(within.max())) > _AT_ONCE:
        at_ns = int(times[int(within.argmax())])
        yield (
            f"the trace has {format_count(most)} requests within a millisecond, "
            f"{format_duration(at_ns)} after the start: more than {_AT_ONCE} in one instant are "
            "sent late by the generator itself; replay it slower (load.speed)"
        )
    if load.trace is not None and len(times) < len(replayed(load.trace, load.speed)):
        left = len(replayed(load.trace, load.speed)) - len(times)
        yield f"{format_count(left)} requests of the trace come after the window, and are not sent"
