"""Long measurements that go on where they stopped: ``make campaign PART=stacks``.

A part is a list of steps, each one ``perfkit`` run. A step that is done is written into
``results/.campaign/<part>.json`` with its folder; started again, the part skips it.

    stacks      stock against low-latency, 1000 users, three interleaved runs each
    profiles    the price of each Redis profile, 250 jobs/s, three repeats
    servers     one Redis for all queues against one for each, three repeats
    autoscale   a spike on one worker, and with a rule that may start seven more
    users       10,000 users with 10 to 30 s of think time
    breaker     a gateway that hangs for 10 s, without and with the circuit breaker
    faults      fault x configuration, five interleaved turns (``TURNS=1``: only the first)
    compare     A/A, and three known causes, three interleaved turns (``TURNS=1`` likewise)
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from perfkit.api.runs import Run, open_run
from perfkit.paths import results_root
from perfkit.units import format_ms
from tests.benchmarks import causes, faults

Command = tuple[str, ...]


def _stacks() -> dict[str, Command]:
    """Presets alternate, so that a slow drift of the host falls on each of them."""
    return {
        f"{preset} {turn}": (
            "run", "light", "--preset", preset, "--duration", "50s", "--set", f"seed={turn}",
            "--workers", "2", "--threads", "24", "--users", "1000", "--warmup", "10s",
        )
        for turn in range(1, 4)
        for preset in ("stock", "low-latency")
    }  # fmt: skip


def _profiles() -> dict[str, Command]:
    return {
        "all": (
            "sweep", "heavy-open", "--axis",
            "profile=stock,no-persistence,aof-everysec,aof-always,lru-4gb", "--repeat", "3",
            "--duration", "15s", "--warmup", "3s", "--set", "load.ramp=2s",
        )
    }  # fmt: skip


def _servers() -> dict[str, Command]:
    scenario = str(Path(__file__).with_name("pools.toml"))
    return {"all": ("sweep", scenario, "--axis", "redis.per_queue=false,true", "--repeat", "3")}


def _autoscale() -> dict[str, Command]:
    spike = (
        "run", "spike-open", "--workers", "1", "--threads", "16",
        "--set", "load.phase.1.rate=500.0",
    )  # fmt: skip
    rule = {"target": '"500ms"', "minimum": "1", "maximum": "8", "every": '"1s"'}
    sets = (part for key, value in rule.items() for part in ("--set", f"autoscale.{key}={value}"))
    return {"without": spike, "with": (*spike, *sets, "--set", 'autoscale.cooldown="10s"')}


def _users() -> dict[str, Command]:
    return {
        "10000": (
            "run", "light", "--users", "10000", "--set", "load.think.low=10s",
            "--set", "load.think.high=30s", "--set", "load.ramp=30s", "--duration", "60s",
            "--threads", "24", "--preset", "low-latency",
        )
    }  # fmt: skip


def _breaker() -> dict[str, Command]:
    return {
        "all": (
            "sweep", "light-open", "--axis", "stack.breaker=false,true", "--rate", "100",
            "--duration", "40s", "--set", "gateway.payments.outage_from=10s",
            "--set", "gateway.payments.outage_until=20s",
            "--set", "gateway.payments.outage_mode=hang", "--set", "stack.gateway_timeout=1s",
        )
    }  # fmt: skip


def _costs(run: Run) -> list[dict[str, Any]]:
    """Costs per job and latency by queue, one row a trial."""
    total, added = (
        {(each["trial"], each["queue"]): each for each in frame.to_dict("records")}
        for frame in (
            run.percentiles(by=("trial", "queue")),
            run.percentiles(by=("trial", "queue"), value="added_ns"),
        )
    )
    rows: list[dict[str, Any]] = []
    for trial in run.trials().to_dict("records"):
        row: dict[str, Any] = {
            "trial": f"{trial['scenario']} {trial['label']}",
            "verdict": trial["status"],
            "jobs/s": round(trial["throughput_per_s"], 1),
            "workers ms/job": round(trial["workers_cpu_ms_per_job"], 2),
            "ingest ms/job": round(trial["ingest_cpu_ms_per_job"], 2),
            "redis ms/job": round(trial["redis_cpu_ms_per_job"], 3),
            "generator core": f"{100 * trial['generator_cpu_share']:.1f} %",
            "added all": " / ".join(format_ms(trial[f"added_p{p}_ns"]) for p in (50, 95, 99)),
        }
        for (number, queue), each in total.items():
            if number == trial["trial"]:
                row[f"{queue} P95"] = format_ms(each["p95_ns"])
                row[f"{queue} added"] = " / ".join(
                    format_ms(added[number, queue][f"p{p}_ns"]) for p in (50, 95, 99)
                )
        rows.append(row)
    return rows


def _recovery(run: Run) -> list[dict[str, Any]]:
    """Costs, and what a spike cost in time and in workers."""
    time = run.worker_time().set_index("trial")
    return [
        row
        | {
            "worker-seconds": round(time.loc[number, "worker_s"], 1),
            "most workers": int(time.loc[number, "most_workers"]),
            "recovered after s": round(time.loc[number, "recovery_s"], 1),
        }
        for number, row in enumerate(_costs(run))
    ]


@dataclass(frozen=True, slots=True)
class _Part:
    """Steps (name -> arguments of perfkit) and what a finished one says."""

    steps: Callable[[], Mapping[str, Command]]
    rows: Callable[[Run], list[dict[str, Any]]] = _costs
    finish: Callable[[Mapping[str, str]], str] | None = None  # step -> its run; what it then says


PARTS: Final[dict[str, _Part]] = {
    "stacks": _Part(_stacks),
    "profiles": _Part(_profiles),
    "servers": _Part(_servers),
    "autoscale": _Part(_autoscale, _recovery),
    "users": _Part(_users),
    "breaker": _Part(_breaker),
    "faults": _Part(faults.steps, faults.rows, faults.summarise),
    "compare": _Part(causes.steps, causes.rows, causes.summarise),
}


def main(arguments: Sequence[str]) -> int:
    """Carry out what is not done, then print the part's table.

    A step that fails is told and passed over; started again, the part tries it again.
    """
    part = arguments[0] if arguments else "stacks"
    if part not in PARTS:
        print(f"no part {part!r}; known are {', '.join(PARTS)}", file=sys.stderr)
        return 2
    planned = PARTS[part].steps()
    ledger = results_root() / ".campaign" / f"{part}.json"
    ledger.parent.mkdir(parents=True, exist_ok=True)
    done: dict[str, str] = json.loads(ledger.read_text()) if ledger.exists() else {}
    failed: list[str] = []
    for name, command in planned.items():
        if name in done and Path(done[name], "manifest.json").exists():
            continue
        print(f"{part}: {name} ({len(done)} of {len(planned)} done)", flush=True)
        ran = subprocess.run(
            [sys.executable, "-m", "perfkit", *command, "--json"], stdout=subprocess.PIPE
        )
        if ran.returncode not in (0, 3, 4, 99):  # an INVALID or worse run is a result that says so
            failed.append(name)
            print(f"{part}: {name} ended with {ran.returncode}", flush=True)
            continue
        done[name] = json.loads(ran.stdout)["run_dir"]
        ledger.write_text(json.dumps(done, indent=1))
    measured = {name: done[name] for name in planned if name in done}
    rows = [
        {"step": name} | row
        for name, folder in measured.items()
        for row in PARTS[part].rows(open_run(folder))
    ]
    print(pd.DataFrame(rows).to_string(index=False))
    if (finish := PARTS[part].finish) is not None and measured:
        print(finish(measured))
    if failed:
        print(f"{part}: start again to try {len(failed)} steps that failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
