"""Small sealed comparisons whose truth is known: what B does to service time, and the noise."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from perfkit.api.asked import KEY
from perfkit.api.comparing_plan import arms_of, ask
from perfkit.clock import ManualClock
from perfkit.pairs import arm_of, measured_again, pair_up
from perfkit.plan import Plan, Trial
from perfkit.store import RunWriter, StoredRun, open_run
from perfkit.store.aa import Ledger
from perfkit.store.writer import Status
from tests.sealed import MS, SECOND, Row, Sketch, delivery, request, sample

JOBS = 130
PREFETCH = {"prefetch": 2}
QUEUES = ("notifications", "payments", "webhooks")
PROCESSES = {
    "worker-1": {"pid": 1, "role": "worker"},
    "ingest-1": {"pid": 2, "role": "ingest"},
    "redis": {"pid": 3, "role": "redis"},
}


def seal_comparison(
    folder: Path,
    *,
    pairs: int = 8,
    set_b: Mapping[str, Any] = PREFETCH,
    again: Mapping[int, str] | None = None,
    ledger: Ledger | None = None,
    asked: Mapping[str, Any] | None = None,
    **course: Any,
) -> StoredRun:
    """A comparison of smoke with a variant of it.

    Args:
        again: pairs that are measured again, and why.
        asked: as of `ask`, such as its margins.
        course: as of `seal_plan`.
    """
    first, second = arms_of("smoke", "smoke", {}, dict(set_b))
    plan = pair_up(first, second, pairs=pairs)
    question = ask(plan, (first, second), ledger or Ledger(), **(asked or {}))
    if again:
        plan = measured_again(plan, again)
    return seal_plan(folder, plan, {KEY: question.document()}, **course)


def seal_plan(
    folder: Path,
    plan: Plan,
    facts: Mapping[str, Any],
    *,
    slower: float = 1.0,
    only: Collection[str] = QUEUES,
    noise: float = 0.01,
    cpu: float = 1.0,
    cores: float = 0.0,
    invalid: Collection[int] = (),
    failing: float = 0.0,
    failed: Collection[int] = (),
    missing: Collection[int] = (),
    status: Status = "complete",
    reason: str | None = None,
) -> StoredRun:
    """The plan of a comparison of smoke with a variant, as if it had been measured.

    Args:
        facts: for the manifest.
        slower: service time of B by that of A, of the queues in ``only``.
        noise: sd of each trial's own factor on its service times, on the log scale.
        cpu: CPU of B's workers by that of A's.
        cores: sd of how slow the cores are in each trial, on the log scale; where there is one, the
            loop that tells their speed was measured.
        invalid: trials of which an accepted job is unexplained.
        failing: share of B's requests that are refused.
        failed: trials whose stack did not start.
        missing: trials that were never begun.
    """
    manifest = {**plan.facts(), **facts, "host": {"cpus": 2, "fingerprint": "f00"}}
    writer = RunWriter.create(folder, plan.name, manifest, clock=ManualClock())
    for each in plan.trials:
        if each.index in failed:
            writer.fail(each.index, "worker-1 did not start")
        elif each.index not in missing:
            sketch = _trial(each, slower, only, noise, cpu, cores, each.index in invalid, failing)
            sketch.write(writer, each.index)
    return open_run(writer.seal(status, reason))


def planned(**given: Any) -> Plan:
    """The plan of smoke against a variant."""
    return pair_up(*arms_of("smoke", "smoke", {}, {"prefetch": 2}), **given)


def _trial(
    trial: Trial,
    slower: float,
    only: Collection[str],
    noise: float,
    cpu: float,
    cores: float,
    unexplained: bool,
    failing: float,
) -> Sketch:
    drawn = random.Random(trial.seed)  # the same in both arms: keyed draws
    own = random.Random(f"{trial.seed} {trial.index}")
    is_b = arm_of(trial) == "B"
    factor = math.exp(own.gauss(0, noise))
    requests: list[Row] = []
    jobs: list[Row] = []
    for seq in range(JOBS * len(QUEUES)):
        queue = QUEUES[seq % len(QUEUES)]
        at = 11 * SECOND + round(drawn.random() * 9 * SECOND)
        service = drawn.lognormvariate(math.log(40), 0.5) * factor
        if is_b and queue in only:
            service *= slower
        fails = drawn.random() < failing and is_b
        row = request(seq, at, queue=queue, status=503 if fails else 202)
        requests.append(row)
        if fails:
            continue
        started = at + 6 * MS
        finished = started + round(service * MS)
        jobs.append(delivery(row, started_ns=started, finished_ns=finished, acked_ns=finished + MS))
    if unexplained:
        requests.append(request(9999, 12 * SECOND, queue="payments"))
    used = {"worker-1": 2.0 * (cpu if is_b else 1.0) * factor, "ingest-1": 0.3, "redis": 0.2}
    slow = math.exp(own.gauss(0, cores))
    samples = [
        sample(at_s, "process.cpu_ns", share * slow * at_s * SECOND, name)
        for name, share in used.items()
        for at_s in (0.0, 5.0, 15.0)
    ]
    for at_s in (0.0, 5.0, 15.0) if cores else ():
        samples.append(sample(at_s, "host.loops", 100 * at_s, "cpu0"))
        samples.append(sample(at_s, "host.loop_cpu_ns", 100 * at_s * 50_000 * slow, "cpu0"))
    return Sketch(
        requests=requests,
        jobs=jobs,
        samples=samples,
        facts={
            "trial": trial.index,
            "scenario": trial.scenario.name,
            "label": trial.label,
            "axes": dict(trial.axes),
            "repetition": trial.repetition,
            "seed": trial.seed,
            "document": dict(trial.document),
            "processes": PROCESSES,
            "anchor": {"mono_ns": 0, "wall_ns": trial.index * 30 * SECOND},
        },
    )
