"""When what is broken. Pure: it is told the time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from perfkit.scenario import Fault

__all__ = ["Due", "FaultPlan"]


@dataclass(frozen=True, slots=True)
class Due:
    """A fault whose time has come, and its place in the scenario."""

    index: int
    fault: Fault


class FaultPlan:
    """The ``[[fault]]`` entries of a scenario, each of them once, when its time has come.

    Instants count from the start of the measured window and are negative before it. Of two at one
    instant the first in the file comes first.
    """

    def __init__(self, faults: Sequence[Fault]) -> None:
        planned = [Due(index, fault) for index, fault in enumerate(faults)]
        self._rest = sorted(planned, key=lambda due: due.fault.at_ns)

    @property
    def next_ns(self) -> int | None:
        """When the next one is due; None where none is left."""
        return self._rest[0].fault.at_ns if self._rest else None

    def due(self, now_ns: int) -> list[Due]:
        """Those whose time has come since the last call."""
        come = [due for due in self._rest if due.fault.at_ns <= now_ns]
        self._rest = self._rest[len(come) :]
        return come
