"""What it costs to list many runs: index to be built, index there, and a plain walk beside it.

The runs are fabricated, with manifests of the size of real ones. The walk looks at each run's
folder and asks for the size of its manifest, and no more: no list can be quicker. "perfkit list"
is a whole process, the start of Python included. Says no on exit where a list with the index
takes 2 s or more.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from perfkit.api.history import past_trials
from perfkit.paths import example_data
from perfkit.store import list_runs
from perfkit.store.durable import read_json
from perfkit.store.index import INDEX
from tests.fabricated import figures, passed, planned, write_run

_RUNS = 10_000
_REPEATS = 5
_LIMIT_S = 2.0


def _fabricate(root: Path, runs: int) -> None:
    """Every tenth run a sweep of three; all with what makes real manifests large."""
    manifest = read_json(example_data() / "good" / "manifest.json")
    bulk = {key: manifest[key] for key in ("scenarios", "versions", "redis", "files", "placement")}
    for number in range(runs):
        count = 3 if number % 10 == 0 else 1
        name = f"scenario-{number % 7}"
        write_run(
            root,
            name,
            minutes=number,
            of=[planned(name, f"workers={each + 1}", each) for each in range(count)],
            summary=passed(*(figures(each, 100 + number % 40) for each in range(count))),
            **bulk,
        )


def _walk(root: Path) -> int:
    return sum(
        1
        for name in root.iterdir()
        if name.is_dir()
        for run in name.iterdir()
        if (run / "manifest.json").stat().st_size
    )


def _seconds(action: Callable[[], object], repeats: int = _REPEATS) -> float:
    took = []
    for _ in range(repeats):
        start = time.perf_counter()
        action()
        took.append(time.perf_counter() - start)
    return statistics.median(took)


def measure(runs: int) -> dict[str, float]:
    """Median seconds of each way to list the runs."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        _fabricate(root, runs)

        def build() -> None:
            (root / INDEX).unlink(missing_ok=True)
            assert len(list_runs(root)) == runs

        def command(*verb: str) -> None:
            told = ["perfkit", *verb, "--results", folder]
            code = f"from perfkit.cli import main; main({told[1:]!r})"
            subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)

        return {
            "plain walk": _seconds(lambda: _walk(root)),
            "index built": _seconds(build, 3),
            "index there": _seconds(lambda: list_runs(root)),
            "history of one scenario": _seconds(lambda: past_trials("scenario-3", results=root)),
            "perfkit list": _seconds(lambda: command("list")),
            "perfkit history": _seconds(lambda: command("history", "scenario-3")),
        }


def main(runs: int) -> int:
    """Print the table; 1 where a list takes too long."""
    found = measure(runs)
    print(f"{runs} runs{'':<18}  seconds  x plain walk")
    for name, seconds in found.items():
        print(f"{name:<28}  {seconds:7.3f}  {seconds / found['plain walk']:12.1f}")
    return int(max(found["index there"], found["perfkit list"]) >= _LIMIT_S)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else _RUNS))
