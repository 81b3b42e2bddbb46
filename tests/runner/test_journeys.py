"""User code on a real stack: the example of the README, and code that must not be begun with."""

from __future__ import annotations

import json
import os
import shutil
import signal
from pathlib import Path

import pytest

import perfkit
from tests.leaks import assert_gone, descendants_of, identities
from tests.runner.conftest import ROOT, Start, generators
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


@pytest.mark.full
def test_a_journey_from_two_shards_is_one_load(measuring: Start) -> None:
    asked = ("--shards", "2", "--no-report", "--progress", "plain")
    run = measuring("run", str(EXAMPLE / "checkout.toml"), *asked)
    assert run.code(180) in MEASURED, run.said()
    found = perfkit.open_run(run.run_folder())
    counted = found.accounting()
    assert all(each.holds for each in counted.identities())
    assert counted.balanced
    assert counted.unexplained == counted.ambiguous == 0
    generator = found.trial_facts(0)["generator"]
    assert generator["shards"] == 2
    assert all(each["rows"] == each["counted"] > 0 for each in generator["by_shard"])
    requests = found.requests()
    assert sorted(requests["user"].unique()) == list(range(found.trial_facts(0)["users"]))
    told = found.journeys().set_index("kind")
    assert int(str(told.loc["check", "n"])) == float(str(told.loc["check", "passed"])) > 0


@pytest.mark.full
def test_a_dead_shard_of_a_journey_makes_the_trial_invalid_and_is_named(measuring: Start) -> None:
    asked = ("--shards", "2", "--duration", "30s", "--no-report", "--progress", "plain")
    run = measuring("run", str(EXAMPLE / "checkout.toml"), *asked)
    run.until_it_says("measuring")
    os.kill(generators(run)["shard-2"], signal.SIGKILL)
    assert run.code(180) == 3, run.said()
    found = perfkit.open_run(run.run_folder())
    verdict = found.verdict()
    assert verdict.status == "INVALID"
    assert verdict.reasons[0].startswith("load shard 2 of 2 died (signal 9) at ")
    shards = found.trial_facts(0)["generator"]["by_shard"]
    assert all(each["rows"] > 0 for each in shards), "its rows up to the kill are kept"
    assert len(found.requests()) == sum(each["rows"] for each in shards)
    assert not found.journeys().empty


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


@pytest.mark.full
def test_ctrl_c_seals_a_journey_whose_code_will_not_end(measuring: Start, tmp_path: Path) -> None:
    shutil.copy(EXAMPLE / "checkout.toml", tmp_path)
    (tmp_path / "checkout.py").write_text(
        "import asyncio\n\n"
        "async def customer(client, ctx):\n"
        "    await client.get('/healthz')\n"
        "    while True:\n"
        "        try:\n"
        "            await asyncio.Event().wait()\n"
        "        except asyncio.CancelledError:\n"
        "            pass\n"
    )
    run = measuring("run", str(tmp_path / "checkout.toml"), "--no-report", "--progress", "plain")
    run.until_it_says("measuring")
    processes = identities(descendants_of(run.process.pid))
    run.send(signal.SIGINT)
    assert run.code(120) == 130, run.said()
    assert_gone(processes)
    found = perfkit.open_run(run.run_folder())
    assert (found.manifest["status"], found.manifest["reason"]) == ("partial", "interrupted")
    assert found.trial_facts(0)["deaths"] == []
    assert set(found.requests()["queue"].astype(str)) <= {"GET /healthz", "customer: not begun"}
