"""Which process holds a lock on a file, by the kernel's list of locks.

A process in another container writes its own number into its files, and that number may belong to
anybody here. The kernel tells it as it is here, or not at all.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import Final

__all__ = ["lock_holders"]

_LOCKS: Final = Path("/proc/locks")
_LINE: Final = re.compile(
    r"^\d+: FLOCK +\w+ +WRITE +(-?\d+) ([0-9a-f]+):([0-9a-f]+):(\d+) ", re.MULTILINE
)


def lock_holders(paths: Collection[Path], listed: Path = _LOCKS) -> dict[Path, int]:
    """Path -> number of the process that holds an exclusive flock on it; others are absent.

    Empty where the system keeps no such list.
    """
    try:
        text = listed.read_text()
    except OSError:
        return {}
    by_file = {
        (os.makedev(int(major, 16), int(minor, 16)), int(inode)): int(pid)
        for pid, major, minor, inode in _LINE.findall(text)
    }
    found = {}
    for path in paths:
        try:
            facts = path.stat()
        except OSError:
            continue
        pid = by_file.get((facts.st_dev, facts.st_ino), 0)
        if pid > 0:
            found[path] = pid
    return found
