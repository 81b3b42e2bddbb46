"""What a trial asks of its parts: the stack, the load, and the facts known beforehand."""

from __future__ import annotations

import dataclasses
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from perfkit.clock import Anchor, Clock
from perfkit.launcher.placement import Placement
from perfkit.launcher.spec import StackSpec
from perfkit.launcher.stack import Stack
from perfkit.load.arrivals import Segment, Think
from perfkit.load.spec import JobShare, LoadSpec
from perfkit.plan import Trial
from perfkit.scenario import Scenario, settings_of

__all__ = ["asked", "load_spec", "stack_spec", "until"]

# Stated, so that nothing in somebody's shell changes the system in silence.
SAMPLE_SETTINGS: Final = {"MAX_RETRIES": "5", "RETRY_MIN_BACKOFF_MS": "1000"}


def stack_spec(
    scenario: Scenario,
    directory: Path,
    *,
    redis_url: str | None,
    redis_server: Path | None,
    cpus: tuple[int, ...] | None,
    leases: Path,
    run_dir: Path | None = None,
) -> StackSpec:
    """The stack a scenario asks for."""
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
        gateway=gateway,
        env=SAMPLE_SETTINGS,
        profile=scenario.redis.profile,
        redis_url=redis_url,
        redis_server=redis_server,
        cpus=cpus,
        leases=leases,
        run_dir=run_dir,
    )


def asked(trial: Trial, clock: Clock) -> dict[str, Any]:
    """What is known of a trial before it runs."""
    scenario = trial.scenario
    return {
        "trial": trial.index,
        "scenario": scenario.name,
        "label": trial.label,
        "axes": dict(trial.axes),
        "repetition": trial.repetition,
        "seed": trial.seed,
        "nonce": secrets.token_hex(8),
        "anchor": dataclasses.asdict(Anchor.take(clock)),
        "settings": dataclasses.asdict(settings_of(scenario)),
        "gateway": {queue: dataclasses.asdict(g) for queue, g in scenario.gateway.items()},
        "model": scenario.load.model,
        "users": scenario.load.users,
        "offered_per_s": scenario.load.offered_per_s,
        "document": dict(trial.document),
        "system_env": dict(SAMPLE_SETTINGS),
    }


def load_spec(
    trial: Trial, stack: Stack, facts: Mapping[str, Any], folder: Path, placement: Placement
) -> LoadSpec:
    scenario = trial.scenario
    load = scenario.load
    segments: list[Segment] = []
    if load.model == "open" and load.rate is not None:
        if load.ramp_ns:
            segments.append(Segment(load.ramp_ns, 0.0, load.rate))
        steady_ns = scenario.window.warmup_ns + scenario.window.duration_ns
        segments.append(Segment(steady_ns, load.rate, load.rate))
    return LoadSpec(
        base_url=stack.ingest_url or "",
        model=load.model,
        trial=trial.index,
        nonce=facts["nonce"],
        seed=trial.seed,
        jobs=tuple(JobShare(job.queue, job.weight) for job in scenario.job),
        start_ns=0,
        load_ns=scenario.load_ns,
        output=str(folder),
        arrivals=load.arrivals,
        segments=tuple(segments),
        users=load.users or 0,
        think=Think(load.think.dist, load.think.low_ns, load.think.high_ns),
        ramp_ns=load.ramp_ns,
        pacing_ns=load.pacing_ns,
        connections=load.connection_limit,
        max_in_flight=load.max_in_flight,
        timeout_ns=load.timeout_ns,
        grace_ns=min(load.timeout_ns, max(scenario.window.drain_ns, 1_000_000_000)),
        cpus=placement.instrument_cpus,
    )


def until(instants_ns: Mapping[str, int], ended_ns: int) -> dict[str, int]:
    """A trial's planned instants, cut where it ended."""
    return {name: min(instant, ended_ns) for name, instant in instants_ns.items()}
