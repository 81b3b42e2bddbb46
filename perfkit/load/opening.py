"""When the connections of a closed model's users are opened: ahead of need, and never in a storm.

A user is a client with a connection of its own. It opens a second before the user's first request,
so that none waits for it. All of them at the start of load would be no better: servers close what
idles, and accept only so many in a second. Where many users come at once, as in a jump of the
population, the openings are spread over the time before it:

    users come     |          | | | |      ||||||||
    they open   | | | |    | | | | | | | |             at least a gap apart, at least a second ahead
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Final

from perfkit.load.demand import shard_spells
from perfkit.load.exchange import NEVER_NS
from perfkit.load.spec import LoadSpec

__all__ = ["comings", "has_own_connections", "lead_ns", "openings"]

_AHEAD_NS: Final = 1_000_000_000
_GAP_NS: Final = 500_000  # 2,000 in a second, of all shards: servers accept that beside their work
_START_NS: Final = 300_000_000


def has_own_connections(spec: LoadSpec) -> bool:
    """Whether each user of this shard has one: a closed model whose limit allows that."""
    fits = spec.connections >= spec.own_users
    return spec.model == "closed" and spec.pacing_ns is None and fits


def comings(spec: LoadSpec) -> list[tuple[int, int]]:
    """Instant (from the start of load) and user of each coming, sorted; also of each return."""
    return sorted(
        (spell.on_ns, user) for user, spells in shard_spells(spec).items() for spell in spells
    )


def openings(arrivals_ns: Sequence[int], idle_limit_ns: int, shards: int = 1) -> list[int]:
    """The instant at which to open for each arrival (both sorted; the former may be negative).

    The latest instants that are a second ahead of their arrival and a gap apart from each other;
    but none so early that the connection would be too old when its user comes. Where several shards
    open at a time, each leaves the others theirs.
    """
    gap_ns = _GAP_NS * shards
    found: list[int] = []
    latest_ns = NEVER_NS
    for arrival_ns in reversed(arrivals_ns):
        latest_ns = min(arrival_ns - _AHEAD_NS, latest_ns - gap_ns)
        found.append(max(latest_ns, arrival_ns - idle_limit_ns // 2))
    return found[::-1]


def lead_ns(spec: LoadSpec) -> int:
    """How long before the start of load a generator should be told to go.

    Enough to open what must be open at the start: all users' connections where they begin at once,
    those of the first second of a ramp.
    """
    if not has_own_connections(spec):
        return _START_NS
    first = openings([on_ns for on_ns, _ in comings(spec)], spec.idle_limit_ns, spec.shards)
    at_start = bisect_right(first, 0)
    return _START_NS + _GAP_NS * spec.shards * at_start
