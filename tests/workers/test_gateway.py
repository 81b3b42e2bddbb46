"""The simulated gateway, as a process."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from collections.abc import MutableMapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import free_port
from tests.waiting import wait_until
from tests.workers.services import Service, StartGateway, environment
from workers.behaviour import DEFAULTS, Behaviour
from workers.client import GatewayClient, GatewayError
from workers.gateway import Gateway

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


FOREVER_NS = 2**62


def set_outages(gateway: Service, **outages: list[list[object]]) -> dict[str, object]:
    status, answer = gateway.ask("POST", "/control/outages", outages)
    assert status == 200, answer
    return dict(answer["outages"])


def test_in_an_outage_every_call_of_its_queue_is_refused_at_once(
    start_gateway: StartGateway,
) -> None:
    minute = {"median_ms": 60_000, "sigma": 0, "errors": 0}
    gateway = start_gateway({"payments": minute, "webhooks": {**minute, "median_ms": 1}})
    set_outages(gateway, payments=[[0, FOREVER_NS]])
    assert [pay(gateway, job)[0] for job in "abc"] == [503, 503, 503]
    assert gateway.ask("POST", "/webhooks", PAYMENT)[0] == 200
    wait_until(lambda: len(gateway.calls()) == 4, 5, "all calls are in the log")
    refused = [call for call in gateway.calls() if call["queue"] == "payments"]
    assert {(call["status"], call["delay_ns"], call["charged"]) for call in refused} == {
        ("503", "0", "0")
    }


def test_an_outage_shifts_no_draw_of_another_call(start_gateway: StartGateway) -> None:
    config = {"median_ms": 2, "sigma": 0.5, "errors": 0.5}
    behaviour = Behaviour(2, 0.5, 0.5)
    gateway = start_gateway({"payments": config})
    set_outages(gateway, payments=[[0, FOREVER_NS]])
    assert {pay(gateway, "a", attempt)[0] for attempt in range(0, 8, 2)} == {503}
    set_outages(gateway, payments=[])
    for attempt in range(1, 8, 2):
        fails = behaviour.fails("1/0", "payments", attempt)
        assert pay(gateway, "a", attempt)[0] == (503 if fails else 200)
    wait_until(lambda: len(gateway.calls()) == 8, 5, "all calls are in the log")
    drawn = {int(call["attempt"]): int(call["delay_ns"]) for call in gateway.calls()}
    for attempt in range(8):
        delay_ns = behaviour.delay_ns("1/0", "payments", attempt)
        assert drawn[attempt] == (delay_ns if attempt % 2 else 0)


def test_an_outage_of_a_configuration_file_works_as_one_that_was_told(
    start_gateway: StartGateway,
) -> None:
    quick = {"median_ms": 1, "sigma": 0, "errors": 0}
    past, now = [0, 1], [2, FOREVER_NS]
    gateway = start_gateway({"payments": {**quick, "outages": [past, now]}, "webhooks": quick})
    assert pay(gateway, "a")[0] == 503
    assert set_outages(gateway) == {"payments": [[*past, "refuse"], [*now, "refuse"]]}


def test_what_is_told_replaces_the_outages_of_the_queues_it_names(
    start_gateway: StartGateway,
) -> None:
    gateway = start_gateway()
    assert set_outages(gateway, payments=[[1, 2]], webhooks=[[3, 4, "hang"]]) == {
        "payments": [[1, 2, "refuse"]],
        "webhooks": [[3, 4, "hang"]],
    }
    assert set_outages(gateway, payments=[[5, 6]], webhooks=[]) == {"payments": [[5, 6, "refuse"]]}
    assert pay(gateway, "a")[0] == 200


def test_a_hanging_outage_answers_when_it_ends(start_gateway: StartGateway) -> None:
    gateway = start_gateway()
    until_ns = time.monotonic_ns() + 400_000_000
    set_outages(gateway, payments=[[0, until_ns, "hang"]])
    assert pay(gateway, "a")[0] == 503
    assert time.monotonic_ns() >= until_ns
    assert pay(gateway, "a")[0] == 200
    wait_until(lambda: len(gateway.calls()) == 2, 5, "both calls are in the log")
    assert [call["charged"] for call in gateway.calls()] == ["0", "1"]
    assert int(gateway.calls()[0]["answered_ns"]) >= until_ns


def test_a_client_that_gives_up_on_a_hanging_outage_is_in_the_log(
    start_gateway: StartGateway,
) -> None:
    gateway = start_gateway()
    set_outages(gateway, payments=[[0, FOREVER_NS, "hang"]])
    client = GatewayClient(gateway.url, timeout_s=0.2)
    with pytest.raises(GatewayError, match="no answer for payments: ReadTimeoutError"):
        client.post("payments", PAYMENT, job_id="a", attempt=0)
    client.close()
    wait_until(gateway.calls, 5, "the call is in the log")
    (call,) = gateway.calls()
    assert (call["status"], call["charged"], call["job_id"]) == ("499", "0", "a")
    assert int(call["answered_ns"]) - int(call["received_ns"]) >= 150_000_000


def test_calls_that_hang_when_it_is_told_to_stop_are_in_the_log(
    start_gateway: StartGateway,
) -> None:
    gateway = start_gateway()
    set_outages(gateway, payments=[[0, FOREVER_NS, "hang"]])
    with socket.create_connection(("127.0.0.1", int(gateway.url.rpartition(":")[2]))) as waiting:
        body = b'{"key": "1/0"}'
        waiting.sendall(
            b"POST /payments HTTP/1.1\r\nHost: gateway\r\nIdempotency-Key: a\r\n"
            b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
        )
        # Answered after the call on the other connection was taken up.
        assert gateway.ask("POST", "/webhooks", PAYMENT)[0] == 200
        gateway.process.terminate()
        gateway.process.wait(15)
    assert sorted(call["status"] for call in gateway.calls()) == ["200", "499"]


def test_outages_that_cannot_be_used_are_refused_and_change_nothing(
    start_gateway: StartGateway,
) -> None:
    gateway = start_gateway()
    before = set_outages(gateway, payments=[[1, 2]])
    path = "/control/outages"
    asked = [
        gateway.ask("GET", path),
        gateway.ask("POST", path, b"{"),
        gateway.ask("POST", path, b"[]"),
        gateway.ask("POST", path, b" " * 70_000),
        gateway.ask("POST", path, {"payments": [[3, 4]], "webhooks": [[2, 1]], "refunds": []}),
    ]
    assert [status for status, _ in asked] == [405, 400, 400, 413, 400]
    assert "outage 1 of webhooks" in asked[-1][1]["error"]
    assert "no queue 'refunds'; there is payments, notifications" in asked[-1][1]["error"]
    assert set_outages(gateway) == before


@pytest.mark.parametrize(
    ("client", "status"),
    [(("127.0.0.1", 1), 200), (("::1", 1), 200), (None, 200), (("192.0.2.7", 1), 403)],
)
def test_outages_are_set_from_this_machine_alone(
    client: tuple[str, int] | None, status: int
) -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b'{"payments": [[1, 2]]}'}

    async def send(event: MutableMapping[str, Any]) -> None:
        sent.append(event)

    scope = {"type": "http", "method": "POST", "path": "/control/outages", "client": client}
    asyncio.run(Gateway(DEFAULTS)(scope, receive, send))
    assert sent[0]["status"] == status


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
