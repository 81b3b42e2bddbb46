"""The simulated gateway, as a process."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.conftest import free_port
from tests.waiting import wait_until
from tests.workers.services import Service, StartGateway, environment
from workers.behaviour import Behaviour

PAYMENT = {"key": "1/0", "amount": 100}


def pay(gateway: Service, job_id: str, attempt: int = 0) -> tuple[int, dict[str, object]]:
    headers = {"Idempotency-Key": job_id, "X-Attempt": str(attempt)}
    return gateway.ask("POST", "/payments", PAYMENT, headers)


def test_a_known_idempotency_key_is_answered_with_the_same_charge(
    start_gateway: StartGateway,
) -> None:
    gateway = start_gateway()
    status, first = pay(gateway, "a")
    assert (status, first["charged"]) == (200, True)
    assert pay(gateway, "a") == (200, {"charge": first["charge"], "charged": False})
    assert pay(gateway, "b")[1]["charge"] != first["charge"]


def test_two_calls_in_flight_at_once_are_one_charge(start_gateway: StartGateway) -> None:
    gateway = start_gateway({"payments": {"median_ms": 300, "sigma": 0, "errors": 0}})
    with ThreadPoolExecutor(2) as threads:
        asked = [threads.submit(pay, gateway, "a") for _ in range(2)]
        answers = [done.result()[1] for done in asked]
    assert len({answer["charge"] for answer in answers}) == 1
    assert sorted(bool(answer["charged"]) for answer in answers) == [False, True]
    wait_until(lambda: len(gateway.calls()) == 2, 5, "both calls are in the log")
    calls = gateway.calls()
    assert max(int(c["received_ns"]) for c in calls) < min(int(c["answered_ns"]) for c in calls)


def test_errors_and_delays_are_those_of_the_key_and_attempt(start_gateway: StartGateway) -> None:
    config = {"median_ms": 5, "sigma": 0.5, "errors": 0.5}
    behaviour = Behaviour(5, 0.5, 0.5)
    gateway = start_gateway({"payments": config})
    for attempt in range(8):
        status = pay(gateway, "a", attempt)[0]
        assert status == (503 if behaviour.fails("1/0", "payments", attempt) else 200)
    wait_until(lambda: len(gateway.calls()) == 8, 5, "all calls are in the log")
    calls = gateway.calls()
    assert {call["status"] for call in calls} == {"200", "503"}
    assert sum(int(call["charged"]) for call in calls) == 1
    for call in calls:
        delay_ns = int(call["delay_ns"])
        assert delay_ns == behaviour.delay_ns("1/0", "payments", int(call["attempt"]))
        assert int(call["answered_ns"]) - int(call["received_ns"]) >= delay_ns
        assert (call["key"], call["queue"], call["job_id"]) == ("1/0", "payments", "a")


@pytest.mark.parametrize("queue", ["notifications", "webhooks"])
def test_other_queues_just_accept(start_gateway: StartGateway, queue: str) -> None:
    assert start_gateway().ask("POST", f"/{queue}", PAYMENT) == (200, {"accepted": True})


def test_a_request_that_makes_no_sense_is_refused(start_gateway: StartGateway) -> None:
    gateway = start_gateway()
    asked = [
        gateway.ask("POST", "/refunds", PAYMENT),
        gateway.ask("GET", "/payments"),
        gateway.ask("POST", "/payments", PAYMENT),
        gateway.ask("POST", "/webhooks", b"{"),
        gateway.ask("POST", "/webhooks", b"[" * 60_000),
        gateway.ask("POST", "/webhooks", {"amount": 1}),
        gateway.ask("POST", "/webhooks", {"key": "\ud800"}),
        gateway.ask("POST", "/webhooks", {"key": "k" * 70_000}),
        gateway.ask("POST", "/webhooks", PAYMENT, {"X-Attempt": "-1"}),
    ]
    assert [status for status, _ in asked] == [404, 405, 400, 400, 400, 400, 400, 413, 400]
    assert all(answer["error"] for _, answer in asked)
    assert gateway.calls() == []


def test_sigterm_lets_the_log_be_whole(start_gateway: StartGateway) -> None:
    gateway = start_gateway()
    for number in range(20):
        pay(gateway, str(number))
    gateway.process.terminate()
    gateway.process.wait(10)
    assert [call["job_id"] for call in gateway.calls()] == [str(number) for number in range(20)]


def test_a_killed_gateway_leaves_what_was_flushed(start_gateway: StartGateway) -> None:
    gateway = start_gateway()
    pay(gateway, "a")
    wait_until(gateway.calls, 5, "the call is in the log")
    gateway.process.kill()
    gateway.process.wait(10)
    assert [call["job_id"] for call in gateway.calls()] == ["a"]


@pytest.mark.parametrize(
    ("config", "log", "said"),
    [
        ('{"payments": {}}', "log.csv", "payments must be an object"),
        (None, "log.csv", "No such file"),
        ("{}", "none/log.csv", "No such file"),
    ],
)
def test_a_configuration_that_cannot_be_used_ends_it_with_2(
    tmp_path: Path, config: str | None, log: str, said: str
) -> None:
    if config is not None:
        (tmp_path / "gateway.json").write_text(config)
    arguments = ["--port", str(free_port()), "--config", "gateway.json", "--log", log]
    ended = subprocess.run(
        [sys.executable, "-m", "workers.gateway", *arguments],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert ended.returncode == 2
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr
