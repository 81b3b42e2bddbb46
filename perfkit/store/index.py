"""What the manifests of a results folder say, kept in one file so that a list is quick.

The file holds nothing of its own: without it everything is read again, only slower. It is
replaced whole, by a rename, so there is no lock to wait for or to leave behind, also on network
drives; where two processes write at once, the one that is later wins and the next list reads what
the other had found. Whatever is wrong with it (torn, of another version, not ours) makes it count
as not there; a folder that takes no file is listed without.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

__all__ = ["INDEX", "Rows", "read_index", "write_index"]

INDEX: Final = ".index.json"
Rows = dict[str, tuple[list[int], dict[str, Any]]]
"""By "name/run_id": the stamp of the files that were read, and what was in them, condensed."""

_FORMAT: Final = 1  # to be raised whenever `perfkit.store.entries.condense` keeps something else
_ABANDONED_S: Final = 60.0


def read_index(root: Path) -> Rows:
    """The rows of a folder's index; none where it can't be trusted."""
    try:
        head, _, body = (root / INDEX).read_bytes().partition(b"\n")
        if json.loads(head) != _head(body):
            return {}
        rows: Rows = json.loads(body)
    except (OSError, ValueError):
        return {}
    return rows


def write_index(root: Path, rows: Mapping[str, Any]) -> bool:
    """Replace the index; False where the folder takes none, or somebody else is at it."""
    body = json.dumps(rows, separators=(",", ":")).encode()
    unnamed = root / f"{INDEX}.new"
    with contextlib.suppress(OSError):
        if time.time() - unnamed.stat().st_mtime > _ABANDONED_S:
            unnamed.unlink()  # its writer was killed
    try:
        handle = os.open(unnamed, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
    except OSError:
        return False
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(json.dumps(_head(body)).encode() + b"\n" + body)
        # Not flushed to the disk: what a power cut tears does not fit its checksum.
        unnamed.replace(root / INDEX)
    except OSError:
        unnamed.unlink(missing_ok=True)
        return False
    return True


def _head(body: bytes) -> dict[str, int]:
    return {"perfkit_index": _FORMAT, "crc32": zlib.crc32(body)}
