"""The committed example runs are what their script makes, and small."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from perfkit.api import open_comparison
from perfkit.store import open_run, verify

ROOT = Path(__file__).resolve().parents[2]
EXAMPLES = ROOT / "notebooks" / "example_data"
RUNS = ("good", "bad", "comparison")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two fresh copies, made by the script in two processes with different hash seeds."""
    folders = tmp_path_factory.mktemp("one"), tmp_path_factory.mktemp("two")
    for seed, folder in enumerate(folders):
        environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTHONHASHSEED": str(seed)}
        subprocess.run(
            [sys.executable, EXAMPLES / "make.py", folder],
            check=True,
            capture_output=True,
            env=environment,
        )
    return folders


def _content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("name", RUNS)
def test_making_them_again_gives_the_same_bytes(made: tuple[Path, Path], name: str) -> None:
    assert _content(made[0] / name) == _content(made[1] / name)


@pytest.mark.parametrize("name", RUNS)
def test_what_is_committed_is_what_the_script_makes(made: tuple[Path, Path], name: str) -> None:
    fresh, committed = open_run(made[0] / name), open_run(EXAMPLES / name)
    without_hashes = [
        {key: value for key, value in run.manifest.items() if key != "files"}
        for run in (fresh, committed)
    ]
    assert without_hashes[0] == without_hashes[1]
    for trial in committed.trials:
        assert fresh.trial_facts(trial) == committed.trial_facts(trial)
        for kind in ("requests", "jobs", "samples", "calls", "leftovers"):
            assert fresh.table(kind, trial).equals(committed.table(kind, trial))
    # Another version of Arrow may lay out the same rows in other bytes.
    sample = EXAMPLES / name / "trial=0000" / "jobs.parquet"
    if (
        pq.read_metadata(sample).created_by
        == pq.read_metadata(made[0] / name / "trial=0000" / "jobs.parquet").created_by
    ):
        assert _content(made[0] / name) == _content(EXAMPLES / name)


@pytest.mark.parametrize("name", RUNS)
def test_they_are_whole_small_and_say_that_they_are_simulated(name: str) -> None:
    folder = EXAMPLES / name
    assert verify(folder) == []
    # Sixteen trials are more than three.
    most = 600_000 if name == "comparison" else 200_000
    assert sum(len(content) for content in _content(folder).values()) < most
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["synthetic"] is True
    assert "imulated" in manifest["description"]


def test_all_of_it_is_less_than_a_megabyte() -> None:
    sizes = [
        path.stat().st_size
        for path in EXAMPLES.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    ]
    assert sum(sizes) < 1_000_000


def test_the_comparison_has_one_true_effect_and_it_is_found() -> None:
    found = open_comparison(EXAMPLES / "comparison")
    assert found.outcome == "worse"
    effects = found.effects().set_index("metric")
    assert set(effects.index[effects["outcome"] == "worse"]) == {
        "P50 of payments",
        "P95 of payments",
        "CPU ms per job",
    }
    stages = found.stages()
    [service] = stages.query("of == 'mean' and actor == 'payments' and stage == 'service'").to_dict(
        "records"
    )
    # 6 ms more, and the machine is up to 4 % slower by the end.
    assert service["low_ns"] < 6.15e6 < service["high_ns"]


def test_the_bad_run_has_what_makes_reports_stumble() -> None:
    run = open_run(EXAMPLES / "bad")
    outcomes = {row["outcome"] for row in run.table("jobs", 0).to_pylist()}
    assert {"done", "failed", "dead"} <= outcomes
    errors = {row["error"] for row in run.table("jobs", 0).to_pylist()}
    assert '<b>&"' in errors
    assert '<b>&"' in run.facts(0).label
    assert run.facts(1).deaths
    assert max(row["delivery"] for row in run.table("jobs", 1).to_pylist()) > 1
    assert run.facts(2).outcome == "partial"
    assert run.table("requests", 3).num_rows == 0
