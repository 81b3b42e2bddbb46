"""One reading of one metric, and what takes readings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from perfkit.clock import Clock

__all__ = ["Probe", "Reading"]


@dataclass(frozen=True, slots=True)
class Reading:
    """A value of a metric at an instant; ``subject`` is a queue, a process, or empty.

    ``at_ns`` is the monotonic instant at which the probe had the value in hand. Metrics whose name
    ends in ``cpu_ns``, ``wait_ns``, ``some_ns`` and the like are cumulative: only differences mean
    something.
    """

    metric: str
    subject: str
    value: float
    at_ns: int


class Probe(Protocol):
    """Something that takes a few readings a few times a second, cheaply and without side effect."""

    @property
    def name(self) -> str:
        """Short name, by which its failures are counted."""
        ...

    @property
    def errors(self) -> Mapping[str, int]:
        """What went wrong and was lived with: kind -> how often."""
        ...

    def take(self, clock: Clock) -> Sequence[Reading]:
        """Readings of this moment; what can't be read is absent, never zero."""
        ...

    def close(self) -> None:
        """Let go of files and sockets; may be called twice."""
        ...
