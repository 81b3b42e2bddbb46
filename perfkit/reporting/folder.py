"""Private temporary folders that a killed process does not leave for good.

A folder holds a locked file; the kernel unlocks it when its owner ends, however it ends. Whoever
makes the next folder removes those that nobody holds.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

__all__ = ["PREFIX", "clear", "private_folder"]

PREFIX: Final = "perfkit_report-"
"""Not the launcher's, whose keeper removes folders by rules of its own."""

_OWNER: Final = "owner"


@contextmanager
def private_folder() -> Iterator[Path]:
    """A new folder that nobody else may enter; removed at the end, what is in it included."""
    place = Path(tempfile.gettempdir())
    for left in place.glob(f"{PREFIX}*/{_OWNER}"):
        _remove_if_left(left)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    # Locked before it has its name, so that nobody finds it unlocked.
    held = os.open(folder / f".{_OWNER}", os.O_CREAT | os.O_RDWR, 0o600)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        (folder / f".{_OWNER}").rename(folder / _OWNER)
        yield folder
    finally:
        clear(folder)
        os.close(held)


def clear(folder: Path) -> None:
    """Remove a private folder, and before it the kernel that works in it and would make it anew.

    After a report that went well there is none any more. (Where there is no /proc it ends by
    itself, a second after the process that started it.)
    """
    for process in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            environment = (process / "environ").read_bytes().split(b"\0")
            ours = b"TMPDIR=" + os.fsencode(folder) in environment
            if ours and int(process.name) != os.getpid():
                os.kill(int(process.name), signal.SIGKILL)
    shutil.rmtree(folder, ignore_errors=True)


def _remove_if_left(owner: Path) -> None:
    """Remove the folder of a file that is ours and that nobody has locked."""
    with suppress(OSError):  # somebody else's, in use, or gone by now
        held = os.open(owner, os.O_RDWR | os.O_NOFOLLOW)
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if owner.parent.stat().st_uid == os.getuid():
                shutil.rmtree(owner.parent, ignore_errors=True)
        finally:
            os.close(held)
