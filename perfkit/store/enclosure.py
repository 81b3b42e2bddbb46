"""A run's folder is a folder of files: nothing in it leads elsewhere, or waits for somebody.

A run may come from a stranger. A symbolic link in it could name any file of the reader's, to be
read, hashed, or written over by a report; a pipe would hold up whoever opens it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from perfkit.errors import NotARun

__all__ = ["check_enclosed"]


def check_enclosed(folder: Path) -> None:
    """Refuse a folder with something in it that leads out of it, or is neither file nor folder.

    The folder itself may be reached by a link.

    Raises:
        NotARun: naming what it is.
    """
    inside = os.path.realpath(folder)
    for entry in _entries(inside):
        if entry.is_symlink():
            target = os.path.realpath(entry.path)
            if not target.startswith(inside + os.sep):
                raise NotARun(
                    f"{entry.path} is a link that leads out of its run, to {target}",
                    "if you trust it, put a copy in its place",
                )
        elif not (entry.is_file() or entry.is_dir()):
            raise NotARun(f"{entry.path} is neither a file nor a folder", "remove it")


def _entries(folder: str) -> Iterator[os.DirEntry[str]]:
    """All that is in a folder, however deep; links are not followed."""
    try:
        with os.scandir(folder) as found:
            entries = list(found)
    except OSError:  # it can't be looked into, and so not be read either
        return
    for entry in entries:
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(entry.path)
