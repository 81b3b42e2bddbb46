"""Stacks that stay up to be looked at, without a measurement."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

from perfkit.launcher.control import stack_down as take_down
from perfkit.launcher.control import stack_status as look
from perfkit.launcher.control import stack_up as bring_up
from perfkit.launcher.lease import Lease, new_lease_id
from perfkit.launcher.placement import place
from perfkit.paths import results_root
from perfkit.runner.specs import stack_spec
from perfkit.scenario import Scenario

__all__ = ["stack_down", "stack_status", "stack_text", "stack_up"]

_LEASES = ".leases"


def stack_up(
    scenario: Scenario,
    *,
    redis: str | None = None,
    redis_server: str | None = None,
    results: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Start the stack of a scenario and leave it running; returns its description."""
    root = results_root(results)
    spec = stack_spec(
        scenario,
        root / ".stacks" / new_lease_id(),
        redis_url=redis,
        redis_server=Path(redis_server) if redis_server else None,
        cpus=place(scenario.host.system_cpus, scenario.host.instrument_cpus).system_cpus,
        leases=root / _LEASES,
    )
    return _described(bring_up(spec))


def stack_status(*, results: str | os.PathLike[str] | None = None) -> list[dict[str, Any]]:
    """The stacks that are up, those of running measurements included."""
    return [_described(lease) for lease in look(results_root(results) / _LEASES)]


def stack_down(*, results: str | os.PathLike[str] | None = None) -> list[str]:
    """Stop the stacks that `stack_up` left running; those of measurements are left alone.

    Returns: their ids.
    """
    folder = results_root(results) / _LEASES
    ours = [lease for lease in look(folder) if lease.run_dir is None]
    for lease in ours:
        take_down(folder, lease.id)
        shutil.rmtree(lease.directory, ignore_errors=True)
    return [lease.id for lease in ours]


def stack_text(stacks: list[dict[str, Any]]) -> str:
    """A few lines a stack."""
    if not stacks:
        return "no stack is up; start one: perfkit stack up"
    lines = []
    for stack in stacks:
        purpose = f"measuring {stack['run_dir']}" if stack["run_dir"] else "up"
        lines.append(f"stack {stack['id']}  {purpose}")
        lines += [f"  {name:<8} {url}" for name, url in stack["urls"].items()]
        lines += [
            f"  {child['name']:<12} pid {child['pid']}  {'alive' if child['alive'] else 'dead'}"
            for child in stack["children"]
        ]
    return "\n".join(lines)


def _described(lease: Lease) -> dict[str, Any]:
    return {
        "id": lease.id,
        "state": lease.state,
        "run_dir": lease.run_dir,
        "directory": lease.directory,
        "urls": dict(lease.urls),
        "children": [
            {"name": each.name, "pid": each.pid, "role": each.role, "alive": each.alive()}
            for each in lease.children
        ],
    }
