"""One real trial: everything planned is found again, whatever ends it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from perfkit.plan import build
from perfkit.runner import Interrupt, Options, Progress, conduct
from tests.leaks import assert_gone, descendants_of, identities, living
from tests.runner.conftest import Start

SHORT = {"warmup": "500ms", "duration": "2s", "drain": "15s", "rate": 100.0}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Progress]]:
    told: list[Progress] = []
    plan = build(["smoke"], values=SHORT)
    folder = conduct(
        plan, Options(results=tmp_path_factory.mktemp("results")), told.append, Interrupt()
    )
    return folder, told


def table(folder: Path, kind: str) -> pq.ParquetFile:
    return pq.read_table(folder / "trial=0000" / f"{kind}.parquet")


def facts(folder: Path) -> dict[str, object]:
    document: dict[str, object] = json.loads((folder / "trial=0000" / "trial.json").read_text())
    return document


def test_every_planned_request_was_sent_accepted_and_done(run: tuple[Path, object]) -> None:
    requests, jobs = table(run[0], "requests"), table(run[0], "jobs")
    assert requests.num_rows > 150
    assert set(requests["status"].to_pylist()) == {202}
    done = jobs.filter(pc.equal(jobs["outcome"].cast("string"), "done"))
    assert set(done["job_id"].to_pylist()) == set(requests["job_id"].to_pylist())


def test_the_stages_of_a_job_are_in_order_on_one_clock(run: tuple[Path, object]) -> None:
    requests = {row["job_id"]: row for row in table(run[0], "requests").to_pylist()}
    for job in table(run[0], "jobs").to_pylist():
        stages = [job[f"{name}_ns"] for name in
                  ("enqueued", "fetched", "started", "finished", "acked")]  # fmt: skip
        assert stages == sorted(stages)
        if job["attempt"] == 0:
            assert requests[job["job_id"]]["sent_ns"] < job["enqueued_ns"]


def test_the_gateways_own_log_agrees_with_the_recorder(run: tuple[Path, object]) -> None:
    started = [row for row in table(run[0], "jobs").to_pylist() if row["started_ns"]]
    assert table(run[0], "calls").num_rows == len(started)


def test_the_ledger_holds_each_payment_once(run: tuple[Path, object]) -> None:
    jobs = table(run[0], "jobs").to_pylist()
    paid = {j["job_id"] for j in jobs if j["queue"] == "payments" and j["outcome"] == "done"}
    assert facts(run[0])["ledger"] == {"entries": len(paid)}


def test_telemetry_covers_the_whole_trial_at_five_hertz(run: tuple[Path, object]) -> None:
    samples = table(run[0], "samples").to_pylist()
    instants = facts(run[0])["instants_ns"]
    assert isinstance(instants, dict)
    window_s = (instants["window_end"] - instants["window_start"]) / 1e9
    up = [s for s in samples if s["metric"] == "redis.up"]
    inside = [s for s in up if instants["window_start"] <= s["at_ns"] < instants["window_end"]]
    assert len(inside) >= 4 * window_s
    assert {s["value"] for s in up} == {1.0}
    watched = {s["subject"] for s in samples if s["metric"] == "process.cpu_ns"}
    assert watched >= {"worker-1", "worker-2", "ingest-1", "gateway", "redis", "generator"}


def test_the_trial_ended_when_nothing_was_left_and_not_at_the_limit(
    run: tuple[Path, object],
) -> None:
    instants = facts(run[0])["instants_ns"]
    assert isinstance(instants, dict)
    assert instants["drain_end"] - instants["load_end"] < 14e9
    assert table(run[0], "leftovers").num_rows == 0


def test_the_manifest_tells_what_was_asked_and_where_it_ran(run: tuple[Path, object]) -> None:
    manifest = json.loads((run[0] / "manifest.json").read_text())
    assert manifest["status"] == "complete"
    assert manifest["scenarios"]["smoke"]["document"]["name"] == "smoke"
    assert manifest["plan"][0]["seed"] == 1
    assert manifest["redis"]["config"]["maxmemory-policy"] == "noeviction"
    assert manifest["versions"]["dramatiq"]
    assert manifest["host"]["fingerprint"]


def test_the_servers_password_is_in_no_file_the_run_leaves(run: tuple[Path, object]) -> None:
    for path in run[0].rglob("*"):
        if path.is_file():
            assert b"requirepass" not in path.read_bytes(), path
    assert "***" in json.loads((run[0] / "manifest.json").read_text())["redis"]["url"]


def test_progress_passes_through_every_phase_in_order(run: tuple[Path, list[Progress]]) -> None:
    phases = list(dict.fromkeys(each.phase for each in run[1]))
    assert phases == ["start", "warm-up", "measure", "drain", "collect", "sealed"]
    assert run[1][-1].left_s == 0


def test_the_raw_files_are_gone_once_the_tables_are_whole(run: tuple[Path, object]) -> None:
    names = {path.name for path in (run[0] / "trial=0000").iterdir()}
    assert "spool" not in names
    assert not [name for name in names if name.endswith(".arrow")]


def test_ctrl_c_stops_cleanly_and_seals_what_was_measured(measuring: Start) -> None:
    run = measuring("run", "smoke", "--no-report", "--warmup", "500ms")
    run.until_it_says("measuring")
    processes = identities(descendants_of(run.process.pid))
    run.send(signal.SIGINT)
    assert run.code() == 130, run.said()
    manifest = json.loads((run.run_folder() / "manifest.json").read_text())
    assert (manifest["status"], manifest["reason"]) == ("partial", "interrupted")
    assert table(run.run_folder(), "requests").num_rows > 0
    assert not living(processes)


@pytest.mark.full
def test_a_script_that_is_interrupted_keeps_what_was_measured(tmp_path: Path) -> None:
    code = (
        "import perfkit, sys; perfkit.run('smoke', results=sys.argv[1], report=False, "
        "progress=lambda p: print(p.phase, flush=True))"
    )
    script = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True
    )
    assert script.stdout is not None
    for line in script.stdout:
        if line.strip() == "measure":
            script.send_signal(signal.SIGINT)
            break
    script.stdout.read()
    script.stdout.close()
    script.wait(60)
    (folder,) = tmp_path.glob("smoke/*")
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["status"], manifest["reason"]) == ("partial", "interrupted")
    assert table(folder, "requests").num_rows > 0


@pytest.mark.full
def test_a_stack_that_fails_ends_the_trial_and_keeps_what_was_measured(measuring: Start) -> None:
    run = measuring("run", "smoke", "--no-report")
    run.until_it_says("measuring")
    (lease,) = (run.results / ".leases").glob("*.json")
    children = json.loads(lease.read_text())["children"]
    (server,) = (child["pid"] for child in children if child["name"] == "redis")
    os.kill(server, signal.SIGKILL)
    assert run.code() == 1
    assert "redis was killed by SIGKILL" in run.said()
    assert "Traceback" not in run.said()
    manifest = json.loads((run.run_folder() / "manifest.json").read_text())
    (trial,) = manifest["trials"]
    assert trial["outcome"] == "partial"
    assert "redis" in trial["reason"]
    assert table(run.run_folder(), "requests").num_rows > 0
    assert [death["name"] for death in facts(run.run_folder())["deaths"]] == ["redis"]  # type: ignore[index,union-attr]


@pytest.mark.full
def test_a_run_interrupted_before_its_window_is_shown_as_what_it_is(measuring: Start) -> None:
    run = measuring("run", "smoke", "--no-report", "--warmup", "20s")
    run.until_it_says("warming up")
    run.send(signal.SIGTERM)
    assert run.code() == 130, run.said()
    shown = measuring("show", str(run.run_folder()))
    assert shown.code() == 0, shown.said()
    assert "INCONCLUSIVE" in shown.said()
    assert "saturated" not in shown.said()


def test_a_killed_perfkit_leaves_no_process_and_repair_seals_what_it_measured(
    measuring: Start,
) -> None:
    run = measuring("run", "smoke", "--no-report")
    run.until_it_says("measuring")
    processes = identities(descendants_of(run.process.pid))
    assert len(processes) >= 7  # redis, gateway, two workers, ingest, generator, keeper
    os.kill(run.process.pid, signal.SIGKILL)
    run.code()
    assert_gone(processes)
    folder = run.run_folder()
    assert not (folder / "manifest.json").exists()

    refused = measuring("show", str(folder))
    assert refused.code() == 2
    assert "perfkit repair" in refused.said()

    assert measuring("repair").code() == 0
    manifest = json.loads((folder / "manifest.json").read_text())
    assert manifest["status"] == "partial"
    assert [each["outcome"] for each in manifest["trials"]] == ["partial"]
    assert table(folder, "requests").num_rows > 0
    assert table(folder, "jobs").num_rows > 0
    assert table(folder, "samples").num_rows > 0
    assert {p.name for p in (folder / "trial=0000").iterdir()} == {
        "requests.parquet", "jobs.parquet", "samples.parquet", "calls.parquet",
        "leftovers.parquet", "schedule.parquet", "trial.json",
    }  # fmt: skip
    assert (folder / "logs" / "trial=0000" / "worker-1.log").exists()
