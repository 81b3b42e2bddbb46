"""The sample, loaded straight into its queues: no ingest is started, and the counters agree."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest

from perfkit.api.document import outcome
from perfkit.api.measure import measure
from perfkit.errors import UsageError
from perfkit.plan import build
from tests.soundness import assert_sound

STRAIGHT = """
name = "straight"
seed = 3
[load]
via = "enqueue"
model = "closed"
users = 40
pacing = "500ms"
[window]
warmup = "500ms"
duration = "2s"
drain = "15s"
[[job]]
queue = "payments"
actor = "payments"
args = [{ key = { seeded = "key" }, amount = { seeded = "int", low = 100, high = 99999 } }]
[[job]]
queue = "webhooks"
actor = "webhooks"
args = [{ key = { seeded = "key" } }]
[gateway]
payments = { median = "5ms" }
webhooks = { median = "5ms" }
"""


def straight(tmp_path: Path, **values: Any) -> dict[str, Any]:
    path = tmp_path / "straight.toml"
    path.write_text(STRAIGHT)
    assert tomllib.loads(STRAIGHT)["name"] == "straight"
    plan = build([str(path)], values=values)
    found = measure(plan, results=tmp_path / "results", report=False)
    facts = found.trial_facts(0)
    assert "ingest" not in {each["role"] for each in facts["processes"].values()}
    # The keys are those of the plan, so the gateway's calls join the jobs.
    assert found.jobs()["gateway_ns"].notna().all()
    assert found.jobs()["user"].nunique() == 40
    assert found.accounting().balanced
    return outcome(found)


def test_every_job_is_accounted_for(tmp_path: Path) -> None:
    told = straight(tmp_path)
    assert_sound(told)
    counts = told["accounting"]
    assert counts["planned"] == counts["accepted"] == counts["done"] == 200
    assert counts["unexplained"] == 0


def test_settings_of_a_server_that_is_not_ours_are_refused(
    tmp_path: Path, clean_redis: str
) -> None:
    plan = build(["smoke"], values={"redis.maxmemory": "32MB"})
    with pytest.raises(UsageError, match="a server that is not configured here"):
        measure(plan, redis=clean_redis, results=tmp_path, report=False)
    assert list(tmp_path.iterdir()) == []
