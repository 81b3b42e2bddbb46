"""Reading spools: while they are written, after a clean end, or after a SIGKILL.

A slot that was claimed and never written is a hole. There may be events behind it, so the reader
goes on to the last committed slot, counts the holes on the way and leaves it to the accounting to
reconcile them. In a spool that is still growing, a hole may be filled by the next reading.

``python -m perfkit.recorder.reader DIR`` says what a folder of spools holds.
"""

from __future__ import annotations

import argparse
import contextlib
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from perfkit.recorder.decoding import SpoolFile
from perfkit.recorder.events import Event
from perfkit.recorder.sidecar import SidecarReader

__all__ = ["SpoolAnchor", "SpoolContents", "SpoolFollower", "read_spools"]

_FILE: Final = re.compile(r"(.+)\.(\d{4,})\.spool")
_MOST_REMEMBERED_IDS: Final = 200_000


@dataclass(frozen=True, slots=True)
class SpoolAnchor:
    """One instant on both clocks, read when the spool was opened."""

    mono_ns: int
    wall_ns: int


@dataclass(frozen=True, slots=True)
class SpoolContents:
    """All that one process recorded, in the order in which slots were claimed."""

    name: str
    role: str
    pid: int
    broker_id: str
    """Empty where the broker has none."""
    anchor: SpoolAnchor
    events: list[Event]
    holes: int
    """Slots claimed and never written (or not yet)."""
    corrupt: int
    """Committed slots with a wrong checksum, number or name."""
    lost: int
    """Events that had no room, or that the recorder failed to record; a lower bound if the
    process was killed without ever having had a spool file."""
    reason: str
    """Why the first of them was lost, if any."""
    closed: bool
    """The process ended its spool in order."""
    dropped: int = 0
    """Events of files that were removed to keep within a budget of disk before they were read
    here; an upper bound by the holes in those files."""


class SpoolFollower:
    """Reads the spools of a folder again and again while they grow; each slot is decoded once.

    Args:
        directory: the folder.
        newest: of what a spool holds when it is first seen, about so many events are read and those
            before them are passed over; None: all.
        remember: ids kept at hand.
    """

    def __init__(
        self,
        directory: Path,
        *,
        newest: int | None = None,
        remember: int = _MOST_REMEMBERED_IDS,
    ) -> None:
        self._directory = Path(directory)
        self._newest = newest
        self._remember = remember
        self._spools: dict[str, _Spool] = {}
        self._texts: dict[bytes, str] = {}

    def read(self) -> list[SpoolContents]:
        """The spool of every process, by name and pid: ``events`` are those that are new since the
        last reading, all counts are so far. What was a hole then and is an event now comes first.

        Raises:
            ValueError: for a spool of another version.
        """
        return self._read(whole=False)

    def _read(self, *, whole: bool) -> list[SpoolContents]:
        if len(self._texts) > self._remember and not whole:
            self._texts.clear()
        files: dict[str, dict[int, Path]] = {}
        sidecars = []
        for path in self._directory.iterdir():
            if path.suffix == ".jsonl":
                sidecars.append(path)
            elif found := _FILE.fullmatch(path.name):
                files.setdefault(found[1], {})[int(found[2])] = path
        contents = []
        for path in sidecars:
            spool = self._spools.get(path.stem)
            if spool is None:
                spool = self._spools[path.stem] = _Spool(path)
                if self._newest is not None:
                    spool.skip(files.get(path.stem, {}), self._newest)
            read = spool.read(files.get(path.stem, {}), self._texts, whole=whole)
            if read is not None:
                contents.append(read)
        return sorted(contents, key=lambda each: (each.name, each.pid, each.anchor.mono_ns))


def read_spools(directory: Path) -> list[SpoolContents]:
    """The spool of every process that wrote into the directory, by name and pid.

    Raises:
        ValueError: for a spool of another version.
    """
    return SpoolFollower(directory)._read(whole=True)


class _Spool:
    """One process's spool, by its ``.jsonl``."""

    __slots__ = ("_files", "_sidecar")

    def __init__(self, path: Path) -> None:
        self._sidecar = SidecarReader(path)
        self._files: dict[int, SpoolFile] = {}

    def skip(self, present: Mapping[int, Path], newest: int) -> None:
        """Pass over all but the newest events of those that are there now."""
        last = max(present, default=0)
        for number, path in present.items():
            file = self._files.setdefault(number, SpoolFile(path))
            with contextlib.suppress(FileNotFoundError):
                file.skip(0 if number < last else newest)

    def read(
        self, present: Mapping[int, Path], texts: dict[bytes, str], *, whole: bool
    ) -> SpoolContents | None:
        """What is new in it; None as long as its first line is not whole."""
        sidecar, events, gone = self._sidecar, list[Event](), set[int]()
        last = max(present, default=0)
        for number, path in sorted(present.items()):
            file = self._files.setdefault(number, SpoolFile(path))
            followed = number < last
            if file.done(followed):
                continue
            try:
                file.read(sidecar, texts, events, followed=followed, whole=whole)
                if whole and any(file.open.values()):
                    # Torn, or only caught while it was being written.
                    file.read(sidecar, texts, events, followed=followed, whole=whole)
            except FileNotFoundError:
                gone.add(number)
        if not sidecar.read() or sidecar.head is None:
            return None
        dropped = 0
        for number, claimed in sidecar.dropped.items():
            if number not in present or number in gone:
                known = self._files.get(number)
                dropped += max(0, claimed - (known.at if known else 0))
        files = self._files.values()
        damaged = sum(sum(file.open.values()) for file in files)
        head = sidecar.head
        return SpoolContents(
            name=head["name"],
            role=head["role"],
            pid=head["pid"],
            broker_id=head["broker_id"],
            anchor=SpoolAnchor(mono_ns=head["mono_ns"], wall_ns=head["wall_ns"]),
            events=events,
            holes=sum(len(file.open) for file in files) - damaged,
            corrupt=damaged,
            lost=max(sidecar.lost, *(file.lost for file in files), 0),
            reason=sidecar.reason,
            closed=sidecar.closed,
            dropped=dropped,
        )


def main(argv: Sequence[str] | None = None) -> int:
    """Print one line for each process; 2 and one line on stderr if there is nothing to read."""
    parser = argparse.ArgumentParser(prog="python -m perfkit.recorder.reader")
    parser.add_argument("directory", type=Path, metavar="DIR")
    directory = parser.parse_args(argv).directory
    try:
        spools = read_spools(directory)
    except (OSError, ValueError) as error:
        print(f"perfkit.recorder.reader: {error}", file=sys.stderr)
        return 2
    for spool in spools:
        end = "ended in order" if spool.closed else "not ended"
        print(
            f"{spool.name} (pid {spool.pid}, {end}): {len(spool.events)} events, {spool.dropped}"
            f" dropped for want of disk, {spool.lost} lost, {spool.holes} holes,"
            f" {spool.corrupt} damaged"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
