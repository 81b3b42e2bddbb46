"""What the campaigns share: how many turns there are, and where they were measured."""

from __future__ import annotations

import os
from typing import Any

from perfkit.api.runs import Run

__all__ = ["host_of", "turns"]


def turns(at_most: int) -> int:
    """How many of the turns: ``TURNS`` of the environment, else all."""
    given = os.environ.get("TURNS") or str(at_most)
    if not given.isdigit() or not 1 <= int(given) <= at_most:
        raise SystemExit(f"TURNS is a whole number from 1 to {at_most}, not {given!r}")
    return int(given)


def host_of(run: Run) -> dict[str, Any]:
    """What a reader must know of where it was measured."""
    known, redis = run.manifest["host"], run.manifest["redis"]
    versions = run.manifest["versions"]
    return {
        **{name: known[name] for name in ("cpus", "cpu_model", "memory_total_bytes", "kernel")},
        "python": known["python"],
        "dramatiq": versions["dramatiq"],
        "redis": f"{redis['server']} {redis['version']}",
        "perfkit": run.manifest["perfkit_version"],
    }
