"""Stacks that stay up to be looked at, without a measurement."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from perfkit.errors import StackError
from perfkit.launcher.change import ScaleEvent
from perfkit.launcher.control import clear_ended, stack_named
from perfkit.launcher.control import stack_down as take_down
from perfkit.launcher.control import stack_status as look
from perfkit.launcher.control import stack_up as bring_up
from perfkit.launcher.lease import Lease, new_lease_id
from perfkit.launcher.placement import place
from perfkit.launcher.scaling import Standing, scale
from perfkit.paths import results_root
from perfkit.runner.application import inspect_application
from perfkit.runner.specs import stack_spec
from perfkit.scenario import Scenario
from perfkit.units import format_duration

__all__ = [
    "scaled_text",
    "stack_down",
    "stack_scale",
    "stack_status",
    "stack_text",
    "stack_up",
    "standing_text",
]

_LEASES = ".leases"
_STACKS = ".stacks"


def stack_up(
    scenario: Scenario,
    *,
    redis: str | None = None,
    redis_server: str | None = None,
    results: str | os.PathLike[str] | None = None,
) -> dict[str, Any]:
    """Start the stack of a scenario and leave it running; returns its description."""
    root = results_root(results)
    clear_ended(root / _STACKS, logs=True)
    # Its folder is not known here, so an application of yours is looked for where we are.
    system, build = scenario.system, scenario.build
    application = inspect_application(system, None, build, root) if system else None
    spec = stack_spec(
        scenario,
        root / _STACKS / new_lease_id(),
        redis_url=redis,
        redis_server=Path(redis_server) if redis_server else None,
        cpus=place(scenario.host.system_cpus, scenario.host.instrument_cpus).system_cpus,
        leases=root / _LEASES,
        application=application,
    )
    return _described(bring_up(spec, disposable=True))


def stack_status(*, results: str | os.PathLike[str] | None = None) -> list[dict[str, Any]]:
    """The stacks that are up, those of running measurements included."""
    root = results_root(results)
    up = look(root / _LEASES)
    clear_ended(root / _STACKS, logs=False)
    return [_described(lease) for lease in up]


def stack_scale(
    workers: Mapping[str | None, int],
    *,
    stack: str | None = None,
    results: str | os.PathLike[str] | None = None,
    listener: Callable[[Standing], None] = lambda _: None,
) -> dict[str, Any]:
    """Give pools of a running stack, or of a running measurement, another number of workers.

    ``workers``: by pool, None for the shared one. ``stack``: its id or that of its run; None: the
    only one that is up. Returns when all levels are reached: ``{"stack", "scaled": [{"pool",
    "from_workers", "to_workers", "took_s", "error"}]}``.

    Raises:
        UsageError: no such stack or pool, a number that can't be, or a stack that is gone.
        StackError: a level was not reached, or the stack went down meanwhile.
    """
    lease = stack_named(results_root(results) / _LEASES, stack)
    events: tuple[ScaleEvent, ...] = ()
    for standing in scale(lease, workers):
        listener(standing)
        events = standing.events
    for event in events:
        if event.done_ns is None:
            raise StackError(
                f"{event.pool} did not get {event.to_workers} workers: {event.error}",
                f"see the logs in {Path(lease.directory) / 'logs'}",
            )
    return {
        "stack": lease.id,
        "scaled": [
            {
                "pool": event.pool,
                "from_workers": event.from_workers,
                "to_workers": event.to_workers,
                "took_s": ((event.done_ns or event.at_ns) - event.at_ns) / 1e9,
                "error": event.error,
            }
            for event in events
        ],
    }


def stack_down(*, results: str | os.PathLike[str] | None = None) -> list[str]:
    """Stop the stacks that `stack_up` left running; those of measurements are left alone.

    Returns: their ids.
    """
    root = results_root(results)
    folder = root / _LEASES
    ours = [lease for lease in look(folder) if lease.run_dir is None]
    for lease in ours:
        take_down(folder, lease.id)
    clear_ended(root / _STACKS, logs=True)
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
        lines += [f"  pool {pool['name']:<12} {_pool_text(pool)}" for pool in stack["pools"]]
        lines += [
            f"  {child['name']:<12} pid {child['pid']}  {'alive' if child['alive'] else 'dead'}"
            for child in stack["children"]
        ]
    return "\n".join(lines)


def _pool_text(pool: Mapping[str, Any]) -> str:
    if pool["workers"] is None:
        return f"{pool['wanted']} wanted, looked after by the dramatiq command"
    if pool["workers"] == pool["wanted"]:
        return _workers(pool["wanted"])
    return f"{_workers(pool['workers'])}, {pool['wanted']} wanted"


def _workers(count: int) -> str:
    return "1 worker" if count == 1 else f"{count} workers"


def standing_text(standing: Standing) -> str:
    """One line while a stack is scaled."""
    lines = []
    for event in standing.events:
        stopping = standing.stopping[event.pool]
        lines.append(
            f"{event.pool}: {standing.ready[event.pool]} ready of {event.to_workers} wanted"
            + (f", {stopping} stopping" if stopping else "")
        )
    return "; ".join(lines)


def scaled_text(document: Mapping[str, Any]) -> str:
    """What `stack_scale` has done, a line for each pool."""
    lines = []
    for each in document["scaled"]:
        took = format_duration(each["took_s"] * 1e9)
        lines.append(
            f"{each['pool']} has {_workers(each['to_workers'])}, before {each['from_workers']}; "
            f"it took {took}"
        )
        lines += [f"  {each['error']}"] if each["error"] else []
    return "\n".join(lines)


def _described(lease: Lease) -> dict[str, Any]:
    return {
        "id": lease.id,
        "state": lease.state,
        "run_dir": lease.run_dir,
        "directory": lease.directory,
        "urls": dict(lease.urls),
        "pools": [
            {"name": pool, "workers": _alive(lease, pool), "wanted": wanted}
            for pool, wanted in lease.pools.items()
        ],
        "children": [
            {"name": each.name, "pid": each.pid, "role": each.role, "alive": each.alive()}
            for each in lease.children
        ],
    }


def _alive(lease: Lease, pool: str) -> int | None:
    """Workers of a pool that are alive; None where the stock command line has them."""
    members = [child for child in lease.children if child.pool == pool]
    if any(child.role == "supervisor" for child in members):
        return None
    return sum(child.alive() for child in members)
