"""Other perfkits on this machine: a run that shares it with them says so.

Every stack that is up has a keeper, whose command line names its owner. So the table of processes
tells of all of them, of whichever results folder and user, and there is no file to leave behind.
Who is in another container, with processes of its own, is not seen.
"""

from __future__ import annotations

import itertools
import os
from pathlib import Path

from perfkit.launcher import keeper

__all__ = ["Neighbours", "owners"]

_EVERY_NS = 5_000_000_000  # a look reads a file of every process
_KEEPER = os.fsencode(Path(keeper.__file__).name)
_PACKAGE = b"perfkit/launcher/"


def owners() -> list[int]:
    """Living processes that hold a stack up, this one left out."""
    found = set()
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = place.read_bytes().split(b"\0")
        except OSError:  # it has just ended
            continue
        for script, owner in itertools.pairwise(words):
            if script.endswith(_PACKAGE + _KEEPER) and owner.isdigit():
                found.add(int(owner))
    return sorted(pid for pid in found - {os.getpid()} if keeper.start_ticks(pid) is not None)


class Neighbours:
    """Tells of each of them once."""

    def __init__(self) -> None:
        self._known: set[int] = set()
        self._next_ns: int | None = None

    def news(self, now_ns: int) -> list[str]:
        """A warning for each that was not known; looked for every five seconds at most."""
        if self._next_ns is not None and now_ns < self._next_ns:
            return []
        self._next_ns = now_ns + _EVERY_NS
        found = [pid for pid in owners() if pid not in self._known]
        self._known.update(found)
        return [
            f"another perfkit (process {pid}) has a stack up on this machine; it takes cores and "
            "memory from this run, so these numbers suffer: measure again when it has ended"
            for pid in found
        ]
