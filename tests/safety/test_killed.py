"""Whatever of perfkit is killed, and whenever: nothing stays, and what was measured is kept."""

from __future__ import annotations

import json
import os
import random
import signal
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from perfkit.api.runs import open_run
from perfkit.errors import RunNotSealed
from perfkit.store import verify
from tests.runner.conftest import Measuring, Start
from tests.safety.surroundings import Held, child_running
from tests.waiting import wait_until

SHORT = ("--no-report", "--warmup", "500ms", "--duration", "2s", "--rate", "100")


def measured(run: Measuring) -> list[Path]:
    return [path for path in run.results.glob("smoke/*") if not path.name.startswith(".")]


def assert_nothing_is_misread(folder: Path) -> None:
    """Each row that was kept says something that can have happened."""
    assert verify(folder) == []
    run = open_run(folder)
    assert run.manifest["status"] == "partial"
    for trial in run.stored.trials:
        load_start = run.trial_facts(trial)["instants_ns"]["load_start"]
        requests = pq.read_table(folder / f"trial={trial:04d}" / "requests.parquet").to_pylist()
        assert len({row["seq"] for row in requests}) == len(requests)
        assert len({row["key"] for row in requests}) == len(requests)
        for row in requests:
            stamps = [row[f"{name}_ns"] for name in ("sent", "first_byte", "done")]
            known = [stamp for stamp in stamps if stamp is not None]
            assert known == sorted(known)
            assert all(load_start <= stamp < load_start + 120e9 for stamp in known)
        ids = {row["job_id"] for row in requests}
        jobs = pq.read_table(folder / f"trial={trial:04d}" / "jobs.parquet").to_pylist()
        deliveries = [(row["redis_message_id"], row["delivery"]) for row in jobs]
        assert len(set(deliveries)) == len(deliveries)
        for row in jobs:
            assert row["job_id"] in ids
            stages = ("enqueued", "fetched", "started", "finished", "acked")
            known = [row[f"{name}_ns"] for name in stages if row[f"{name}_ns"] is not None]
            assert known == sorted(known)
            assert all(load_start <= stamp < load_start + 120e9 for stamp in known)
            assert row["outcome"] != "done" or row["finished_ns"] is not None
        assert run.accounting(trial).counts()["planned"] == len(requests)


def killed_at_random(measuring: Start, temporary: Path, chance: random.Random) -> str:
    run = measuring("run", "smoke", *SHORT, "--progress", "plain")
    run.until_it_says(chance.choice(["starting", "warming up", "measuring", "draining"]))
    wait_s = chance.uniform(0, 1.5)
    with pytest.raises(AssertionError):
        wait_until(lambda: run.process.poll() is not None, wait_s, "it ends, which it does not")
    held = Held.by(run.process.pid, run.results)
    run.send(signal.SIGKILL)
    run.code()
    held.assert_given_back(temporary)
    (folder,) = measured(run)
    with pytest.raises(RunNotSealed):
        open_run(folder)
    repaired = measuring("repair")
    assert repaired.code() == 0, repaired.said()
    assert_nothing_is_misread(folder)
    trials = len(open_run(folder).stored.trials)
    for path in sorted(folder.parent.rglob("*"), reverse=True):
        path.unlink() if path.is_file() else path.rmdir()
    return f"{trials} kept"


@pytest.mark.parametrize(
    ("kills", "seed"), [(2, 1), pytest.param(10, 2, marks=pytest.mark.full)], ids=["two", "ten"]
)
def test_a_run_that_is_killed_at_any_moment_is_repaired_without_a_misread_row(
    measuring: Start, temporary: Path, kills: int, seed: int
) -> None:
    chance = random.Random(seed)
    outcomes = [killed_at_random(measuring, temporary, chance) for _ in range(kills)]
    assert "1 kept" in outcomes


@pytest.mark.full
def test_a_killed_generator_makes_the_trial_invalid_and_its_rows_are_kept(
    measuring: Start, temporary: Path
) -> None:
    run = measuring("run", "smoke", *SHORT[:-4], "--duration", "8s", "--progress", "plain")
    run.until_it_says("measuring")
    generator = child_running("perfkit.load", run.process.pid)
    assert generator is not None
    held = Held.by(run.process.pid, run.results)
    os.kill(generator, signal.SIGKILL)
    assert run.code(120) == 3, run.said()
    assert "Traceback" not in run.said()
    assert "the load generator died (signal 9) at " in run.said()
    held.assert_given_back(temporary)
    (folder,) = measured(run)
    assert_nothing_is_misread(folder)
    requests = pq.read_table(folder / "trial=0000" / "requests.parquet")
    assert pc.sum(pc.is_valid(requests["sent_ns"])).as_py() > 0
    (trial,) = json.loads((folder / "manifest.json").read_text())["trials"]
    assert trial["outcome"] == "partial"
    assert trial["reason"].startswith("the load generator died (signal 9) at ")
    found = open_run(folder)
    assert found.verdict().status == "INVALID"
    assert found.verdict().reasons[0] == trial["reason"]
    assert [death["name"] for death in found.trial_facts(0)["deaths"]] == ["generator"]
    counts = found.accounting().counts()
    assert counts["planned"] == counts["sent"] + counts["dropped"] == len(requests)


@pytest.mark.full
def test_a_killed_maker_of_tables_is_started_again_and_the_trial_is_partial(
    measuring: Start, temporary: Path
) -> None:
    run = measuring("run", "smoke", *SHORT, "--progress", "plain")
    run.until_it_says("collecting")
    wait_until(lambda: child_running("perfkit.runner.tabulate", run.process.pid), 20, "it starts")
    held = Held.by(run.process.pid, run.results)
    child = child_running("perfkit.runner.tabulate", run.process.pid)
    assert child is not None
    os.kill(child, signal.SIGKILL)
    assert run.code() == 1, run.said()
    assert "Traceback" not in run.said()
    held.assert_given_back(temporary)
    (folder,) = measured(run)
    assert_nothing_is_misread(folder)
    assert open_run(folder).accounting().counts()["done"] > 100


@pytest.mark.full
def test_a_second_ctrl_c_hurries_and_leaves_as_little(measuring: Start, temporary: Path) -> None:
    run = measuring("run", "smoke", *SHORT[:-4], "--duration", "20s", "--progress", "plain")
    run.until_it_says("measuring")
    held = Held.by(run.process.pid, run.results)
    run.send(signal.SIGINT)
    run.until_it_says("collecting")
    run.send(signal.SIGINT)
    assert run.code(15) == 130, run.said()
    assert "Traceback" not in run.said()
    held.assert_given_back(temporary)
    (folder,) = measured(run)
    assert measuring("repair").code() == 0
    assert_nothing_is_misread(folder)
