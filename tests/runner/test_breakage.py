"""Whole trials in which things are broken on purpose: what happened is told, nothing is left."""

from __future__ import annotations

import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import redis

from perfkit.errors import ScenarioError
from perfkit.plan import Plan, build
from perfkit.runner import Interrupt, Options, conduct
from perfkit.store import open_run
from perfkit.store.layout import trial_folder
from tests.leaks import no_leaks
from tests.runner.conftest import Start

# Short recovery, so that what a dead worker held comes back within the trial.
SHORT = {
    "rate": 60.0,
    "warmup": "1s",
    "duration": "5s",
    "drain": "15s",
    "preset": "low-latency",
    "stack.heartbeat_timeout": "2s",
    "stack.maintenance_chance": 100_000,
}
STOCK = {"stack.supervisor": "dramatiq", "rate": 40.0, "warmup": "1s", "duration": "4s"}


def plan(*faults: str, values: Mapping[str, Any] = SHORT, **more: Any) -> Plan:
    dotted = {key.replace("__", "."): value for key, value in more.items()}
    return build(["smoke"], values={**values, **dotted}, faults=faults)


def measured(tmp_path: Path, *faults: str, **more: Any) -> dict[str, Any]:
    """The facts of a trial that was carried out, and after which nothing is left."""
    with no_leaks(), Interrupt() as interrupt:
        path = conduct(
            plan(*faults, **more), Options(results=tmp_path / "results"), lambda _: None, interrupt
        )
    facts = open_run(path).trial_facts(0)
    assert facts["outcome"] == "complete", facts["reason"]
    assert all(death["planned"] for death in facts["deaths"])
    return dict(facts)


def seconds(facts: Mapping[str, Any], instant_ns: int) -> float:
    return float(instant_ns - facts["instants_ns"]["window_start"]) / 1e9


def done(facts: Mapping[str, Any], index: int = 0) -> dict[str, Any]:
    """A fault that was carried out, and not before its time."""
    fault: dict[str, Any] = facts["faults"][index]
    assert fault["done"], fault
    assert fault["error"] is None
    assert fault["done_ns"] >= fault["at_ns"]
    return fault


@pytest.mark.full
def test_faults_happen_when_and_to_whom_they_should_and_what_could_not_is_said(
    tmp_path: Path,
) -> None:
    facts = measured(
        tmp_path,
        "stop worker:worker-1 at -500ms for 700ms",
        "slow worker-gateway at 500ms for 1s amount 50ms",
        "outage gateway:payments at 1s for 500ms",
        "kill worker:worker-9 at 1s",
        "kill worker:worker-2 at 1500ms",
        "restart ingest at 2s for 300ms",
        "poison queue:webhooks at 4s",
        stack__restart=True,
        drain="5s",
    )
    faults = facts["faults"]
    assert [seconds(facts, each["at_ns"]) for each in faults] == [
        -0.5, 0.5, 1.0, 1.0, 1.5, 2.0, 4.0,
    ]  # fmt: skip
    for index, length_s in ((0, 0.7), (1, 1.0), (2, 0.5), (5, 0.3)):
        each = done(facts, index)
        assert each["ended_ns"] - each["done_ns"] >= length_s * 1e9
    assert done(facts, 1)["victim"].startswith("worker-gateway")
    missing = faults[3]
    assert (missing["done"], missing["done_ns"], missing["victim"]) == (False, None, None)
    assert missing["error"] == "no worker worker-9 lives"
    assert done(facts, 4)["victim"] == f"worker-2 (pid {pid_of(facts, 'worker-2')})"
    assert done(facts, 6)["victim"].startswith("job ")
    deaths = {each["name"]: each["status"] for each in facts["deaths"]}
    assert deaths["worker-2"] == -signal.SIGKILL
    assert "ingest-1" in deaths
    assert len(deaths) >= 3  # the poison has killed whoever took it
    assert facts["system_env"]["SAMPLE_POISON"] == "1"
    assert facts["generator"]["errored"] > 0  # while the ingest was away
    assert facts["ledger"]["entries"] > 0


def pid_of(facts: Mapping[str, Any], name: str) -> int:
    return int(facts["processes"][name]["pid"])


@pytest.mark.full
@pytest.mark.parametrize("profile", ["aof-everysec", "no-persistence"])
def test_redis_restarts_and_the_trial_goes_on(tmp_path: Path, profile: str) -> None:
    facts = measured(tmp_path, "restart redis at 2s for 500ms", profile=profile)
    fault = done(facts)
    assert fault["ended_ns"] - fault["done_ns"] >= 0.5e9
    assert facts["generator"]["refused"] > 0
    up = ups(tmp_path)
    assert 0.0 in up[: len(up) - 5]
    assert up[-1] == 1.0


