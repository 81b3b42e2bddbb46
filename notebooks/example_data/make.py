"""Makes the committed example runs, byte for byte the same each time.

    python notebooks/example_data/make.py [FOLDER]      default: the folder of this file

They are simulated (`simulation`), say so in their manifest, and are sealed by the same writer as
measured runs.

good    a sweep over 1, 2 and 4 workers; one worker does not carry the load
bad     errors, retries and dead letters; a worker that dies; a trial cut short; a trial without
        a single job; one whose load has phases and whose workers change; and names that try to
        break out of HTML
comparison  two versions in eight pairs of trials (`two_arms`); one actor of the second is slower
"""

from __future__ import annotations

import hashlib
import shutil
import sys
import tempfile
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import two_arms
from simulation import Simulation
from system import SECOND, Service, System

from perfkit.clock import ManualClock
from perfkit.pairs import ARM
from perfkit.plan import Trial
from perfkit.records import TABLES
from perfkit.scenario import digest, parse, settings_of, with_values, workload_digest
from perfkit.store import RunWriter

HERE = Path(__file__).resolve().parent
WALL_NS = 1_767_225_600 * SECOND  # 2026-01-01 00:00:00 UTC
RUN_IDS = {"good": "20260101-000000-600d", "bad": "20260101-000000-0bad"}
DESCRIPTIONS = {
    "good": "Simulated, not measured: 90 jobs/s on 1, 2 and 4 workers of 4 threads.",
    "bad": "Simulated, not measured: failures, a dead worker, a cut trial, an empty trial, a spike"
    " with a second worker.",
}
COMMANDS = {
    "good": ["perfkit", "sweep", "example-good.toml", "--axis", "workers=1,2,4"],
    "bad": ["perfkit", "sweep", "example-bad.toml"],
}


@dataclass(frozen=True)
class Plan:
    """One trial: what is set in its scenario, and what the simulation does beyond it."""

    label: str
    axes: Mapping[str, Any] = field(default_factory=dict)
    tables: Mapping[str, Any] = field(default_factory=dict)  # in place of those of the scenario
    system: Mapping[str, Any] = field(default_factory=dict)
    repetition: int = 0


PLANS: Mapping[str, Sequence[Plan]] = {
    "good": [Plan(f"workers={n}", {"stack.workers": n}) for n in (1, 2, 4)],
    "bad": [
        Plan(
            'errors=<b>&"',
            system={
                "max_retries": 1,
                "refused": 0.01,
                "broken": 0.01,
                "error_names": ("GatewayError", '<b>&"', "</script><script>alert(1)</script>"),
            },
        ),
        Plan("death", system={"death_ns": 2 * SECOND}),
        Plan("cut", system={"cut_ns": 2_750_000_000}),
        Plan("empty", system={"rate": 0.0}),
        Plan(
            "spike",
            tables={
                "load": {
                    "model": "open",
                    "phase": [
                        {"name": "calm", "duration": "2s", "rate": 10.0},
                        {"name": "spike", "duration": "3s", "rate": 45.0, "ramp": "500ms"},
                        {"name": "after", "duration": "3s", "rate": 10.0},
                    ],
                },
                "scale": [{"at": "3s", "workers": 2}, {"at": "6500ms", "workers": 1}],
                "stack": {"workers": 1, "threads": 2},
                "window": {"warmup": "1s", "drain": "10s"},
            },
            system={"slow": True},
        ),
    ],
}


def make(folder: Path) -> list[Path]:
    """Write all runs below a folder, in place of what is there."""
    comparison = two_arms.make(folder, HERE, _arm, environment())
    return [*(_run(name, folder) for name in PLANS), comparison]


def _arm(writer: RunWriter, given: Trial, system: Mapping[str, Any]) -> None:
    """One trial of the comparison."""
    plan = Plan(given.label, dict(given.axes), given.document, system, given.repetition)
    trial(writer, given.index, plan, {})


def _run(name: str, folder: Path) -> Path:
    text = (HERE / f"{name}.toml").read_text(encoding="utf-8")
    document = tomllib.loads(text)
    scenario = parse(document, f"{name}.toml")
    manifest = environment() | {
        "command": COMMANDS[name],
        "description": DESCRIPTIONS[name],
        "scenarios": {
            scenario.name: {
                "text": text,
                "digest": digest(scenario),
                "workload_digest": workload_digest(scenario),
                "document": document,
            }
        },
        "plan": [
            {
                "trial": index,
                "scenario": scenario.name,
                "label": plan.label,
                "axes": dict(plan.axes),
                "repetition": 0,
                "seed": scenario.seed,
                "reason": "planned",
            }
            for index, plan in enumerate(PLANS[name])
        ],
    }
    with tempfile.TemporaryDirectory() as place:
        clock = ManualClock(wall_ns=WALL_NS)
        writer = RunWriter.create(
            Path(place), scenario.name, manifest, run_id=RUN_IDS[name], clock=clock
        )
        for index, plan in enumerate(PLANS[name]):
            trial(writer, index, plan, document)
        clock.advance(120 * SECOND)
        whole = name == "good"
        sealed = writer.seal(
            "complete" if whole else "partial", None if whole else "simulated: cut short"
        )
        target = folder / name
        if target.exists():
            shutil.rmtree(target)
        shutil.copytree(sealed, target)
    return target


