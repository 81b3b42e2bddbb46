"""What happens while a trial runs, on real stacks: phases, scaling, outages, aborts, servers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfkit.api.document import outcome
from perfkit.api.measure import measure
from perfkit.api.runs import Run
from perfkit.plan import build
from perfkit.scenario import load_document

SHORT: dict[str, Any] = {"warmup": "500ms", "drain": "15s"}
QUEUES = ("payments", "notifications", "webhooks")


def run(tmp_path: Path, name: str = "smoke", axes: Any = None, **values: Any) -> Run:
    asked = SHORT | {key.replace("__", "."): value for key, value in values.items()}
    return measure(build([name], values=asked, axes=axes), results=tmp_path, report=False)


def balanced(found: Run) -> dict[str, Any]:
    counts: dict[str, Any] = outcome(found)["accounting"]
    assert counts["planned"] == counts["done"] > 50
    assert counts["unexplained"] == 0
    return counts


def test_workers_come_and_go_as_planned_and_no_job_is_lost(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        rate=60.0,
        duration="5s",
        scale__0__at="500ms",
        scale__0__workers=3,
        scale__1__at="3s",
        scale__1__workers=1,
    )
    balanced(found)
    facts = found.trial_facts(0)
    window_ns = facts["instants_ns"]["window_start"]
    events = facts["scale_events"]
    assert [(each["from_workers"], each["to_workers"], each["reason"]) for each in events] == [
        (2, 3, "planned"),
        (3, 1, "planned"),
    ]
    for event, at_s in zip(events, (0.5, 3.0), strict=True):
        assert event["at_ns"] >= window_ns + at_s * 1e9
        assert event["done_ns"] > event["at_ns"]
        assert event["error"] is None
    lives = {each["name"]: each for each in facts["worker_lives"]}
    assert set(lives) == {"worker-1", "worker-2", "worker-3"}
    assert lives["worker-3"]["started_ns"] >= events[0]["at_ns"]
    assert facts["deaths"] == []
    assert found.trial_facts(0)["recorder"]["spools"] >= 3


@pytest.mark.full
def test_a_rule_adds_workers_while_jobs_wait_too_long(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        rate=60.0,
        duration="6s",
        workers=1,
        threads=1,  # 18 jobs a second at most
        autoscale__target="200ms",
        autoscale__maximum=4,
        autoscale__every="500ms",
    )
    balanced(found)
    events = found.trial_facts(0)["scale_events"]
    assert events[0]["from_workers"] == 1
    assert events[0]["to_workers"] > 1
    assert events[0]["reason"].startswith("autoscale: the oldest job has waited")


@pytest.mark.full
def test_in_an_outage_every_call_of_its_queue_fails_at_once_and_is_tried_again(
    tmp_path: Path,
) -> None:
    found = run(
        tmp_path,
        rate=60.0,
        duration="4s",
        gateway__payments__outage_from="1s",
        gateway__payments__outage_until="2s",
    )
    balanced(found)
    window_ns = found.trial_facts(0)["instants_ns"]["window_start"]
    calls = found.stored.table("calls", 0).to_pandas()
    at_s = (calls["received_ns"] - window_ns) / 1e9
    out = calls[(at_s >= 1) & (at_s < 2)]
    assert set(out.loc[out["queue"] == "payments", "status"]) == {503}
    assert set(out.loc[out["queue"] == "notifications", "status"]) == {200}
    before = calls[(at_s < 1) & (calls["queue"] == "payments")]
    assert (before["status"] == 200).mean() > 0.9


@pytest.mark.full
def test_users_follow_the_phases(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        "spike",
        load__ramp="200ms",
        load__think__low="200ms",
        load__think__high="400ms",
        load__phase__0__users=4,
        load__phase__1__users=40,
        load__phase__2__users=4,
        duration="6s",
        stack__threads=8,
    )
    balanced(found)
    facts = found.trial_facts(0)
    start_ns = facts["instants_ns"]["load_start"]
    jobs = found.jobs()
    counts = []
    for piece in facts["stretches"]:
        offset = jobs["intended_ns"] - start_ns
        inside = (offset >= piece["begin_ns"]) & (offset < piece["end_ns"])
        counts.append((piece["name"], piece["phase"], int(inside.sum())))
    steady = {name: count for name, phase, count in counts if phase is not None}
    assert steady["spike"] > 3 * steady["after"] > 0  # of each phase the last piece is kept


@pytest.mark.full
def test_a_threshold_that_aborts_ends_its_trial_and_the_sweep_goes_on(tmp_path: Path) -> None:
    found = run(
        tmp_path,
        rate=60.0,
        duration="4s",
        workers=1,
        threads=1,  # a backlog grows from the beginning
        drain="2s",
        threshold__2__metric="queue.backlog",
        threshold__2__abort=True,
        axes={"threshold.2.expr": ["max<20", "max<100000"]},
    )
    first, second = (found.trial_facts(trial) for trial in (0, 1))
    assert first["outcome"] == "partial"
    assert first["reason"].startswith("aborted: queue.backlog max<20 failed")
    assert first["aborted"]["threshold"] == "queue.backlog max<20"
    assert first["aborted"]["observed"] >= 20
    assert first["instants_ns"]["drain_end"] - first["instants_ns"]["window_start"] < 4e9
    assert (second["outcome"], second["aborted"]) == ("complete", None)
    # It ended by its own rule: nothing of the run is missing.
    assert (found.manifest["status"], found.manifest["reason"]) == ("complete", None)
    assert found.verdict().status == "FAIL"
    assert found.accounting().counts()["unexplained"] == 0


@pytest.fixture
def one_pool_each(tmp_path: Path) -> Path:
    _, text = load_document("smoke")
    head, _, tail = text.partition("[stack]\nworkers = 2\nthreads = 8\n")
    pools = "".join(
        f'[[stack.pool]]\nname = "{queue}"\nqueues = ["{queue}"]\nthreads = 8\n' for queue in QUEUES
    )
    path = tmp_path / "pools.toml"
    path.write_text(f"{head}{pools}[redis]\nper_queue = true\n{tail}")
    return path


@pytest.mark.full
def test_a_server_for_each_queue_is_sampled_and_emptied_like_one_for_all(
    tmp_path: Path, one_pool_each: Path
) -> None:
    found = run(tmp_path / "results", str(one_pool_each), rate=60.0, duration="2s")
    balanced(found)
    samples = found.samples()
    for metric in ("redis.up", "redis.memory_bytes", "queue.waiting"):
        assert set(samples.loc[samples["metric"] == metric, "subject"]) == set(QUEUES)
    assert found.trial_facts(0)["stack"]["redis"]["per_queue"]


def test_a_server_of_somebody_else_can_not_be_one_for_each_queue(
    tmp_path: Path, one_pool_each: Path, clean_redis: str
) -> None:
    from perfkit.errors import UsageError

    with pytest.raises(UsageError, match="one for each queue"):
        measure(build([str(one_pool_each)]), redis=clean_redis, results=tmp_path / "results")
    assert not (tmp_path / "results").exists()
