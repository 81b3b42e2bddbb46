from __future__ import annotations

import socket
from collections.abc import Callable

import pytest

from perfkit.errors import PortInUse
from perfkit.launcher.ports import HOST, listen, port_of, reserve


def test_a_server_can_listen_on_a_port_that_is_reserved_for_it() -> None:
    with reserve() as reserved, socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((HOST, port_of(reserved)))
        server.listen()
        with socket.create_connection((HOST, port_of(reserved)), timeout=5):
            connection, _ = server.accept()
            connection.close()


def test_a_reserved_port_is_given_to_nobody_else() -> None:
    held = [reserve() for _ in range(500)]
    try:
        assert len({port_of(each) for each in held}) == 500
    finally:
        for each in held:
            each.close()


@pytest.mark.parametrize("take", [reserve, listen])
def test_a_port_that_is_in_use_is_refused_with_a_mend(
    take: Callable[[int], socket.socket],
) -> None:
    with listen() as taken, pytest.raises(PortInUse, match="in use") as caught:
        take(port_of(taken))
    assert "free one" in caught.value.mend


def test_accepted_connections_do_not_wait_to_fill_a_packet() -> None:
    with listen() as listener, socket.create_connection((HOST, port_of(listener)), timeout=5):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
