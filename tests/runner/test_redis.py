"""Trials on each Redis profile, and with one Redis for each queue."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfkit.api.document import outcome
from perfkit.api.measure import measure
from perfkit.api.runs import Run
from perfkit.errors import StackError, UsageError
from perfkit.launcher.guard import Guard
from perfkit.plan import build

SHORT = {"warmup": "300ms", "duration": "2s", "rate": 40.0, "drain": "15s"}
QUEUES = {"payments", "notifications", "webhooks"}


def balanced(found: Run) -> None:
    counts: dict[str, Any] = outcome(found)["accounting"]
    assert counts["planned"] == counts["done"] > 50
    assert counts["unexplained"] == 0


@pytest.mark.parametrize(
    "profile",
    [
        pytest.param("aof-everysec", marks=pytest.mark.full),
        pytest.param("aof-always", marks=pytest.mark.full),
        "lru-4gb",
    ],
)
def test_every_job_is_done_on_a_profile(tmp_path: Path, profile: str) -> None:
    plan = build(["smoke"], values=SHORT | {"redis.profile": profile})
    found = measure(plan, results=tmp_path, report=False)
    balanced(found)
    assert found.trial_facts(0)["stack"]["redis"]["profile"] == profile
    samples = found.samples()
    # The slow log was looked at, whether or not there was anything in it.
    assert len(samples[samples["metric"] == "redis.slow_commands"]) >= 2
    asked = {kind for kind in found.trial_facts(0)["sampler"]["errors"] if "slowlog" in kind}
    assert not asked


def apart_toml(folder: Path) -> str:
    """Smoke, with a pool and a server for each queue."""
    text = (Path(__file__).resolve().parents[2] / "perfkit/builtin/smoke.toml").read_text()
    head, _, tail = text.partition("[stack]\nworkers = 2\nthreads = 8\n")
    pools = "".join(
        f'[[stack.pool]]\nname = "{queue}"\nqueues = ["{queue}"]\nworkers = 1\nthreads = 8\n\n'
        for queue in sorted(QUEUES)
    )
    path = folder / "apart.toml"
    path.write_text(f"{head}{pools}\n[redis]\nper_queue = true\n{tail}")
    return str(path)


@pytest.mark.full
def test_with_a_server_for_each_queue_nothing_is_lost_and_each_is_seen(tmp_path: Path) -> None:
    plan = build([apart_toml(tmp_path)], values=SHORT)
    found = measure(plan, results=tmp_path / "results", report=False)
    balanced(found)
    samples = found.samples()
    for metric in ("redis.up", "redis.memory_bytes", "redis.slow_commands", "queue.waiting"):
        assert set(samples[samples["metric"] == metric]["subject"]) == QUEUES, metric
    cpu = set(samples[samples["metric"] == "process.cpu_ns"]["subject"])
    assert {f"redis-{queue}" for queue in QUEUES} <= cpu
    assert "redis" not in cpu
    facts = found.trial_facts(0)
    assert {each["queue"] for each in facts["stack"]["redis"]["servers"]} == QUEUES
    assert {facts["processes"][f"redis-{queue}"]["role"] for queue in QUEUES} == {"redis"}
    # The jobs went where their enqueueing was stamped.
    assert found.deliveries()["enqueued_ns"].notna().all()
    resources = found.resources(0)
    roles = resources[resources["role"] == "redis"]["process"]
    assert set(roles) == {f"redis-{queue}" for queue in QUEUES}


def test_somebodys_redis_and_one_for_each_queue_exclude_each_other(
    tmp_path: Path, clean_redis: str
) -> None:
    plan = build([apart_toml(tmp_path)], values=SHORT)
    with pytest.raises(UsageError, match="--redis names one server") as caught:
        measure(plan, redis=clean_redis, results=tmp_path / "results", report=False)
    assert "per_queue = false" in caught.value.mend


def test_a_disk_that_is_full_ends_the_trial_with_a_clear_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_folder = Guard.make_folder

    def with_full_file(guard: Guard) -> Path:
        folder = make_folder(guard)
        (folder / "appendonlydir").mkdir()
        (folder / "appendonlydir" / "appendonly.aof.1.incr.aof").symlink_to("/dev/full")
        return folder

    monkeypatch.setattr(Guard, "make_folder", with_full_file)
    plan = build(["smoke"], values=SHORT | {"redis.profile": "aof-everysec"})
    with pytest.raises(StackError, match="No space left on device") as caught:
        measure(plan, results=tmp_path, report=False)
    assert "redis can't write its data" in caught.value.what
    assert "no-persistence" in caught.value.mend
