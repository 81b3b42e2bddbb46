"""``python -m perfkit.load.bare``: a server that does next to nothing, to calibrate against.

It answers each request with 202 and the id that the request brought, as the sample's ingest does,
and looks at nothing else. On stdout its port, one line; it stays until its stdin ends, so it can't
outlive whoever started it.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable
from typing import Final, cast

from perfkit.load.loops import event_loop

__all__ = ["BareServer", "serve", "serve_until_stdin_ends"]

_END: Final = b"\r\n\r\n"
_KEY: Final = b"Idempotency-Key: "
_ID_BYTES: Final = 36
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d{1,9})", re.IGNORECASE)
_NAMED: Final = re.compile(rb"\r\nidempotency-key: *([^\r]*)", re.IGNORECASE)
_LIMIT: Final = 1 << 20
_BACKLOG: Final = 4096


class BareServer(asyncio.Protocol):
    """One connection: HTTP/1.1 with Content-Length, keep-alive, pipelined or in pieces."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self._rest = b""

    def data_received(self, data: bytes) -> None:
        rest = self._rest + data if self._rest else data
        while rest and (size := _request_bytes(rest)):
            # Nearly always one whole request, which then isn't copied.
            self.answer(rest if size == len(rest) else rest[:size])
            rest = rest[size:]
        self._rest = rest
        if len(rest) > _LIMIT:
            self.transport.abort()

    def answer(self, request: bytes) -> None:
        """Reply to a whole request; what measures a truth of its own does it otherwise."""
        self.transport.write(accepted(request))


def accepted(request: bytes) -> bytes:
    """202 with the id that the request brought."""
    start = request.find(_KEY)
    if start >= 0:
        start += len(_KEY)
        name = request[start : request.find(b"\r", start)]
    else:
        found = _NAMED.search(request)
        name = found[1] if found else b"0" * _ID_BYTES
    return (
        b"HTTP/1.1 202 Accepted\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
        b'{"id":"%b","queue":"bare"}' % (24 + len(name), name)
    )


def _request_bytes(data: bytes) -> int:
    """Length of the request at the start of the data; 0 while it isn't whole."""
    head = data.find(_END)
    if head < 0:
        return 0
    length = _LENGTH.search(data, 0, head)
    size = head + len(_END) + (int(length[1]) if length else 0)
    return size if size <= len(data) else 0


async def serve(connection: Callable[[], asyncio.Protocol] = BareServer) -> asyncio.Server:
    """Listen on a free port of the loopback address."""
    loop = asyncio.get_running_loop()
    return await loop.create_server(connection, "127.0.0.1", 0, backlog=_BACKLOG)


async def serve_until_stdin_ends(
    connection: Callable[[], asyncio.Protocol] = BareServer,
) -> None:
    """Listen, print the port, and stay until the parent closes our stdin, or dies."""
    loop = asyncio.get_running_loop()
    server = await serve(connection)
    ended = asyncio.Event()

    def look() -> None:
        if not os.read(0, 4096):
            ended.set()

    loop.add_reader(0, look)
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()
    server.close()


def main() -> int:
    """Serve, on the fastest loop there is."""
    with asyncio.Runner(loop_factory=event_loop()[1]) as runner:
        runner.run(serve_until_stdin_ends())
    return 0


if __name__ == "__main__":
    sys.exit(main())
