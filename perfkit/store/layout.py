"""Names of a run's folder: what is called what, and which names are allowed."""

from __future__ import annotations

import re
import secrets
import time
from typing import Final

from perfkit.errors import UsageError

__all__ = [
    "FACTS",
    "LOST",
    "MANIFEST",
    "PARTIAL",
    "SUMMARY",
    "UNSEALED",
    "check_name",
    "new_run_id",
    "trial_folder",
    "trial_index",
]

MANIFEST: Final = "manifest.json"
UNSEALED: Final = "manifest.partial.json"
SUMMARY: Final = "summary.json"
FACTS: Final = "trial.json"
PARTIAL: Final = ".partial"
LOST: Final = "lost"

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_TRIAL = re.compile(r"trial=(\d{4,})")


def check_name(name: str) -> str:
    """The name itself, if it names a folder directly under its parent and nothing else.

    Raises:
        UsageError: when it could lead elsewhere, or is hidden.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} can't name a folder of results",
            "use letters, digits, '-', '_' and '.', beginning with a letter or digit",
        )
    return name


def new_run_id(wall_ns: int) -> str:
    """``YYYYmmdd-HHMMSS-xxxx``: UTC to the second, and four random hex digits."""
    stamp = time.strftime("%Y%m%d-%H%M%S", time.gmtime(wall_ns // 1_000_000_000))
    return f"{stamp}-{secrets.token_hex(2)}"


def trial_folder(index: int) -> str:
    """Folder name of a whole trial."""
    return f"trial={index:04d}"


def trial_index(folder: str) -> int | None:
    """The trial of a folder name, whole or partial; None for any other name."""
    found = _TRIAL.fullmatch(folder.removesuffix(PARTIAL))
    return int(found[1]) if found else None
