"""Who owns a run or a stack, and whether that process still lives. Standard library only.

One thing for the store and the launcher. (The keeper reads start times by itself, since it is
started by path and imports nothing of ours.)
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

__all__ = ["boot_id", "is_alive", "this_process"]

_BOOT = Path("/proc/sys/kernel/random/boot_id")


def this_process() -> dict[str, Any]:
    """What tells this process from every other one, also after its number is used again."""
    return {"pid": os.getpid(), "started": _started(os.getpid()), "boot": boot_id()}


def is_alive(owner: Mapping[str, Any]) -> bool:
    """Whether the owner still runs on this host; False wherever that can't be shown."""
    pid, started = owner.get("pid"), owner.get("started")
    return (
        isinstance(pid, int)
        and started is not None
        and owner.get("boot") == boot_id()
        and _started(pid) == started
    )


def boot_id() -> str | None:
    """What tells this run of the machine from every other one; None where it does not say."""
    try:
        return _BOOT.read_text().strip()
    except OSError:
        return None


def _started(pid: int) -> int | None:
    """Start of a process in clock ticks after boot; None if it is gone or only a zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    # The name, in parentheses, may hold spaces and parentheses.
    state, *fields = stat.rpartition(")")[2].split()
    return None if state in "ZX" else int(fields[18])
