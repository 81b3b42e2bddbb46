"""Which CPUs the system gets and which the instrument."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from perfkit.errors import UsageError

__all__ = ["Placement", "place"]

_OWN_CORE_FROM = 4


@dataclass(frozen=True, slots=True)
class Placement:
    """CPU numbers, sorted. ``shared``: the two sides have at least one CPU in common."""

    system_cpus: tuple[int, ...]
    instrument_cpus: tuple[int, ...]

    @property
    def shared(self) -> bool:
        """Whether system and instrument can take CPU time from each other."""
        return not set(self.system_cpus).isdisjoint(self.instrument_cpus)

    def facts(self) -> dict[str, Any]:
        """For the manifest."""
        return {
            "system_cpus": list(self.system_cpus),
            "instrument_cpus": list(self.instrument_cpus),
            "shared": self.shared,
        }


def place(
    system: Literal["auto"] | Iterable[int] = "auto",
    instrument: Literal["auto"] | Iterable[int] = "auto",
    available: Iterable[int] | None = None,
    own: int = 1,
) -> Placement:
    """Choose, within the CPUs this process may use (or the ``available`` ones).

    Both automatic: with four CPUs or more the instrument gets the last one for itself, or the last
    ``own`` of them, but never more than half; below that all are shared. One automatic: it gets
    what the other leaves, or all if that is nothing.

    Raises:
        UsageError: a list is empty, repeats a CPU, or names one outside the mask.
    """
    mask = sorted(os.sched_getaffinity(0) if available is None else set(available))
    ours = None if isinstance(instrument, str) else _checked("instrument_cpus", instrument, mask)
    theirs = None if isinstance(system, str) else _checked("system_cpus", system, mask)
    if ours is None and theirs is None:
        most = max(1, min(own, len(mask) // 2))
        ours = tuple(mask[-most:] if len(mask) >= _OWN_CORE_FROM else mask)
        theirs = tuple(mask[:-most] if len(mask) >= _OWN_CORE_FROM else mask)
    return Placement(
        system_cpus=_rest(mask, ours) if theirs is None else theirs,
        instrument_cpus=_rest(mask, theirs) if ours is None else ours,
    )


def _rest(mask: list[int], given: tuple[int, ...] | None) -> tuple[int, ...]:
    return tuple(cpu for cpu in mask if cpu not in (given or ())) or tuple(mask)


def _checked(key: str, cpus: Iterable[int], mask: list[int]) -> tuple[int, ...]:
    key = f"host.{key}"
    listed = list(cpus)
    if not listed:
        raise UsageError(f"{key} is empty", f'write "auto", or some of {mask}')
    if len(set(listed)) < len(listed):
        raise UsageError(f"{key} = {listed} names a CPU twice", "name each once")
    if outside := [cpu for cpu in listed if cpu not in mask]:
        raise UsageError(
            f"{key} = {listed}: CPU {', '.join(map(str, outside))} is not among those perfkit "
            f"was started with",
            f'choose from {mask}, or write "auto"',
        )
    return tuple(sorted(listed))