def trial(writer: RunWriter, index: int, plan: Plan, document: Mapping[str, Any]) -> None:
    """Simulate one trial of a scenario and write it."""
    # The axis of a comparison, which arm it is, is no key of a scenario.
    keys = {key: value for key, value in plan.axes.items() if key != ARM}
    given_document = {**with_values(document, keys), **plan.tables}
    scenario = parse(given_document, plan.label)
    settings = settings_of(scenario)
    stretches = [asdict(stretch) for stretch in scenario.stretches]
    beyond = dict(plan.system)
    own_ms: Mapping[str, float] = beyond.pop("own_ms", {})
    given: dict[str, Any] = {
        "trial": index,
        "seed": scenario.seed,
        "rate": scenario.offered_per_s,
        "stretches": stretches if scenario.load.phase else (),
        "scale": [(change.at_ns, change.workers) for change in scenario.scale],
        "warmup_ns": scenario.window.warmup_ns,
        "window_ns": scenario.window_ns,
        "drain_ns": scenario.window.drain_ns,
        "services": {
            job.queue: Service(
                weight=job.weight,
                median_ms=scenario.gateway[job.queue].median_ns / 1e6,
                sigma=scenario.gateway[job.queue].sigma,
                errors=scenario.gateway[job.queue].errors,
                own_ms=own_ms.get(job.queue, 0.0),
            )
            for job in scenario.job
        },
        "workers": settings.workers,
        "threads": settings.pools[0].threads,
        "start_ns": (3600 + 60 * index) * SECOND,
    }
    system = System(**given | beyond)
    simulated = Simulation(system).run()
    load_end = min(system.load_end, simulated.end_ns)
    writing = writer.trial(index)
    for kind, schema in TABLES.items():
        rows: list[dict[str, Any]] = getattr(simulated, kind)
        writing.write_table(kind, pa.Table.from_pylist(rows, schema))
    # What is set beyond the axes can't be told from the manifest.
    document_facts = {"document": given_document} if plan.tables else {}
    writing.write_facts(
        document_facts
        | {
            "trial": index,
            "scenario": scenario.name,
            "label": plan.label,
            "axes": dict(plan.axes),
            "repetition": plan.repetition,
            "seed": scenario.seed,
            "nonce": f"example-{index}",
            "outcome": "complete" if system.cut_ns is None else "partial",
            "reason": None if system.cut_ns is None else "perfkit ended before the run was done",
            "stretches": stretches,
            "scale_events": simulated.scalings,
            "worker_lives": simulated.lives,
            "aborted": None,
            "anchor": {"mono_ns": system.start_ns, "wall_ns": WALL_NS + 60 * index * SECOND},
            "instants_ns": {
                "load_start": system.start_ns,
                "window_start": system.window_start,
                "window_end": load_end,
                "load_end": load_end,
                "drain_end": max(simulated.end_ns, load_end),
            },
            "settings": asdict(settings),
            "offered_per_s": system.rate,
            "model": "open",
            "users": None,
            "generator": _generator(simulated),
            "recorder": {
                "events": 5 * len(simulated.jobs),
                "holes": 0,
                "corrupt": 0,
                "lost": 0,
                "spools": settings.workers + 1,
            },
            "sampler": {
                "ticks": len({row["at_ns"] for row in simulated.samples}),
                "late": 0,
                "max_lag_ns": 900_000,
                "errors": 0,
            },
            "processes": {
                name: {"pid": 4000 + number, "role": name.rpartition("-")[0] or name}
                for number, name in enumerate(
                    [
                        *(worker.name for worker in simulated.workers),
                        "ingest-1",
                        "gateway",
                        "redis",
                        "generator",
                        "perfkit",
                    ]
                )
            },
            "deaths": simulated.deaths,
            "ledger": {"entries": len(simulated.charged)},
        }
    )
    writing.finish()


def _generator(simulated: Simulation) -> dict[str, Any]:
    sent = [row for row in simulated.requests if row["sent_ns"] is not None]
    lags = sorted(row["sent_ns"] - row["intended_ns"] for row in sent)
    wall = simulated.end_ns - simulated.system.start_ns
    cpu = round(0.32e6 * len(sent) + 0.006 * wall)
    answered = [row["status"] for row in sent]
    return {
        "planned": len(simulated.requests),
        "sent": len(sent),
        "dropped": len(simulated.requests) - len(sent),
        "late": 0,
        "blocked": 0,
        "accepted": answered.count(202),
        "refused": answered.count(503),
        "errored": answered.count(None),
        "cpu_ns": cpu,
        "wall_ns": wall,
        "send_lag_ns": {
            "p50": lags[len(lags) // 2] if lags else None,
            "p99": lags[len(lags) * 99 // 100] if lags else None,
            "max": lags[-1] if lags else None,
        },
        "run_queue_wait_ns": round(0.03 * cpu),
        "interrupted": simulated.system.cut_ns is not None,
    }


def environment() -> dict[str, Any]:
    """Where it was not measured: what a manifest says of a host."""
    return {
        "perfkit_version": "0.1.0",
        "synthetic": True,
        "host": {
            "fingerprint": "example",
            "cpus": 2,
            "cpu_model": "simulated",
            "memory_bytes": 8 * 1024**3,
            "kernel": "none",
            "python": "3.12.0",
            "hostname_hash": hashlib.sha256(b"example").hexdigest()[:16],
        },
        "versions": {"dramatiq": "2.2.1", "redis": "8.1.0"},
        "redis": {
            "server": "redis",
            "version": "8.2.3",
            "allocator": "jemalloc",
            "binary_sha256": None,
            "config": {"maxmemory-policy": "noeviction", "appendonly": "no", "save": ""},
        },
        "git": None,
        "placement": {"system_cpus": [0, 1], "instrument_cpus": [0, 1], "shared": True},
    }


if __name__ == "__main__":
    for made in make(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE):
        size = sum(file.stat().st_size for file in made.rglob("*") if file.is_file())
        print(f"{made}: {size:,} bytes")
