"""A second customer: an application that has never heard of perfkit, measured from end to end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import redis

from perfkit.api.runs import Run, open_run
from tests.leaks import assert_gone, descendants_of, identities
from tests.soundness import MEASURED, assert_sound
from tests.waiting import wait_until

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def perfkit(results: Path, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "perfkit", "run", str(HERE / "shop.toml"), "--json", "--no-report",
         "--results", str(results), *options],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


def told(process: subprocess.Popen[str]) -> tuple[dict[str, Any], Run]:
    """What it printed, and the run it left."""
    out, err = process.communicate(timeout=120)
    assert process.returncode in MEASURED, err
    document: dict[str, Any] = json.loads(out)
    return document, open_run(document["run_dir"])


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Run]:
    return told(perfkit(tmp_path_factory.mktemp("results")))


def test_it_is_measured_without_a_change_and_every_job_is_accounted_for(
    measured: tuple[dict[str, Any], Run],
) -> None:
    document, run = measured
    assert_sound(document)
    counts = document["accounting"]
    assert counts["planned"] == counts["accepted"] == counts["done"] > 150
    assert counts["unexplained"] == counts["ambiguous"] == counts["errored"] == 0
    assert run.accounting().balanced


def test_jobs_that_jobs_enqueue_are_counted_apart(measured: tuple[dict[str, Any], Run]) -> None:
    _, run = measured
    jobs = run.jobs()
    planned = set(jobs["job_id"])
    deliveries = run.deliveries()
    asked = deliveries[deliveries["job_id"].isin(planned)]
    assert set(asked["actor"]) == {"resize", "newsletter"}
    spawned = deliveries[~deliveries["job_id"].isin(planned)]
    # A picture is published and somebody written to (a pipeline); three get a letter (a group).
    pictures, letters = (int((asked["actor"] == name).sum()) for name in ("resize", "newsletter"))
    assert spawned["actor"].value_counts().to_dict() == {
        "publish": pictures,
        "written": pictures + 3 * letters,
    }
    assert run.accounting().spawned == 2 * pictures + 3 * letters
    assert set(deliveries["outcome"]) == {"done"}


def test_what_the_system_does_not_have_is_missing_and_not_nought(
    measured: tuple[dict[str, Any], Run],
) -> None:
    document, run = measured
    jobs = run.jobs()
    assert jobs["added_ns"].isna().all()
    assert jobs["gateway_ns"].isna().all()
    assert run.trial_facts(0)["ledger"] is None
    names = [each.name for each in run.accounting().counters]
    assert not [name for name in names if "gateway" in name or "ledger" in name]
    roles = {each["role"] for each in run.trial_facts(0)["processes"].values()}
    assert roles == {"redis", "worker", "generator", "perfkit"}
    assert document["trials"][0]["n"] > 100


def test_its_queues_and_its_own_are_sampled_under_its_namespace(
    measured: tuple[dict[str, Any], Run],
) -> None:
    _, run = measured
    samples = run.samples(metric="queue.waiting")
    assert set(samples["subject"]) == {"images", "mail"}
    system = run.trial_facts(0)["system"]
    assert set(system.pop("versions")) == {"python", "dramatiq", "redis"}
    assert system == {
        "version": "",
        "broker": "shop.tasks:broker",
        "namespace": "shop",
        "queues": ["images", "mail"],
        "env": ["SHOP_CURRENCY"],
    }


def test_requests_are_sent_on_time_and_join_their_jobs(
    measured: tuple[dict[str, Any], Run],
) -> None:
    _, run = measured
    jobs = run.jobs()
    assert (jobs["sent_ns"] >= jobs["intended_ns"]).all()
    assert (jobs["sent_ns"] <= jobs["enqueued_ns"]).all()
    assert (jobs["enqueued_ns"] <= jobs["started_ns"]).all()


def test_the_same_seed_draws_the_same_jobs(measured: tuple[dict[str, Any], Run]) -> None:
    _, run = measured
    assert run.requests()["key"].tolist() == [f"7/{n}" for n in range(len(run.requests()))]


def test_values_of_its_environment_are_in_no_file_of_a_run(tmp_path: Path) -> None:
    secret = "pin-of-the-shop-271828"
    process = perfkit(
        tmp_path, "--duration", "1s", "--warmup", "0s", "--set", f"system.env.SHOP_MOTTO={secret}"
    )
    told(process)
    found = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for path, content in found.items():
        assert secret.encode() not in content, path
    # The application itself says it as it starts.
    (log,) = (content for path, content in found.items() if path.name == "worker-1.log")
    assert b"Our motto: ***" in log


@pytest.mark.full
def test_with_a_worker_killed_no_job_is_unexplained(tmp_path: Path) -> None:
    quick = ("--set", "stack.heartbeat_timeout=2s", "--set", "stack.maintenance_chance=100000")
    process = perfkit(tmp_path, "--duration", "6s", *quick)
    wait_for_window(tmp_path, process)
    (lease,) = (tmp_path / ".leases").glob("*.json")
    children = json.loads(lease.read_text())["children"]
    (victim,) = (child["pid"] for child in children if child["name"] == "worker-1")
    everybody = identities(descendants_of(process.pid))
    os.kill(victim, signal.SIGKILL)
    document, run = told(process)
    counts = document["accounting"]
    assert_sound(document)
    assert counts["unexplained"] == 0
    assert run.accounting().balanced
    assert [death["name"] for death in run.trial_facts(0)["deaths"]] == ["worker-1"]
    # Another worker takes over, so what the dead one held is done, twice perhaps, or still held.
    assert counts["done"] + counts["stranded"] + counts["done_unacked"] >= counts["accepted"] - 1
    assert_gone(everybody)


def wait_for_window(results: Path, process: subprocess.Popen[str]) -> None:
    """Return when load runs."""

    def measuring() -> bool:
        assert process.poll() is None, process.communicate()
        for path in results.glob("shop/*/trial=0000.partial/trial.json"):
            if "instants_ns" in json.loads(path.read_text()):
                return True
        return False

    wait_until(measuring, 60, "the load has begun")


def test_a_redis_that_holds_jobs_of_its_namespace_is_refused(
    tmp_path: Path, clean_redis: str
) -> None:
    with redis.Redis.from_url(clean_redis) as client:
        client.hset("shop:images.msgs", "id", "{}")
    process = perfkit(tmp_path, "--redis", clean_redis)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, "")
    assert "already holds jobs" in err
    assert list(tmp_path.iterdir()) == []
