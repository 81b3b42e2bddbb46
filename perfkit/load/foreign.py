"""Ids that the application under test chose itself instead of the planned ones."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Final

__all__ = ["LONGEST", "ForeignIds", "foreign_id", "read_foreign_ids"]

LONGEST: Final = 200
"""Letters of an id; what is longer is none."""


def foreign_id(body: bytes, planned: bytes) -> str | None:
    """The id in an acceptance's JSON body, where it is not the planned one.

    Looking for the planned id first spares nearly every reply the parsing.
    """
    if planned in body:
        return None
    try:
        found = json.loads(body)["id"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
    is_id = isinstance(found, str) and 0 < len(found) <= LONGEST and found.isprintable()
    return found if is_id else None


class ForeignIds:
    """A file beside the ledger, ``row id`` a line, made when the first one comes."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd: int | None = None
        self._lines: list[str] = []

    def add(self, row: int, name: str) -> None:
        """Note the id of a row; it is on disk after the next `flush`."""
        self._lines.append(f"{row} {name}\n")

    def flush(self) -> None:
        """Write what was noted; called twice a second, so a kill loses half a second of ids."""
        if not self._lines:
            return
        if self._fd is None:
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
            self._fd = os.open(self._path, flags, 0o644)
        os.write(self._fd, "".join(self._lines).encode())
        self._lines.clear()

    def close(self) -> None:
        """Write the rest and let go."""
        self.flush()
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None


def read_foreign_ids(path: Path) -> dict[int, str]:
    """Ids by row; empty where there is no file. A last line that was cut off is left out."""
    if not path.exists():
        return {}
    found: dict[int, str] = {}
    for line in path.read_bytes().decode(errors="replace").splitlines(keepends=True):
        row, _, name = line.partition(" ")
        if name.endswith("\n"):
            found[int(row)] = name.removesuffix("\n")
    return found
