"""What comes due next: the plan of a load, one instant after the other.

Both models answer the same questions, so the generator knows neither:

    next_ns                 the instant of the next request, NEVER_NS when there is none (for now)
    take()                  that request; it is due, whether it can be sent or not
    ended(request, at_ns)   its reply came, or won't: a closed model's user goes on from there
"""

from __future__ import annotations

import heapq
from typing import NamedTuple, Protocol

import numpy as np

from perfkit.errors import UsageError
from perfkit.load.arrivals import Spell, schedule, think_ns, user_spells
from perfkit.load.exchange import NEVER_NS
from perfkit.load.segments import Offsets
from perfkit.load.spec import LoadSpec

__all__ = ["ClosedDemand", "Demand", "Due", "OpenDemand", "demand_of", "offsets_of", "shard_spells"]


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
        offsets = offsets_of(spec)[spec.shard :: spec.shards]
        self._instants: list[int] = (offsets + spec.start_ns).tolist()
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
    """Users who come, send, wait for the reply, think, send again, and go.

    Intended = end of the user's previous reply + think; first: the begin of its spell. With
    `pacing` it is begin + n x pacing whatever the replies do, and the load is open. A user whose
    spell is over by then goes home, and goes on at the begin of its next one.

    A reply may keep a user until a later spell has begun; then it just thinks and goes on.
    """

    def __init__(self, spec: LoadSpec) -> None:
        self._spec = spec
        self._coming: list[tuple[int, int, int]] = []  # a heap of instant, user, iteration
        self.next_ns = NEVER_NS
        # Of each user: the end of its spell, and the spells still to come, the next one last.
        self._until: dict[int, int] = {}
        self._later: dict[int, list[Spell]] = {}
        for user, spells in shard_spells(spec).items():
            self._until[user] = 0
            self._later[user] = [
                Spell(spec.start_ns + on_ns, spec.start_ns + off_ns)
                for on_ns, off_ns in reversed(spells)
            ]
            self._return(user, 0, -1, 0)

    def take(self) -> Due:
        intended_ns, user, iteration = heapq.heappop(self._coming)
        spec = self._spec
        self.next_ns = self._coming[0][0] if self._coming else NEVER_NS
        if spec.pacing_ns is not None:
            self._go_on(user, iteration + 1, intended_ns, spec.pacing_ns)
        return Due(intended_ns, f"{spec.seed}/u{user}/{iteration}", user, iteration)

    def ended(self, user: int, iteration: int, at_ns: int) -> None:
        spec = self._spec
        if spec.pacing_ns is None:
            pause = think_ns(spec.think, spec.seed, user, iteration + 1)
            self._go_on(user, iteration + 1, at_ns, pause)

    def stop(self) -> None:
        self._coming.clear()
        self._until = dict.fromkeys(self._until, 0)
        self._later.clear()
        self.next_ns = NEVER_NS

    def _go_on(self, user: int, iteration: int, from_ns: int, pause_ns: int) -> None:
        if from_ns + pause_ns < self._until[user]:
            heapq.heappush(self._coming, (from_ns + pause_ns, user, iteration))
            self.next_ns = self._coming[0][0]
        else:
            self._return(user, iteration, from_ns, pause_ns)

    def _return(self, user: int, iteration: int, from_ns: int, pause_ns: int) -> None:
        """Plan the request into one of the user's later spells, if there is one."""
        later = self._later.get(user)
        while later:
            spell = later.pop()
            self._until[user] = spell.off_ns
            instant_ns = spell.on_ns if from_ns < spell.on_ns else from_ns + pause_ns
            if instant_ns < spell.off_ns:
                heapq.heappush(self._coming, (instant_ns, user, iteration))
                self.next_ns = self._coming[0][0]
                return


def offsets_of(spec: LoadSpec) -> Offsets:
    """The whole schedule of an open model, of all shards, as far as the load lasts.

    Raises:
        UsageError: the times of a trace can't be read.
    """
    if spec.arrivals == "trace":
        try:
            offsets = np.fromfile(spec.times, np.int64)
        except OSError as error:
            why = f"can't read the times of the trace: {error}"
            raise UsageError(why, "name a file of int64 words") from None
    else:
        offsets = schedule(spec.arrivals, spec.segments, spec.seed, exact=spec.exact)
    return offsets[offsets < spec.load_ns]


def shard_spells(spec: LoadSpec) -> dict[int, list[Spell]]:
    """The users of a closed model's shard, and when each is there, from the start of load."""
    whole = user_spells(spec.segments)
    return {
        user: [
            Spell(on_ns, min(off_ns, spec.load_ns))
            for on_ns, off_ns in whole[user]
            if on_ns < spec.load_ns
        ]
        for user in range(spec.shard, len(whole), spec.shards)
    }


def demand_of(spec: LoadSpec) -> Demand:
    """The plan of a spec, ready to be carried out."""
    return OpenDemand(spec) if spec.model == "open" else ClosedDemand(spec)
