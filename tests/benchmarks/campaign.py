"""Long measurements that go on where they stopped: ``make campaign PART=stacks``.

A part is a list of steps, each one ``perfkit`` run. A step that is done is written into
``results/.campaign/<part>.json`` with its folder; started again, the part skips it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from perfkit.api.runs import open_run
from perfkit.paths import results_root
from perfkit.units import format_ms

USERS = ("--users", "1000", "--warmup", "10s", "--set", "window.drain=30s")
PRESETS = ("stock", "low-latency")


def steps(part: str) -> dict[str, tuple[str, ...]]:
    """Name of each step -> arguments of perfkit.

    Presets alternate, so that a slow drift of the host falls on each of them.
    """
    if part != "stacks":
        print(f"no part {part!r}; known is: stacks", file=sys.stderr)
        sys.exit(2)
    return {
        f"{preset} {turn}": (
            "run", "light", "--preset", preset, "--duration", "50s", "--set", f"seed={turn}",
            "--workers", "2", "--threads", "24", *USERS,
        )
        for turn in range(1, 4)
        for preset in PRESETS
    }  # fmt: skip


def main(arguments: Sequence[str]) -> int:
    """Carry out what is not done, then print the part's table."""
    part = arguments[0] if arguments else "stacks"
    planned = steps(part)
    ledger = results_root() / ".campaign" / f"{part}.json"
    ledger.parent.mkdir(parents=True, exist_ok=True)
    done: dict[str, str] = json.loads(ledger.read_text()) if ledger.exists() else {}
    for name, command in planned.items():
        if name in done and Path(done[name], "manifest.json").exists():
            continue
        print(f"{part}: {name} ({len(done)} of {len(planned)} done)", flush=True)
        ran = subprocess.run(
            [sys.executable, "-m", "perfkit", *command, "--no-report", "--json"],
            stdout=subprocess.PIPE,
        )
        if ran.returncode not in (0, 99):
            print(f"{part}: {name} ended with {ran.returncode}; start again to go on")
            return 1
        done[name] = json.loads(ran.stdout)["run_dir"]
        ledger.write_text(json.dumps(done, indent=1))
    print(table(done).to_string(index=False))
    return 0


def table(done: dict[str, str]) -> pd.DataFrame:
    """One line a step: costs per job, and added latency by queue."""
    rows: list[dict[str, Any]] = []
    for name, folder in done.items():
        run = open_run(folder)
        (trial,) = run.trials().to_dict("records")
        row: dict[str, Any] = {
            "step": name,
            "jobs/s": round(trial["throughput_per_s"], 1),
            "workers ms/job": round(trial["workers_cpu_ms_per_job"], 2),
            "ingest ms/job": round(trial["ingest_cpu_ms_per_job"], 2),
            "redis ms/job": round(trial["redis_cpu_ms_per_job"], 3),
            "generator core": f"{100 * trial['generator_cpu_share']:.1f} %",
            "added all": " / ".join(format_ms(trial[f"added_p{p}_ns"]) for p in (50, 95, 99)),
        }
        for each in run.percentiles(by=("queue",)).to_dict("records"):
            row[f"{each['queue']} P95"] = format_ms(each["p95_ns"])
        for each in run.percentiles(by=("queue",), value="added_ns").to_dict("records"):
            row[f"{each['queue']} added"] = " / ".join(
                format_ms(each[f"p{p}_ns"]) for p in (50, 95, 99)
            )
        row["verdict"] = run.verdict().status
        rows.append(row)
    return pd.DataFrame(rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
