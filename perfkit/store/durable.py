"""Writing so that a name never stands before its content: flush, then rename, then flush again."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from perfkit.errors import OPEN_FILES, ResultsNotWritable

__all__ = ["flush", "move", "read_json", "writable", "write_json"]


@contextmanager
def writable(place: Path) -> Iterator[None]:
    """Turn what a file system says while results are written into an error with its mend.

    Raises:
        ResultsNotWritable: full, read-only, not allowed, or not a folder.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            what, mend = f"no room left for results in {place}", "free some space"
        elif error.errno in (errno.EMFILE, errno.ENFILE):
            raise ResultsNotWritable(
                f"no file handle left to write results to {place}: {error.strerror}", OPEN_FILES
            ) from error
        else:
            what, mend = f"results can't be written to {place}", "check its permissions"
        raise ResultsNotWritable(
            f"{what}: {error.strerror or error}",
            f"{mend}, or name another folder with --results DIR or PERFKIT_RESULTS",
        ) from error


def flush(path: Path) -> None:
    """Force a file or folder to the disk."""
    # Windows can neither open a folder nor flush a file opened for reading.
    if os.name != "posix":
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def move(source: Path, target: Path) -> None:
    """Rename within one file system, and make the new name last."""
    source.replace(target)
    flush(target.parent)


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write a document in one step: readers see the old one or the new one.

    Raises:
        ValueError: the document holds NaN or an infinity, which JSON can't say.
    """
    text = json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False)
    partial = path.with_name(path.name + ".tmp")
    partial.write_bytes((text + "\n").encode())
    flush(partial)
    move(partial, path)


def read_json(path: Path) -> dict[str, Any]:
    """A document whose top is an object.

    Raises:
        ValueError: it is not JSON, or not an object.
        OSError: it can't be read.
    """
    try:
        document = json.loads(path.read_bytes())
    except RecursionError:
        raise ValueError(f"{path.name} is nested too deeply") from None
    if not isinstance(document, dict):
        raise ValueError(f"{path.name} does not hold an object")
    return document
