"""Bytes pass through the relay unchanged, until a link is cut or slowed down, and again after."""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest
import redis

from perfkit.errors import StackError, UsageError
from perfkit.launcher.child import Child
from perfkit.launcher.guard import Guard
from perfkit.launcher.links import Links
from perfkit.launcher.ports import listen, port_of
from tests.launcher.small_stack import MakeStack
from tests.leaks import bound_ports
from tests.waiting import wait_until

LINKS = ("worker-redis", "worker-gateway")


@pytest.fixture
def gateway() -> Iterator[str]:
    """Sends back whatever it gets, and says goodbye when it has got all."""
    listener = listen()

    def serve(connection: socket.socket) -> None:
        with connection, contextlib.suppress(ConnectionResetError):
            while data := connection.recv(65536):
                connection.sendall(data)
            connection.sendall(b"goodbye")

    def accept() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    yield f"http://127.0.0.1:{port_of(listener)}"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    accepting.join(5)


@pytest.fixture
def links(stack_spec: MakeStack, guard: Guard, redis_url: str, gateway: str) -> Iterator[Links]:
    """A relay that is up."""
    links = Links(stack_spec(links=LINKS), redis_url, gateway)
    child = Child(links.child(dict(os.environ)), guard)
    child.start()
    child.wait_ready(links.answers, 20)
    yield links
    links.close()
    child.stop(5)


def through(links: Links) -> socket.socket:
    """A connection to the gateway."""
    place = urlsplit(links.environment("worker")["GATEWAY_URL"])
    return socket.create_connection((place.hostname, place.port), timeout=10)


def sent_back(connection: socket.socket, data: bytes) -> bytes:
    sending = threading.Thread(target=connection.sendall, args=(data,))
    sending.start()
    received = b""
    while len(received) < len(data):
        received += connection.recv(1 << 20)
    sending.join(10)
    return received


def test_many_bytes_pass_unchanged_and_so_does_the_end_of_a_direction(links: Links) -> None:
    data = os.urandom(8 << 20)
    with through(links) as connection:
        assert sent_back(connection, data) == data
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(100) == b"goodbye"
        assert connection.recv(100) == b""


@pytest.mark.parametrize("delay_ns", [0, 5_000_000])
def test_connections_that_have_ended_are_let_go(links: Links, delay_ns: int) -> None:
    links.set("worker-gateway", delay_ns=delay_ns)
    for number in range(30):
        with through(links) as connection:
            assert sent_back(connection, b"ping") == b"ping"
            if number % 3 == 1:
                connection.shutdown(socket.SHUT_WR)
                assert connection.recv(100) == b"goodbye"
            elif number % 3 == 2:  # as of a process that is killed with something unread
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    wait_until(
        lambda: links.set("worker-gateway", delay_ns=delay_ns) == 0,
        10, "no connection through the relay is left",
    )  # fmt: skip


def test_redis_is_reached_by_its_own_account(links: Links) -> None:
    with redis.Redis.from_url(links.environment("worker")["REDIS_URL"]) as client:
        assert client.ping()
    assert links.environment("ingest") == {}


def test_a_delay_counts_in_both_directions_and_keeps_the_order(links: Links) -> None:
    with through(links) as connection:
        assert sent_back(connection, b"ping") == b"ping"
        assert links.set("worker-gateway", delay_ns=60_000_000) == 1
        begun_s = time.monotonic()
        assert sent_back(connection, b"ping") == b"ping"
        assert time.monotonic() - begun_s >= 0.115
        links.set("worker-gateway")
        data = b"".join(b"%08d" % number for number in range(10_000))
        assert sent_back(connection, data) == data
        begun_s = time.monotonic()
        for _ in range(50):
            assert sent_back(connection, b"ping") == b"ping"
        assert time.monotonic() - begun_s < 50 * 0.12


def test_what_is_under_way_when_a_delay_ends_does_not_overtake(links: Links) -> None:
    with through(links) as connection:
        links.set("worker-gateway", delay_ns=100_000_000)
        connection.sendall(b"first ")
        links.set("worker-gateway")
        connection.sendall(b"second")
        received = b""
        while len(received) < 12:
            received += connection.recv(100)
        assert received == b"first second"


def test_a_cut_link_resets_and_refuses_and_the_other_does_not(links: Links) -> None:
    with through(links) as connection:
        assert sent_back(connection, b"ping") == b"ping"
        links.set("worker-gateway", cut=True)
        with pytest.raises(ConnectionResetError):
            connection.recv(100)
    with pytest.raises(ConnectionRefusedError):
        through(links)
    with redis.Redis.from_url(links.environment("worker")["REDIS_URL"]) as client:
        assert client.ping()
    links.set("worker-gateway")
    with through(links) as connection:
        assert sent_back(connection, b"ping") == b"ping"


def test_it_ends_with_whoever_started_it(
    stack_spec: MakeStack, guard: Guard, redis_url: str
) -> None:
    links = Links(stack_spec(links=("worker-redis",)), redis_url, None)
    child = Child(links.child(dict(os.environ)), guard)
    child.start()
    child.wait_ready(links.answers, 20)
    port = urlsplit(links.environment("worker")["REDIS_URL"]).port
    links.close()
    child.stop(10)
    assert child.poll() in (0, -15)
    assert port not in bound_ports()


def test_a_link_to_nowhere_or_one_that_is_encrypted_is_refused(stack_spec: MakeStack) -> None:
    with pytest.raises(UsageError, match="nothing that worker-gateway leads to"):
        Links(stack_spec(links=LINKS), "redis://h/0", None)
    with pytest.raises(UsageError, match="only redis:// can"):
        Links(stack_spec(links=("worker-redis",)), "rediss://:hunter2@h/0", None)


def test_a_link_that_there_is_not_cannot_be_set(links: Links) -> None:
    with pytest.raises(StackError, match="could not change ingest-redis"):
        links.set("ingest-redis", cut=True)
