"""The shop by its own way in over HTTP, which perfkit serves beside its workers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfkit.api.runs import open_run
from perfkit.errors import ScenarioError
from perfkit.plan import build
from perfkit.runner.journeys import check_journeys
from tests.runner.conftest import Start, measuring
from tests.safety.test_secrets import leaks
from tests.soundness import MEASURED

__all__ = ["measuring"]

HERE = Path(__file__).resolve().parent
KEY, VOUCHER = "Bearer pl4ntedKey/=+", "pl4nted\"Voucher'"


def test_its_requests_are_joined_to_their_jobs_and_its_key_is_nowhere(
    measuring: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SHOP_KEY", KEY)
    monkeypatch.setenv("SHOP_VOUCHER", VOUCHER)
    run = measuring("run", str(HERE / "web.toml"), "--no-report", "--progress", "plain")
    assert run.code(240) in MEASURED, run.said()
    found = open_run(run.run_folder())
    counted = found.accounting()
    assert counted.balanced
    assert counted.unexplained == counted.ambiguous == counted.refused == counted.errored == 0
    assert counted.planned == counted.sent == counted.accepted == counted.done > 100
    jobs = found.jobs()
    assert set(jobs["queue"].astype(str)) == {"POST /pictures"}
    deliveries = found.deliveries().set_index("job_id")
    assert set(jobs["job_id"]) <= set(deliveries.index)
    assert set(deliveries.loc[jobs["job_id"], "actor"].astype(str)) == {"resize"}
    # A job ends when its worker is done with it, not when the way in has answered.
    ended_ns = deliveries.loc[jobs["job_id"], "finished_ns"].to_numpy()
    assert (jobs["latency_ns"].to_numpy() == ended_ns - jobs["intended_ns"].to_numpy()).all()
    (held,) = found.thresholds()
    assert held.queue == "POST /pictures"
    assert held.n > 80
    roles = {each["role"] for each in found.trial_facts(0)["processes"].values()}
    assert {"ingest", "worker", "redis", "generator"} <= roles
    assert "pl4nted" not in run.said()
    assert leaks(run.results, "pl4nted") == []
    logs = [path.read_text() for path in (run.run_folder() / "logs").rglob("ingest*.log")]
    assert any("A round number, asked for with" in log for log in logs), logs
    manifest = json.loads((run.run_folder() / "manifest.json").read_text())
    (document,) = (each["document"] for each in manifest["scenarios"].values())
    assert document["target"]["headers"] == {"Authorization": {"env": "SHOP_KEY"}}


@pytest.mark.parametrize(
    ("key", "words"), [(None, "SHOP_KEY is not set"), ("Bearer pl4ntedé", "one line of ASCII")]
)
def test_without_a_key_that_can_be_sent_nothing_is_started(
    monkeypatch: pytest.MonkeyPatch, key: str | None, words: str
) -> None:
    monkeypatch.delenv("SHOP_KEY", raising=False)
    if key is not None:
        monkeypatch.setenv("SHOP_KEY", key)
    monkeypatch.setenv("SHOP_VOUCHER", VOUCHER)
    plan = build([str(HERE / "web.toml")])
    with pytest.raises(ScenarioError) as caught:
        check_journeys(plan, plan.trials)
    (problem,) = caught.value.problems
    assert problem.key == "target.headers.Authorization"
    assert words in problem.what
    assert "pl4nted" not in str(caught.value)
