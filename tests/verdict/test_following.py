"""The pathwise oracle of a real worker whose jobs do nothing but sleep."""

from __future__ import annotations

from pathlib import Path

import pytest

import perfkit
from perfkit.frames import resources

NAPPING = """
import os
import threading

import dramatiq
from dramatiq.brokers.redis import RedisBroker

broker = RedisBroker(url=os.environ["REDIS_URL"])
dramatiq.set_broker(broker)

@dramatiq.actor(queue_name="naps", max_retries=0)
def nap(length_ms):
    threading.Event().wait(length_ms / 1000)  # nobody sets it: the job is to wait so long
"""
SCENARIO = """
name = "napping"
system = { broker = "napping:broker" }
load = { via = "enqueue", model = "open", rate = 40.0 }
window = { warmup = "1s", duration = "20s", drain = "10s" }
stack = { workers = 1, threads = 4 }

[[job]]
queue = "naps"
actor = "nap"
args = [{ seeded = "int", low = 20, high = 100 }]
"""


@pytest.mark.full
def test_recorded_arrivals_and_services_give_back_when_jobs_started(tmp_path: Path) -> None:
    (tmp_path / "napping.py").write_text(NAPPING)
    (tmp_path / "napping.toml").write_text(SCENARIO)
    run = perfkit.run(str(tmp_path / "napping.toml"), results=tmp_path / "results", report=False)
    found = run.pathwise(0)
    assert found.not_applicable is None
    assert found.n > 700
    used = resources(run.stored, 0).set_index("process")["run_queue_wait_share"]
    if used["worker-1"] > 0.03:
        # On a machine that keeps the worker from its core no start is the worker's own: then the
        # order alone is certain.
        assert found.within > 0.5
        return
    assert found.within >= 0.99, found
    assert run.laws().set_index("law").loc["pathwise oracle", "state"] == "holds"
