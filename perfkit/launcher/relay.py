"""Connections that can be cut or slowed down: ``python -m perfkit.launcher.relay``.

    --link NAME PORT HOST TARGET_PORT    repeatable: listens on loopback, passes bytes to the target
    --control-fd N                       a socket: one JSON object a line, each answered by one

    {"link": "worker-redis", "cut": false, "delay_ms": 0}     {"ok": true, "connections": 3}

Cut: open connections are reset and new ones are refused. Delay: every piece of data is passed on
so much later, in both directions; a round trip takes twice as long. It ends with the other end of
the control socket, whatever ends that.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import socket
import struct
import sys
from collections import deque
from collections.abc import Sequence
from typing import Any, Final, cast

import uvloop

__all__ = ["Link", "main"]

_HOST: Final = "127.0.0.1"
_BACKLOG: Final = 2048
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends RST
_MOST_HELD: Final = 4 << 20  # bytes that wait for their time, of one direction


class Link:
    """One listening port, its target, and the connections between them."""

    def __init__(self, name: str, port: int, target: tuple[str, int]) -> None:
        self.name = name
        self.port = port
        self.target = target
        self.cut = False
        self.delay_s = 0.0
        self.sides: set[_Side] = set()
        self._server: asyncio.Server | None = None

    @property
    def connections(self) -> int:
        """Those that are open, both sides counted as one."""
        return len(self.sides) // 2

    async def open(self) -> None:
        """Listen.

        Raises:
            OSError: the port is taken.
        """
        listener = socket.socket()
        # Whoever started us keeps the port for us, by a socket that does not listen.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((_HOST, self.port))
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Side(self), sock=listener, backlog=_BACKLOG
        )

    async def set(self, *, cut: bool, delay_s: float) -> None:
        """Pass bytes on from now on like this."""
        self.delay_s = delay_s
        if cut and not self.cut:
            self.cut = True
            if self._server is not None:
                self._server.close()
            for side in list(self.sides):
                side.reset()
        elif self.cut and not cut:
            await self.open()
            self.cut = False


class _Side(asyncio.Protocol):
    """One end of a connection: the client's, or the one to the target."""

    def __init__(self, link: Link, peer: _Side | None = None) -> None:
        self._link = link
        self._peer = peer
        self._transport: asyncio.Transport | None = None
        # What came in here and waits to be sent by the peer; None is the end of it.
        self._held: deque[tuple[float, bytes | None]] = deque()
        self._held_bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._connecting: asyncio.Task[None] | None = None
        # No more comes in here, and no more goes out. With both it is over, which nobody else
        # tells: a transport whose `eof_received` said True stays open for ever.
        self._heard_all = self._said_all = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._link.sides.add(self)
        if self._link.cut:
            self.reset()
        elif self._peer is None:
            self._connecting = asyncio.ensure_future(self._connect())

    async def _connect(self) -> None:
        loop = asyncio.get_running_loop()
        peer = _Side(self._link, self)
        try:
            await loop.create_connection(lambda: peer, *self._link.target)
        except OSError:
            self.reset()
            return
        if self._transport is None or self._transport.is_closing():
            peer.reset()
            return
        self._peer = peer
        self._on_time()  # the client may have spoken first

    def data_received(self, data: bytes) -> None:
        self._pass(data)

    def eof_received(self) -> bool:
        self._heard_all = True
        self._pass(None)
        return not self._said_all  # the other direction may still have something to say

    def pause_writing(self) -> None:
        if self._peer is not None and self._peer._transport is not None:
            self._peer._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._peer is not None and self._peer._transport is not None:
            self._peer._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self._link.sides.discard(self)
        if exc is not None and self._peer is not None:
            self._peer.reset()
        else:
            self._pass(None)
            if self._peer is not None and not self._held:
                self._peer._close()

    def reset(self) -> None:
        """Close it as a broken wire would."""
        if self._timer is not None:
            self._timer.cancel()
        self._held.clear()
        if self._transport is not None:
            handle = self._transport.get_extra_info("socket")
            if handle is not None and not self._transport.is_closing():
                handle.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _pass(self, data: bytes | None) -> None:
        if not self._link.delay_s and not self._held and self._peer is not None:
            self._send(data)
            return
        loop = asyncio.get_running_loop()
        self._held.append((loop.time() + self._link.delay_s, data))
        self._held_bytes += len(data or b"")
        if self._held_bytes > _MOST_HELD and self._transport is not None:
            self._transport.pause_reading()
        if self._timer is None and self._peer is not None:
            self._timer = loop.call_at(self._held[0][0], self._on_time)

    def _on_time(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        while self._held and self._held[0][0] <= loop.time():
            _, data = self._held.popleft()
            if self._held_bytes > _MOST_HELD >= self._held_bytes - len(data or b""):
                self._resume()
            self._held_bytes -= len(data or b"")
            self._send(data)
        if self._held:
            self._timer = loop.call_at(self._held[0][0], self._on_time)
        elif self not in self._link.sides and self._peer is not None:
            self._peer._close()

    def _resume(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def _send(self, data: bytes | None) -> None:
        peer = self._peer._transport if self._peer is not None else None
        if peer is None or peer.is_closing():
            return
        if data is not None:
            peer.write(data)
        elif peer.can_write_eof() and self._peer is not None:
            peer.write_eof()
            self._peer._said_all = True
            if self._peer._heard_all:
                peer.close()


async def _serve(links: dict[str, Link], control: socket.socket) -> None:
    for link in links.values():
        await link.open()
    reader, writer = await asyncio.open_connection(sock=control)
    while line := await reader.readline():
        asked: dict[str, Any] = json.loads(line)
        try:
            link = links[asked["link"]]
            await link.set(cut=asked["cut"], delay_s=asked["delay_ms"] / 1000)
            answer: dict[str, Any] = {"ok": True, "connections": link.connections}
        except (OSError, KeyError) as error:
            answer = {"ok": False, "error": str(error)}
        writer.write(json.dumps(answer).encode() + b"\n")
        await writer.drain()


def main(arguments: Sequence[str] | None = None) -> int:
    """Pass bytes until the control socket ends."""
    parser = argparse.ArgumentParser(prog="python -m perfkit.launcher.relay")
    shape = ("NAME", "PORT", "HOST", "TARGET_PORT")
    parser.add_argument("--link", nargs=4, action="append", required=True, metavar=shape)
    parser.add_argument("--control-fd", type=int, required=True)
    options = parser.parse_args(arguments)
    links = {
        name: Link(name, int(port), (host, int(target)))
        for name, port, host, target in options.link
    }
    uvloop.run(_serve(links, socket.socket(fileno=options.control_fd)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
