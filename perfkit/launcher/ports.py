"""Loopback ports, without a race for them."""

from __future__ import annotations

import socket
from typing import Final

from perfkit.errors import PortInUse

__all__ = ["BACKLOG", "HOST", "listen", "port_of", "reserve"]

HOST: Final = "127.0.0.1"
BACKLOG: Final = 2048


def port_of(bound: socket.socket) -> int:
    """The port of a bound socket."""
    return int(bound.getsockname()[1])


def reserve(port: int | None = None) -> socket.socket:
    """A socket that keeps a port for a server until that listens; without a port, a free one.

    Bound and not listening, with SO_REUSEADDR: Linux then lets a server that sets it too (all of
    ours do) bind and listen beside it, and gives the port to nobody who asks for a free one.

    Raises:
        PortInUse: the port that was asked for is taken.
    """
    bound = socket.socket()
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((HOST, port or 0))
    except OSError as error:
        bound.close()
        raise PortInUse(
            f"port {port} on {HOST} can't be used: {error.strerror}",
            "name another port, or none: then a free one is taken",
        ) from None
    return bound


def listen(port: int | None = None) -> socket.socket:
    """A listening socket for processes to inherit; without a port, on a free one.

    Several processes share one queue of connections, as with ``uvicorn --workers``.

    Raises:
        PortInUse: the port that was asked for is taken.
    """
    listener = reserve(port)
    try:
        # Inherited by accepted connections. Given a descriptor, uvicorn does not know that this
        # is TCP, and a loop that goes by the socket's family would leave Nagle's algorithm on.
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise PortInUse(
            f"port {port} on {HOST} can't be used: {error.strerror}",
            "name another port, or none: then a free one is taken",
        ) from None
    return listener
