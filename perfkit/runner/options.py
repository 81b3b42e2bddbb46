"""How a plan is carried out, as opposed to what it asks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Options"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """Where runs live, and which Redis is used or started."""

    results: Path
    redis_url: str | None = None
    redis_server: Path | None = None
    allow_destructive: bool = False  # whether faults may hit a server that is not ours
    command: Sequence[str] = ()
    settle_s: float = 0.0  # at most so long before each trial but the first, until the host is idle
