"""The disk under a server of our own: what kind it is, and whether it still takes what is written.

A server that can't write its append-only file, or a snapshot, either ends itself (``appendfsync
always``) or refuses every command that changes something. Both are told in its log, once, and by
name; clients only see refusals.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Final

__all__ = ["LogWatch", "filesystem_of"]

_TROUBLE: Final = tuple(
    os.strerror(number).encode()
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO, errno.EFBIG)
)
_MOST_BYTES: Final = 1 << 20
_LONGEST_LINE: Final = 4096


class LogWatch:
    """Looks through what a log has got since the last look; costs one ``stat`` where it is nothing.

    What the log held before is not its business. A trouble once found stays found.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._begin = self._read = path.stat().st_size if path.exists() else 0
        self._trouble: str | None = None

    def trouble(self) -> str | None:
        """Why the server can't write, in the words of the system, or None."""
        if self._trouble is None:
            for line in self._new().splitlines():
                found = next((words for words in _TROUBLE if line.endswith(words)), None)
                if found is not None:
                    self._trouble = found.decode()
                    break
        return self._trouble

    def _new(self) -> bytes:
        try:
            size = self._path.stat().st_size
            if size <= self._read:
                return b""
            with self._path.open("rb") as log:
                # From a little before: the last look may have ended within a line.
                log.seek(max(self._begin, self._read - _LONGEST_LINE))
                text = log.read(_MOST_BYTES)
                self._read = min(size, log.tell())
        except OSError:
            return b""
        return text


def filesystem_of(folder: Path) -> str:
    """Type of the filesystem a folder is on, such as ``ext4`` or ``tmpfs``; empty if not told."""
    place = str(folder.resolve())
    best, found = -1, ""
    try:
        lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeError):
        return ""
    for line in lines:
        # 36 35 98:0 /root /mount rw,noatime master:1 - ext4 /dev/sda1 rw: proc(5).
        left, _, right = line.partition(" - ")
        mount = left.split()[4].replace("\\040", " ")
        inside = mount == "/" or place == mount or place.startswith(f"{mount}/")
        if inside and len(mount) >= best:  # of two on one place the later one is seen
            best, found = len(mount), right.split()[0]
    return found
