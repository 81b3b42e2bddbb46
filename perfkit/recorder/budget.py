"""A budget of disk for a folder of spools: before a new file, the oldest ones go.

Which process wrote them does not matter, nor whether it is still alive; only the newest file of a
living process stays, since it is being written. Each file that goes is first noted, with the number
of its events, in the sidecar of its process: what was dropped is counted, and readers say so. Two
processes keep out of each other's way by a lock, as far as it is free within a tenth of a second: a
process that was stopped while it held the lock must not stop the others.
"""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from perfkit.recorder.events import HEADER_BYTES, SLOT_BYTES
from perfkit.recorder.sidecar import append_line, is_held

__all__ = ["LEAST_BYTES", "Budget", "parse_budget"]

LEAST_BYTES: Final = 1_000_000

_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(B|kB|KB|MB|GB|TB|KiB|MiB|GiB|TiB)?")
_UNITS: Final = {
    None: 1, "B": 1, "kB": 1000, "KB": 1000, "MB": 1000**2, "GB": 1000**3, "TB": 1000**4,
    "KiB": 1024, "MiB": 1024**2, "GiB": 1024**3, "TiB": 1024**4,
}  # fmt: skip
_FILE: Final = re.compile(r"(.+)\.(\d{4,})\.spool")
_FILES: Final = 32  # so many share the budget, so that what goes at once is little
_LEAST_SLOTS: Final = 256
_LOCK_TRIES: Final = 20
_LOCK_PAUSE_S: Final = 0.005
_LOOK_BYTES: Final = 65536


def parse_budget(text: str) -> int:
    """Bytes of "500MB" (decimal) or "2GiB" (binary).

    Raises:
        ValueError: the text is no size, or less than 1 MB.
    """
    size = _SIZE.fullmatch(text.strip())
    if size is None:
        raise ValueError(f'{text!r} is not a size; write it as "500MB" or "2GiB"')
    found = round(float(size[1]) * _UNITS[size[2]])
    if found < LEAST_BYTES:
        raise ValueError(f"a budget of {text} is too small for spools; the least is 1MB")
    return found


class _File(NamedTuple):
    written_ns: int
    number: int
    stem: str
    size: int
    path: Path


@dataclass(frozen=True, slots=True)
class Budget:
    """At most ``limit`` bytes for all that is in a folder of spools."""

    directory: Path
    limit: int

    def slots(self, most: int) -> int:
        """Slots for each new file, at most so many."""
        return max(_LEAST_SLOTS, min(most, self.limit // _FILES // SLOT_BYTES))

    def make_room(self, size: int, stem: str) -> bool:
        """Remove the oldest files until ``size`` more bytes fit; False if they can't.

        ``stem``: the spool that is about to begin a new file, so that all its files are full.

        Raises:
            OSError: a file that should go could not be noted in its sidecar.
        """
        with self._alone():
            files, used = self._listed()
            newest = {file.stem: file.number for file in files}
            alive: dict[str, bool] = {stem: False}
            for file in sorted(files):
                if used + size <= self.limit:
                    break
                sidecar = self.directory / f"{file.stem}.jsonl"
                last = file.number == newest[file.stem]
                if last and alive.setdefault(file.stem, is_held(sidecar)):
                    continue
                claimed = _claimed(file.path) if last else _slots(file.size)
                with contextlib.suppress(FileNotFoundError):  # its sidecar, by somebody's hand
                    append_line(sidecar, {"dropped": file.number, "events": claimed})
                file.path.unlink(missing_ok=True)
                used -= file.size
            return used + size <= self.limit

    def _listed(self) -> tuple[list[_File], int]:
        """The spool files by number, and the bytes of all that is here."""
        files, used = [], 0
        with os.scandir(self.directory) as found_here:
            entries = list(found_here)
        for entry in entries:
            try:
                status = entry.stat()
            except FileNotFoundError:
                continue
            used += status.st_size
            if found := _FILE.fullmatch(entry.name):
                number, path = int(found[2]), Path(entry.path)
                files.append(_File(status.st_mtime_ns, number, found[1], status.st_size, path))
        return sorted(files, key=lambda file: file.number), used

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        import fcntl  # not on every system on which spools are read

        handle = os.open(self.directory / ".budget", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            for _ in range(_LOCK_TRIES):
                try:
                    fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except OSError:
                    time.sleep(_LOCK_PAUSE_S)
            yield
        finally:
            os.close(handle)


def _slots(size: int) -> int:
    return max(0, (size - HEADER_BYTES) // SLOT_BYTES)


def _claimed(path: Path) -> int:
    """Slots of a file up to the last one that was written; it is zeros behind that."""
    try:
        with path.open("rb") as file:
            end = file.seek(0, os.SEEK_END)
            while end > HEADER_BYTES:
                begin = max(HEADER_BYTES, end - _LOOK_BYTES)
                file.seek(begin)
                if written := file.read(end - begin).rstrip(b"\0"):
                    return -(-(begin + len(written) - HEADER_BYTES) // SLOT_BYTES)
                end = begin
    except FileNotFoundError:
        pass
    return 0
