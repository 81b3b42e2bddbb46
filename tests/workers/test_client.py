"""The actors' client turns everything but a 200 with a JSON object into GatewayError."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator

import pytest

from tests.conftest import free_port
from tests.workers.services import StartGateway
from workers.client import GatewayClient, GatewayError

JOB = {"key": "1/0"}


@pytest.fixture
def one_answer() -> Iterator[tuple[str, list[bytes]]]:
    """A server that gives one connection the answer in the list, and then hangs up."""
    answer: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                request = b""
                while b"}" not in request:
                    request += connection.recv(65536)
                connection.sendall(answer[0])
                answer.append(request)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/v1/", answer
        thread.join(5)


def whole(status: str, body: bytes) -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def test_a_job_is_posted_with_its_id_and_attempt(one_answer: tuple[str, list[bytes]]) -> None:
    url, answer = one_answer
    answer.append(whole("200 OK", b'{"accepted": true}'))
    client = GatewayClient(url)
    assert client.post("webhooks", JOB, job_id="id-1", attempt=2) == {"accepted": True}
    client.close()
    head, body = answer[1].split(b"\r\n\r\n")
    assert head.startswith(b"POST /v1/webhooks HTTP/1.1")
    assert b"Idempotency-Key: id-1" in head
    assert b"X-Attempt: 2" in head
    assert body == b'{"key": "1/0"}'


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (whole("503 Service Unavailable", b"{}"), "webhooks answered 503"),
        (whole("302 Found", b""), "webhooks answered 302"),
        (whole("204 No Content", b""), "webhooks answered 204"),
        (whole("200 OK", b"<html>"), "not JSON"),
        (whole("200 OK", b"[]"), "no object"),
        (b"", "no answer for webhooks: ProtocolError"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{", "no answer for webhooks"),
    ],
)
def test_any_other_answer_is_an_error(
    one_answer: tuple[str, list[bytes]], sent: bytes, said: str
) -> None:
    url, answer = one_answer
    answer.append(sent)
    client = GatewayClient(url)
    with pytest.raises(GatewayError, match=said):
        client.post("webhooks", JOB, job_id="id-1", attempt=0)
    client.close()


def test_a_gateway_that_is_not_there_is_an_error() -> None:
    client = GatewayClient(f"http://127.0.0.1:{free_port()}")
    with pytest.raises(GatewayError, match="no answer for webhooks: NewConnectionError"):
        client.post("webhooks", JOB, job_id="id-1", attempt=0)


def test_one_connection_serves_call_after_call(start_gateway: StartGateway) -> None:
    gateway = start_gateway()
    client = GatewayClient(gateway.url)
    for number in range(5):
        client.post("webhooks", JOB, job_id=str(number), attempt=0)
    assert client._pool.num_connections == 1
    client.close()
