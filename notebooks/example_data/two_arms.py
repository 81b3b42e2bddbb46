"""The example of a comparison: eight pairs of trials, and a candidate that is slower in one place.

In the candidate the actor ``payments`` computes for 18 ms where it took 12 ms; nothing else was
changed. The machine gets slower by 4 % from the first trial to the last, and each trial has a pace
of its own, as a real one has. Both arms of a pair get the same draws.
"""

from __future__ import annotations

import math
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from statistics import NormalDist
from typing import Any

from system import SECOND, uniform

from perfkit.clock import ManualClock
from perfkit.pairs import PAIRS, Arm, pair_up
from perfkit.store import RunWriter

NAME = "comparison"
RUN_ID = "20260101-000000-0c0a"
OWN_MS = {"A": {"payments": 12.0, "notifications": 3.0},
          "B": {"payments": 18.0, "notifications": 3.0}}  # fmt: skip
WINDOW = {"window.warmup": "500ms", "window.duration": "3s", "window.drain": "5s"}
DRIFT = 0.04
NOISE = 0.015
KINDS = ("p50", "p95", "p99")
NOISE_FLOOR = {"p50": 0.02, "p95": 0.05, "p99": 0.08, "throughput": 0.004, "cpu": 0.02}

Write = Callable[..., None]


def make(folder: Path, beside: Path, write: Write, environment: Mapping[str, Any]) -> Path:
    """Simulate and seal the comparison below a folder, in place of what is there.

    Args:
        folder: where it goes.
        beside: where ``comparison.toml`` is.
        write: writes one trial: writer, index, document, and what is simulated beyond it.
        environment: what the manifest says of the host.
    """
    path = str(beside / "comparison.toml")
    arms = [Arm(name=f"checkout {version}", scenario=path, values={"build.version": version})
            for version in ("1.4.0", "1.5.0")]  # fmt: skip
    plan = pair_up(*arms, pairs=PAIRS, values=WINDOW)
    described = _without(plan.facts(), str(beside))
    manifest = {
        **environment,
        **described,
        "command": [
            "perfkit", "compare", "comparison.toml", "comparison.toml",
            "--set-a", "build.version=1.4.0", "--set-b", "build.version=1.5.0",
        ],
        "description": "Simulated, not measured: payments compute for 18 ms, not for 12 ms.",
        "comparison": _asked(plan.name, arms),
    }  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        clock = ManualClock(wall_ns=1_767_225_600 * SECOND)
        writer = RunWriter.create(Path(place), plan.name, manifest, run_id=RUN_ID, clock=clock)
        for each in plan.trials:
            write(writer, each, _system(each.index, each.label))
        clock.advance(600 * SECOND)
        sealed = writer.seal("complete", None)
        target = folder / NAME
        if target.exists():
            shutil.rmtree(target)
        shutil.copytree(sealed, target)
    return target


def _system(index: int, arm: str) -> dict[str, Any]:
    chance = NormalDist().inv_cdf(uniform("pace", index))
    pace = math.exp(NOISE * chance) * (1 + DRIFT * index / (2 * PAIRS - 1))
    return {"own_ms": OWN_MS[arm], "pace": pace}


def _asked(name: str, arms: list[Arm]) -> dict[str, Any]:
    """What a comparison was asked, and what was known of the machine's noise beforehand."""
    noise = {
        f"{kind.upper()} of {queue}": NOISE_FLOOR[kind]
        for queue in ("notifications", "payments")
        for kind in KINDS
    }
    noise |= {"throughput": NOISE_FLOOR["throughput"], "CPU ms per job": NOISE_FLOOR["cpu"]}
    return {
        "baseline": arms[0].name,
        "candidate": arms[1].name,
        "arms": {
            side: {"name": arm.name, "scenario": "comparison.toml", "values": dict(arm.values)}
            for side, arm in zip("AB", arms, strict=True)
        },
        "pairs": PAIRS,
        "level": 0.95,
        "seed": 1,
        "cap": PAIRS // 2,
        "settle_s": 5.0,
        "margins": {
            "p50": 0.05, "p95": 0.05, "p99": 0.10, "throughput": 0.05, "cpu": 0.05, "errors": 0.01,
        },
        "same": False,
        "noise": {
            metric: {"sd": sd, "pairs": 96, "comparisons": 12, "own": True}
            for metric, sd in noise.items()
        },
        "ledger": {"comparisons": 12, "tested": 12, "false_alarms": 0},
        "facts": {},
    }  # fmt: skip


def _without(value: Any, folder: str) -> Any:
    """Where the checkout is says nothing, and would be different bytes elsewhere."""
    if isinstance(value, Mapping):
        return {key: _without(each, folder) for key, each in value.items()}
    if isinstance(value, list):
        return [_without(each, folder) for each in value]
    return value.replace(f"{folder}/", "") if isinstance(value, str) else value
