"""User code on a real stack: the example of the README, and code that must not be begun with."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

import perfkit
from tests.runner.conftest import ROOT, Start
from tests.soundness import MEASURED

EXAMPLE = ROOT / "tests" / "journeys"


def test_the_example_journey_joins_its_requests_to_their_jobs(measuring: Start) -> None:
    run = measuring("run", str(EXAMPLE / "checkout.toml"), "--no-report", "--progress", "plain")
    assert run.code(120) in MEASURED, run.said()
    found = perfkit.open_run(run.run_folder())
    counted = found.accounting()
    assert all(each.holds for each in counted.identities())
    assert counted.balanced
    assert counted.unexplained == counted.ambiguous == 0
    jobs = found.jobs()
    assert set(jobs["queue"].astype(str)) == {"GET /healthz", "pay", "notify"}
    with_job = jobs[jobs["job_id"].notna()]
    assert set(with_job["queue"].astype(str)) == {"pay", "notify"}
    assert len(with_job) == counted.done
    told = found.journeys().set_index("kind")
    assert told.loc["own", "unit"] == "EUR"
    assert int(str(told.loc["check", "n"])) == float(str(told.loc["check", "passed"])) > 0
    assert {result.queue for result in found.thresholds()} == {"pay", None}


@pytest.mark.parametrize(
    ("code", "words"),
    [("import nothing_like_it", "ModuleNotFoundError"), ("customer = 3", "no coroutine function")],
)
def test_code_that_cannot_be_used_is_refused_before_anything_starts(
    measuring: Start, tmp_path: Path, code: str, words: str
) -> None:
    shutil.copy(EXAMPLE / "checkout.toml", tmp_path)
    (tmp_path / "checkout.py").write_text(code)
    run = measuring("run", str(tmp_path / "checkout.toml"), "--no-report", "--progress", "plain")
    assert run.code(60) == 2
    assert words in run.said()
    assert not list(run.results.glob("*/*/manifest.json"))


@pytest.mark.full
def test_code_that_never_yields_makes_the_trial_invalid_and_names_the_line(
    measuring: Start, tmp_path: Path
) -> None:
    shutil.copy(EXAMPLE / "checkout.toml", tmp_path)
    (tmp_path / "checkout.py").write_text(
        "async def customer(client, ctx):\n    await client.get('/healthz')\n"
        "    while ctx.iteration == 1:\n        pass\n"
    )
    run = measuring("run", str(tmp_path / "checkout.toml"), "--no-report", "--progress", "plain")
    assert run.code(90) == 3, run.said()
    manifest = json.loads((run.run_folder() / "manifest.json").read_text())
    assert manifest["status"] == "partial"
    reasons = " ".join(perfkit.open_run(run.run_folder()).verdict().reasons)
    assert "blocked" in reasons
    assert "checkout.py:" in reasons
