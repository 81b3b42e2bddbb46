"""Runs of many trials, simulated like the committed examples: what a suite leaves behind."""

from __future__ import annotations

import importlib
import sys
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from perfkit.clock import ManualClock
from perfkit.paths import example_data
from perfkit.store import RunWriter

TARGETS = [
    {"metric": "latency", "queue": "payments", "expr": "p(95)<500ms", "claimed": "487ms"},
    {"metric": "latency", "queue": "notifications", "expr": "p(95)<300ms", "claimed": "234ms"},
    {"metric": "latency", "queue": "webhooks", "expr": "p(95)<1000ms", "claimed": "892ms"},
    {"metric": "errors", "expr": "rate<0.05", "claimed": "2.3%"},
    {"metric": "queue.backlog", "expr": "max<10000"},
    {"metric": "redis.memory.used_ratio", "expr": "max<0.8"},
    {"metric": "workers.cpu", "expr": "avg in 60%..75%", "needs_offered": "150/s"},
    {"metric": "throughput", "expr": "avg>150/s", "needs_offered": "150/s", "claimed": "167/s"},
]  # fmt: skip
RATES = {"light": 30.0, "medium": 60.0, "heavy": 120.0, "extreme": 180.0, "spike": 0.0,
         "progressive": 0.0}  # fmt: skip
PHASED = {
    "spike": [
        {"name": "calm", "duration": "4s", "rate": 30.0},
        {"name": "spike", "duration": "4s", "rate": 170.0, "ramp": "1s"},
        {"name": "after", "duration": "4s", "rate": 30.0},
    ],
    "progressive": [{"duration": "2s", "rate": 30.0 * step} for step in range(1, 7)],
}

Variant = tuple[Mapping[str, Any], Any]


def made() -> Any:
    """The script that makes the examples, as a module; it imports its neighbours by plain names."""
    folder = str(example_data())
    sys.path.insert(0, folder)
    try:
        return importlib.import_module("make")
    finally:
        sys.path.remove(folder)


def document(name: str, workers: int = 2) -> dict[str, Any]:
    """One scenario of the suite."""
    base = tomllib.loads((example_data() / "good.toml").read_text())
    kind = name.removesuffix("-open")
    load: dict[str, Any] = {"model": "open"}
    load |= {"phase": PHASED[kind]} if kind in PHASED else {"rate": RATES[kind]}
    window = {"warmup": "1s", "drain": "10s"} | ({} if kind in PHASED else {"duration": "12s"})
    stack = {"workers": workers, "threads": 4}
    changed = {"name": name, "load": load, "window": window, "stack": stack}
    scale = [{"at": "5s", "workers": workers + 1}, {"at": "9s", "workers": workers}]
    more = {"scale": scale} if kind == "spike" else {}
    return base | changed | more | {"threshold": TARGETS}


def twelve() -> list[Variant]:
    """Twelve scenarios, a trial each."""
    plan = made().Plan
    names = [f"{name}{twin}" for twin in ("", "-open") for name in RATES]
    return [
        (chosen, plan(name, tables=chosen, system={"slow": name == "extreme"}))
        for name in names
        for chosen in (document(name),)
    ]


def crossed(repeats: int = 2) -> list[Variant]:
    """Two scenarios on three numbers of workers, repeated."""
    plan = made().Plan
    return [
        (
            document(name, workers),
            plan(
                f"workers={workers}",
                axes={"stack.workers": workers},
                tables=document(name, workers) | {"seed": 10 + repetition},
                repetition=repetition,
            ),
        )
        for repetition in range(repeats)
        for name in ("light", "heavy")
        for workers in (1, 2, 4)
    ]


def seal(folder: Path, name: str, variants: Sequence[Variant]) -> Path:
    """Simulate the variants and seal them as one run."""
    make = made()
    scenarios = {each["name"]: {"text": "", "digest": "0" * 64, "document": each}
                 for each in _documents(variants)}  # fmt: skip
    planned = [{"trial": index, "scenario": each["name"], "label": plan.label,
                "axes": dict(plan.axes), "repetition": plan.repetition, "seed": 1,
                "reason": "planned"}
               for index, (each, plan) in enumerate(variants)]  # fmt: skip
    manifest = make.environment() | {
        "command": ["perfkit", "sweep", "--suite"],
        "scenarios": scenarios,
        "plan": planned,
    }
    writer = RunWriter.create(folder, name, manifest, clock=ManualClock())
    for index, (each, plan) in enumerate(variants):
        make.trial(writer, index, plan, each)
    return writer.seal("complete")


def _documents(variants: Iterable[Variant]) -> list[Mapping[str, Any]]:
    return [each for each, _ in variants]