def ups(tmp_path: Path) -> list[float]:
    """Whether Redis answered, tick by tick."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    (folder,) = (tmp_path / "results").glob(f"*/*/{trial_folder(0)}")
    table = pq.read_table(folder / "samples.parquet")
    found: list[float] = table.filter(pc.equal(table["metric"], "redis.up"))["value"].to_pylist()
    return found


@pytest.mark.full
def test_a_redis_that_is_killed_for_good_is_read_at_the_end(tmp_path: Path) -> None:
    facts = measured(tmp_path, "kill redis at 2s", profile="aof-everysec", drain="2s")
    assert done(facts)["ended_ns"] is None
    assert facts["ledger"]["entries"] > 0  # by its append-only file


@pytest.mark.full
def test_an_ingest_that_is_killed_for_good_ends_the_load_and_not_the_trial(tmp_path: Path) -> None:
    facts = measured(tmp_path, "kill ingest at 2s")
    generator = facts["generator"]
    assert generator["errored"] > 0
    assert generator["accepted"] + generator["errored"] == generator["planned"]
    assert facts["ledger"]["entries"] > 0


@pytest.mark.full
@pytest.mark.parametrize("fault", ["pause redis at 2s for 1s", "stop redis at 2s for 1s"])
def test_a_redis_that_is_silent_for_a_while(tmp_path: Path, fault: str) -> None:
    facts = measured(tmp_path, fault)
    each = done(facts)
    assert each["ended_ns"] - each["done_ns"] >= 0.98e9
    assert 0.0 in ups(tmp_path)
    assert facts["deaths"] == []


@pytest.mark.full
@pytest.mark.parametrize("policy", ["noeviction", "allkeys-lru"])
def test_a_redis_that_is_full(tmp_path: Path, policy: str) -> None:
    facts = measured(
        tmp_path, "fill redis at 2s for 2s", redis__maxmemory="16MB", redis__policy=policy
    )
    done(facts)
    refused = facts["generator"]["refused"]
    assert refused > 0 if policy == "noeviction" else refused == 0
    config = facts["stack"]["redis"]["config"]
    assert (config["maxmemory"], config["maxmemory-policy"]) == ("16000000", policy)


@pytest.mark.full
@pytest.mark.parametrize("link", ["worker-redis", "ingest-redis", "worker-gateway"])
def test_a_link_that_is_cut_and_then_slow(tmp_path: Path, link: str) -> None:
    facts = measured(tmp_path, f"cut {link} at 1s for 1s", f"slow {link} at 3s for 1s amount 20ms")
    done(facts, 0)
    done(facts, 1)
    assert facts["stack"]["links"] == [link]


@pytest.mark.full
@pytest.mark.parametrize("fault", ["kill supervisor at 1s", "kill worker at 1s"])
def test_the_stock_command_line_loses_its_master_or_a_worker(tmp_path: Path, fault: str) -> None:
    facts = measured(tmp_path, fault, values=STOCK, drain="3s")
    done(facts)
    died = [each["role"] for each in facts["deaths"]]
    assert died == ["supervisor"] if "supervisor" in fault else "supervisor" in died


@pytest.mark.full
def test_all_workers_may_be_killed_and_what_they_held_is_found(tmp_path: Path) -> None:
    facts = measured(tmp_path, "kill workers at 3s", drain="1s")
    assert {each["name"] for each in facts["deaths"]} == {"worker-1", "worker-2"}
    assert done(facts)["victim"].count("pid") == 2


@pytest.mark.full
def test_an_interrupt_mends_what_is_broken_and_leaves_nothing(measuring: Start) -> None:
    with no_leaks():
        one = measuring(
            *("run", "smoke", "--no-report", "--progress", "plain", "--duration", "60s"),
            *("--warmup", "3s", "--fault", "stop worker at -2500ms for 50s"),
            *("--fault", "stop redis at -2s for 50s", "--fault", "kill ingest at 50s"),
        )
        one.until_it_says("measuring")
        one.send(signal.SIGINT)
        assert one.code() == 130
    facts = open_run(one.run_folder()).trial_facts(0)
    assert facts["outcome"] == "partial"
    assert [each["done"] for each in facts["faults"]] == [True, True, False]
    assert all(each["ended_ns"] for each in facts["faults"][:2])
    assert facts["faults"][2]["error"] == "the trial ended before it was due"
    assert facts["deaths"] == []


def test_faults_on_somebody_elses_redis_are_refused_before_anything_starts(
    tmp_path: Path, clean_redis: str
) -> None:
    with redis.Redis.from_url(clean_redis) as client:
        pid = client.info()["process_id"]
    options = Options(results=tmp_path / "results", redis_url=clean_redis)
    faults = ("kill redis at 1s", "pause redis at 1s for 1s", "kill worker at 1s")
    with Interrupt() as interrupt, pytest.raises(ScenarioError) as caught:
        conduct(plan(*faults), options, lambda _: None, interrupt)
    assert [each.key for each in caught.value.problems] == ["fault.0.target", "fault.1.target"]
    assert "--allow-destructive" in str(caught.value)
    assert not (tmp_path / "results").exists()
    with redis.Redis.from_url(clean_redis) as client:
        assert client.info()["process_id"] == pid


def test_a_server_without_a_limit_is_not_filled_though_that_would_be_allowed(
    tmp_path: Path, clean_redis: str
) -> None:
    options = Options(results=tmp_path / "results", redis_url=clean_redis, allow_destructive=True)
    with Interrupt() as interrupt, pytest.raises(ScenarioError, match="no memory limit"):
        conduct(plan("fill redis at 1s", profile="lru-4gb"), options, lambda _: None, interrupt)
