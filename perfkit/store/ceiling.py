"""What this machine's generator can do at most, as `perfkit doctor` last measured it.

``results/.host/<fingerprint>/generator.json``. It belongs to the machine and to the versions that
send the load: with others it says nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from perfkit.store.durable import read_json, writable, write_json

__all__ = ["Ceiling", "ceiling_path", "keep_ceiling", "kept_ceiling"]

HOST: Final = ".host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ceiling:
    """Requests per second of one core that does nothing but send the built-in load."""

    requests_per_s_per_core: float
    connections: int
    at_ns: int
    date: str
    """The same instant as ``at_ns``, for people: UTC, ISO 8601."""
    versions: Mapping[str, str]

    def __post_init__(self) -> None:
        rate = self.requests_per_s_per_core
        if not (isinstance(rate, (int, float)) and math.isfinite(rate) and rate > 0):
            raise ValueError(f"{rate!r} requests/s are no ceiling")


def ceiling_path(root: Path, fingerprint: str) -> Path:
    """Where a machine's ceiling is kept in a results folder."""
    return root / HOST / fingerprint / "generator.json"


def keep_ceiling(root: Path, fingerprint: str, ceiling: Ceiling) -> Path:
    """Write it in one step; returns where.

    Raises:
        ResultsNotWritable: the results folder takes no file.
    """
    path = ceiling_path(root, fingerprint)
    with writable(root):
        path.parent.mkdir(parents=True, exist_ok=True)
        write_json(path, asdict(ceiling))
    return path


def kept_ceiling(root: Path, fingerprint: str, versions: Mapping[str, str]) -> Ceiling | None:
    """The machine's ceiling, or None: never measured, measured with other versions, unreadable."""
    try:
        found = Ceiling(**read_json(ceiling_path(root, fingerprint)))
    except (OSError, ValueError, TypeError):
        return None
    return found if dict(found.versions) == dict(versions) else None
