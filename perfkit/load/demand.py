"""What comes due next: the plan of a load, one instant after the other.

Both models answer the same questions, so the generator knows neither:

    next_ns                 the instant of the next request, NEVER_NS when there is none (for now)
    take()                  that request; it is due, whether it can be sent or not
    ended(request, at_ns)   its reply came, or won't: a closed model's user goes on from there
"""

from __future__ import annotations

import heapq
from typing import NamedTuple, Protocol

from perfkit.load.arrivals import schedule, think_ns, user_starts
from perfkit.load.exchange import NEVER_NS
from perfkit.load.spec import LoadSpec

__all__ = ["ClosedDemand", "Demand", "Due", "OpenDemand", "demand_of"]


class Due(NamedTuple):
    """A request that came due. ``user`` and ``iteration`` are -1 in an open model."""

    intended_ns: int
    key: str
    user: int
    iteration: int


class Demand(Protocol):
    """The shape of a plan that is being carried out."""

    next_ns: int

    def take(self) -> Due: ...

    def ended(self, user: int, iteration: int, at_ns: int) -> None: ...

    def stop(self) -> None: ...


class OpenDemand:
    """A schedule made before the load, in strides over the shards."""

    def __init__(self, spec: LoadSpec) -> None:
        offsets = schedule(spec.arrivals, spec.segments, spec.seed)[spec.shard :: spec.shards]
        self._instants: list[int] = (offsets[offsets < spec.load_ns] + spec.start_ns).tolist()
        self._spec = spec
        self._index = 0
        self.next_ns = self._instants[0] if self._instants else NEVER_NS

    def take(self) -> Due:
        spec, index = self._spec, self._index
        due = Due(self.next_ns, f"{spec.seed}/{spec.shard + index * spec.shards}", -1, -1)
        self._index = index = index + 1
        self.next_ns = self._instants[index] if index < len(self._instants) else NEVER_NS
        return due

    def ended(self, user: int, iteration: int, at_ns: int) -> None:
        """An open model does not care."""

    def stop(self) -> None:
        self.next_ns = NEVER_NS


class ClosedDemand:
    """Users who send, wait for the reply, think, and send again.

    Intended = end of the user's previous reply + think; first: the user's place in the ramp. With
    `pacing` it is place + iteration x pacing whatever the replies do, and the load is open.
    """

    def __init__(self, spec: LoadSpec) -> None:
        self._spec = spec
        self._end_ns = spec.end_ns
        starts = user_starts(spec.users, spec.ramp_ns).tolist()
        self._starts = {user: starts[user] for user in range(spec.shard, spec.users, spec.shards)}
        self._coming: list[tuple[int, int, int]] = []  # a heap of instant, user, iteration
        self.next_ns = NEVER_NS
        for user, offset in self._starts.items():
            self._plan(spec.start_ns + offset, user, 0)

    def take(self) -> Due:
        intended_ns, user, iteration = heapq.heappop(self._coming)
        spec = self._spec
        if spec.pacing_ns is not None:
            offset = self._starts[user] + (iteration + 1) * spec.pacing_ns
            self._plan(spec.start_ns + offset, user, iteration + 1)
        self.next_ns = self._coming[0][0] if self._coming else NEVER_NS
        return Due(intended_ns, f"{spec.seed}/u{user}/{iteration}", user, iteration)

    def ended(self, user: int, iteration: int, at_ns: int) -> None:
        spec = self._spec
        if spec.pacing_ns is None:
            pause = think_ns(spec.think, spec.seed, user, iteration + 1)
            self._plan(at_ns + pause, user, iteration + 1)

    def stop(self) -> None:
        self._coming.clear()
        self._end_ns = 0
        self.next_ns = NEVER_NS

    def _plan(self, intended_ns: int, user: int, iteration: int) -> None:
        if intended_ns < self._end_ns:
            heapq.heappush(self._coming, (intended_ns, user, iteration))
            self.next_ns = self._coming[0][0]


def demand_of(spec: LoadSpec) -> Demand:
    """The plan of a spec, ready to be carried out."""
    return OpenDemand(spec) if spec.model == "open" else ClosedDemand(spec)
