"""Any HTTP server by its URL: nothing is started for it, and what it does is counted."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import pytest

import perfkit
from perfkit.api.rendering import OF_JOBS, OF_USER_CODE
from tests.answering import answering
from tests.leaks import assert_gone, descendants_of, identities
from tests.runner.conftest import Start
from tests.soundness import MEASURED

SCENARIO = """
name = "orders"
seed = 3
[load]
model = "open"
rate = 50.0
[window]
warmup = "300ms"
duration = "{duration}"
drain = "5s"
[target]
url = "{url}/orders"
method = "POST"
body = {{ amount = {{ seeded = "int", low = 1, high = 100 }} }}
job_id = {{ pointer = "/id" }}
[[threshold]]
metric = "latency"
request = "POST /orders"
expr = "p(50)<60s"
[[threshold]]
metric = "errors"
expr = "rate<0.9"
"""


def written(folder: Path, url: str, duration: str = "1s") -> str:
    path = folder / "orders.toml"
    path.write_text(SCENARIO.format(url=url, duration=duration))
    return str(path)


def test_a_server_of_somebodys_is_measured_by_its_answers(measuring: Start, tmp_path: Path) -> None:
    with answering(refuses=10) as server:
        run = measuring("run", written(tmp_path, server.url), "--no-report", "--progress", "plain")
        assert run.code(90) in MEASURED, run.said()
    found = perfkit.open_run(run.run_folder())
    counted = found.accounting()
    assert counted.balanced
    assert all(each.holds for each in counted.identities())
    assert counted.planned == counted.sent == len(server.asked) > 40
    assert counted.refused == len(server.asked) // 10
    assert counted.accepted + counted.refused == counted.sent
    assert counted.done is None or not counted.jobs_known
    assert {each.body["amount"] for each in server.asked} <= set(range(1, 101))
    jobs = found.jobs()
    ids = set(jobs["job_id"].dropna())
    assert len(ids) == counted.accepted
    assert all(each.startswith("order-") for each in ids)
    held = {result.metric: result for result in found.thresholds()}
    assert held["latency"].n > 30
    assert held["errors"].observed == pytest.approx(0.1, abs=0.05)
    facts = found.trial_facts(0)
    assert facts["jobs_recorded"] is False
    assert facts["settings"] == {}
    assert set(facts["processes"]) == {"generator", "perfkit", "keeper"}
    assert found.manifest["redis"] is None
    assert "Of the server only its answers are known" in " ".join(found.headline().lines)


@pytest.mark.full
def test_the_report_of_a_sweep_speaks_of_no_stack_that_there_is_not(
    measuring: Start, tmp_path: Path
) -> None:
    axes = ("--axis", "load.rate=30,60", "--repeat", "2")
    with answering(refuses=10) as server:
        run = measuring("sweep", written(tmp_path, server.url), *axes, "--progress", "plain")
        assert run.code(180) in MEASURED, run.said()
    assert "starting the load generator" in run.said()
    assert "starting the stack" not in run.said()
    page = (run.run_folder() / "report.html").read_text()
    assert "FAILED" not in page
    assert "UserWarning" not in page
    sections = re.findall(r'<h2 id="[^"]*">(.*?)</h2>', page)
    assert "Trials compared" in sections
    assert not {*OF_JOBS, OF_USER_CODE} & set(sections)
    assert "no Redis was watched" in page


@pytest.mark.full
def test_an_interrupt_leaves_a_sealed_partial_run_and_nobody(
    measuring: Start, tmp_path: Path
) -> None:
    with answering() as server:
        run = measuring(
            "run", written(tmp_path, server.url, "60s"), "--no-report", "--progress", "plain"
        )
        run.until_it_says("measuring")
        everybody = identities(descendants_of(run.process.pid))
        run.send(signal.SIGINT)
        assert run.code(60) == 130, run.said()
    assert_gone(everybody)
    manifest = json.loads((run.run_folder() / "manifest.json").read_text())
    assert manifest["status"] == "partial"
    assert manifest["reason"] == "interrupted"
    found = perfkit.open_run(run.run_folder())
    assert found.accounting().planned > 0
    assert all(each.holds for each in found.accounting().identities())


@pytest.mark.full
def test_a_server_that_goes_down_meanwhile_is_counted_by_what_failed(
    measuring: Start, tmp_path: Path
) -> None:
    with answering() as server:
        run = measuring(
            "run", written(tmp_path, server.url, "6s"), "--no-report", "--progress", "plain",
            "--set", 'threshold.1.expr=rate<0.01',
        )  # fmt: skip
        run.until_it_says("measuring")
    assert run.code(90) == 99, run.said()
    found = perfkit.open_run(run.run_folder())
    counted = found.accounting()
    assert counted.balanced
    assert counted.errored > 0
    assert "connect" in set(found.requests()["error"].dropna())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            ("--workers", "3", "--fault", "kill worker at 100ms", "--profile", "stock"),
            "stack.workers, redis.profile and fault are of a stack",
        ),
        (("--redis", "redis://127.0.0.1:1/0"), "--redis is of a stack"),
    ],
)
def test_what_is_of_a_stack_is_refused_with_one_error(
    measuring: Start, tmp_path: Path, options: tuple[str, ...], words: str
) -> None:
    run = measuring("run", written(tmp_path, "http://127.0.0.1:1"), "--no-report", *options)
    assert run.code(60) == 2
    assert words in run.said()
    assert "leave" in run.said()
    assert "Traceback" not in run.said()
    assert not list(run.results.glob("*/*/manifest.json"))


def test_a_server_that_is_down_is_refused_before_anything_is_written(
    measuring: Start, tmp_path: Path
) -> None:
    run = measuring("run", written(tmp_path, "http://127.0.0.1:1"), "--no-report")
    assert run.code(60) == 2
    assert "http://127.0.0.1:1 can't be reached: nothing listens there" in run.said()
    assert not list(run.results.glob("*/*/manifest.json"))
