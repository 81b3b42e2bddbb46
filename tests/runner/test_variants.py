"""The same trial on other foundations: somebody's Redis, the stock command line, pools."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import redis

from perfkit.api.document import outcome
from perfkit.api.measure import measure
from perfkit.api.runs import Run
from perfkit.errors import ScenarioError, UsageError
from perfkit.plan import build

SHORT: dict[str, Any] = {"warmup": "500ms", "duration": "2s", "drain": "15s", "rate": 60.0}


def run(tmp_path: Path, redis_url: str | None = None, **values: Any) -> Run:
    plan = build(["smoke"], values=SHORT | {k.replace("__", "."): v for k, v in values.items()})
    return measure(plan, redis=redis_url, results=tmp_path, report=False)


def balanced(found: Run) -> dict[str, Any]:
    counts: dict[str, Any] = outcome(found)["accounting"]
    assert counts["planned"] == counts["done"] > 50
    assert counts["unexplained"] == 0
    return counts


@pytest.mark.full
def test_on_somebodys_redis_nothing_of_it_is_stopped_or_flushed(
    tmp_path: Path, clean_redis: str
) -> None:
    with redis.Redis.from_url(clean_redis) as client:
        client.set("theirs", "kept")
        found = run(tmp_path, clean_redis)
        balanced(found)
        assert client.get("theirs") == b"kept"
        # A second run there finds the first one's ledger and is not misled by it.
        balanced(run(tmp_path, clean_redis))
    password = clean_redis.split(":")[2].partition("@")[0]
    for path in tmp_path.rglob("*"):
        if path.is_file():
            assert password.encode() not in path.read_bytes(), path


def test_a_redis_that_holds_jobs_is_refused_before_anything_is_written(
    tmp_path: Path, clean_redis: str
) -> None:
    with redis.Redis.from_url(clean_redis) as client:
        client.hset("dramatiq:payments.msgs", "id", "{}")
    with pytest.raises(UsageError, match="already holds jobs"):
        run(tmp_path, clean_redis)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full
def test_dead_letters_of_earlier_days_are_not_this_runs(tmp_path: Path, clean_redis: str) -> None:
    with redis.Redis.from_url(clean_redis) as client:
        client.zadd("dramatiq:payments.XQ", {"old": time.time() * 1000})
        client.hset("dramatiq:payments.XQ.msgs", "old", '{"message_id": "old"}')
    found = run(tmp_path, clean_redis)
    balanced(found)
    assert found.verdict().status in ("PASS", "FAIL"), found.verdict().reasons


def test_a_queue_the_application_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=r"job\.0\.queue: .*did you mean 'payments'"):
        run(
            tmp_path,
            job__0__queue="paymens",
            gateway={name: {"median": "1ms"} for name in ("paymens", "notifications", "webhooks")},
        )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.full
def test_no_drain_is_no_interruption(tmp_path: Path) -> None:
    plan = build(["smoke"], values={**SHORT, "drain": "0s"})
    found = measure(plan, results=tmp_path, report=False)
    assert found.manifest["status"] == "complete"
    assert found.trial_facts(0)["outcome"] == "complete"


def test_measuring_never_imports_pandas_not_even_between_trials(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib\n"
        "from perfkit.plan import build\n"
        "from perfkit.runner import Interrupt, Options, conduct\n"
        "values = {'warmup': '0s', 'duration': '1s', 'rate': 40.0}\n"
        "plan = build(['smoke'], values=values)\n"
        "options = Options(results=pathlib.Path(sys.argv[1]))\n"
        "conduct(plan, options, lambda _: None, Interrupt())\n"
        "print([n for n in ('pandas', 'duckdb', 'matplotlib') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


@pytest.mark.full
def test_the_stock_command_line_runs_the_workers(tmp_path: Path) -> None:
    found = run(tmp_path, stack__supervisor="dramatiq")
    balanced(found)
    workers = set(found.deliveries()["worker"].dropna())
    assert len(workers) == 2


def test_pools_serve_their_own_queues_only(tmp_path: Path) -> None:
    scenario = tmp_path / "pools.toml"
    scenario.write_text(pools_toml())
    plan = build([str(scenario)], values=SHORT)
    found = measure(plan, results=tmp_path / "results", report=False)
    balanced(found)
    served = found.deliveries().groupby("worker")["queue"].unique()
    assert {worker: sorted(queues) for worker, queues in served.items()} == {
        "pay-1": ["payments"],
        "rest-1": ["notifications", "webhooks"],
    }


def pools_toml() -> str:
    text = (Path(__file__).resolve().parents[2] / "perfkit/builtin/smoke.toml").read_text()
    head, _, tail = text.partition("[stack]\nworkers = 2\nthreads = 8\n")
    pools = (
        '[[stack.pool]]\nname = "pay"\nqueues = ["payments"]\nworkers = 1\nthreads = 4\n\n'
        '[[stack.pool]]\nname = "rest"\nqueues = ["notifications", "webhooks"]\nworkers = 1\n'
        "threads = 8\n"
    )
    return head + pools + tail


@pytest.mark.full
def test_without_persistence_is_a_profile(tmp_path: Path) -> None:
    found = run(tmp_path, redis__profile="no-persistence")
    balanced(found)
    assert json.loads((found.path / "manifest.json").read_text())["redis"]["config"]["save"] == ""


@pytest.mark.full
def test_a_closed_model_counts_what_came_due(tmp_path: Path) -> None:
    plan = build(
        ["light"],
        values={"users": 40, "load.ramp": "500ms", "warmup": "500ms", "duration": "3s",
                "load.think.low": "200ms", "load.think.high": "400ms", "drain": "15s"},
    )  # fmt: skip
    found = measure(plan, results=tmp_path, report=False)
    counts = balanced(found)
    assert counts["dropped"] == 0
    jobs = found.jobs()
    assert jobs["user"].nunique() == 40
