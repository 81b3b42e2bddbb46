"""What a trial asks of its parts: the stack, the load, and the facts known beforehand."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from perfkit.clock import Anchor, Clock
from perfkit.faults import links_of
from perfkit.launcher.placement import Placement
from perfkit.launcher.spec import StackSpec
from perfkit.launcher.stack import Stack
from perfkit.load.arrivals import Think
from perfkit.load.spec import JobShare, LoadSpec
from perfkit.plan import Trial
from perfkit.runner.application import Application
from perfkit.runner.elsewhere import System
from perfkit.runner.journeys import base_url_of, journey_spec
from perfkit.runner.scheduling import segment_of, write_times
from perfkit.scenario import Scenario, blotted, settings_of

__all__ = ["asked", "load_spec", "most_workers", "servers_of", "stack_spec", "until"]

# Stated, so that nothing in somebody's shell changes the system in silence.
SAMPLE_SETTINGS: Final = {"MAX_RETRIES": "5", "RETRY_MIN_BACKOFF_MS": "1000"}

IDLE_LIMIT_NS: Final = 540_000_000_000
"""Users keep their connections while they think; `perfkit.launcher.ingest` closes after 600 s."""

ELSEWHERE_IDLE_NS: Final = 4_000_000_000
"""Of a server that is not ours nobody knows; many close after 5 s."""


def stack_spec(
    scenario: Scenario,
    directory: Path,
    *,
    redis_url: str | None,
    redis_server: Path | None,
    cpus: tuple[int, ...] | None,
    leases: Path,
    run_dir: Path | None = None,
    application: Application | None = None,
) -> StackSpec:
    """The stack a scenario asks for; ``application`` is needed where it is not the sample."""
    system: dict[str, Any] = {"env": _sample_settings(scenario)}
    if scenario.system is not None and application is not None:
        system = {
            "broker": application.broker,
            "broker_path": application.folder,
            "namespace": application.namespace,
            "env": scenario.system.env,
        }
    if scenario.load.via == "enqueue":
        system["ingest_app"] = None
    elif scenario.system is not None:
        system["ingest_app"] = scenario.target.app if scenario.target is not None else None
    gateway = {
        queue: {
            "median_ms": each.median_ns / 1e6,
            "sigma": each.sigma,
            "errors": each.errors,
        }
        for queue, each in scenario.gateway.items()
    }
    return StackSpec(
        settings=settings_of(scenario),
        directory=directory,
        build=None if scenario.build is None else scenario.build.placed(),
        gateway=gateway if scenario.system is None else None,
        **system,
        hidden=() if scenario.target is None else scenario.target.secrets,
        profile=scenario.redis.profile,
        server=scenario.redis.server,
        redis_per_queue=scenario.redis.per_queue,
        redis_settings=scenario.redis.settings(),
        links=links_of(scenario),
        redis_url=redis_url,
        redis_server=redis_server,
        cpus=cpus,
        leases=leases,
        run_dir=run_dir,
    )


def most_workers(scenario: Scenario) -> int:
    """Worker processes that a trial starts in all, those that replace a dead one not counted.

    Under a rule it is the least number that could be: it may start as many again after each lull.
    """
    settings = settings_of(scenario)
    levels = {pool.name: pool.workers for pool in settings.pools}
    started = sum(levels.values())
    for change in sorted(scenario.scale, key=lambda each: each.at_ns):
        pool = change.pool or settings.pools[0].name
        started += max(0, change.workers - levels[pool])
        levels[pool] = change.workers
    if (rule := scenario.autoscale) is not None:
        started += max(0, rule.maximum - levels[rule.pool or settings.pools[0].name])
    return started


def servers_of(stack: Stack, queues: Sequence[str]) -> dict[str, list[str]]:
    """The URLs of a stack's Redis servers, each with those of the queues that live there."""
    servers: dict[str, list[str]] = {}
    for queue in queues:
        servers.setdefault(stack.redis_urls.get(queue, stack.redis_url), []).append(queue)
    return servers


def asked(trial: Trial, clock: Clock, application: Application | None = None) -> dict[str, Any]:
    """What is known of a trial before it runs."""
    scenario = trial.scenario
    of_sample = scenario.has_stack and scenario.system is None
    sample = _sample_settings(scenario) | settings_of(scenario).environment()
    return {
        "trial": trial.index,
        "scenario": scenario.name,
        "label": trial.label,
        "axes": dict(trial.axes),
        "repetition": trial.repetition,
        "seed": trial.seed,
        "nonce": secrets.token_hex(8),
        "anchor": dataclasses.asdict(Anchor.take(clock)),
        "settings": dataclasses.asdict(settings_of(scenario)) if scenario.has_stack else {},
        "jobs_recorded": scenario.has_stack,
        "gateway": {queue: dataclasses.asdict(g) for queue, g in scenario.gateway.items()},
        "model": scenario.load.model,
        "users": int(scenario.peak) if scenario.load.model == "closed" else None,
        "offered_per_s": scenario.offered_per_s,
        "stretches": [dataclasses.asdict(stretch) for stretch in scenario.stretches],
        "via": scenario.load.via,
        "journey": scenario.is_journey,
        "document": blotted(trial.document)[0],
        "system": None if application is None else application.facts(scenario),
        "system_env": sample if of_sample else {},
        "aborted": None,
        "faults": [],
    }


def _sample_settings(scenario: Scenario) -> dict[str, str]:
    poisoned = any(fault.action == "poison" for fault in scenario.fault)
    return SAMPLE_SETTINGS | ({"SAMPLE_POISON": "1"} if poisoned else {})


def load_spec(
    trial: Trial, stack: System, facts: Mapping[str, Any], folder: Path, placement: Placement
) -> LoadSpec:
    """The load of a trial; the instants of a trace are written into its folder."""
    scenario = trial.scenario
    load = scenario.load
    think = load.think
    is_elsewhere = scenario.target is not None and scenario.target.is_absolute
    return LoadSpec(
        base_url=base_url_of(scenario, stack.ingest_url),
        journey=journey_spec(trial),
        model=load.model,
        trial=trial.index,
        nonce=facts["nonce"],
        seed=trial.seed,
        jobs=tuple(JobShare(job.queue, job.weight) for job in scenario.job),
        start_ns=0,
        load_ns=scenario.load_ns,
        output=str(folder),
        arrivals=load.arrivals,
        exact=load.exact,
        times=write_times(scenario, folder),
        segments=tuple(segment_of(each) for each in scenario.stretches),
        think=Think(
            think.dist, think.low_ns, think.high_ns, think.mean or 0, think.median or 0, think.sigma
        ),
        pacing_ns=load.pacing_ns,
        connections=load.connection_limit,
        max_in_flight=load.max_in_flight,
        idle_limit_ns=ELSEWHERE_IDLE_NS if is_elsewhere else IDLE_LIMIT_NS,
        timeout_ns=load.timeout_ns,
        grace_ns=min(load.timeout_ns, max(scenario.window.drain_ns, 1_000_000_000)),
        cpus=placement.instrument_cpus,
    )


def until(instants_ns: Mapping[str, int], ended_ns: int) -> dict[str, int]:
    """A trial's planned instants, cut where it ended."""
    return {name: min(instant, ended_ns) for name, instant in instants_ns.items()}
