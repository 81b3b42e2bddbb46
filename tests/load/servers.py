"""Servers for the load's tests: one that plays a script, one that takes jobs."""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from threading import Thread

Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

ACCEPTED = b"HTTP/1.1 202 Accepted\r\ncontent-length: 2\r\n\r\n{}"


async def read_request(reader: asyncio.StreamReader) -> bytes:
    """One request, head and body; empty at the end of the connection."""
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    length = 0
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            length = int(value)
    return head + (await reader.readexactly(length) if length else b"")


@asynccontextmanager
async def playing(*scripts: Script) -> AsyncIterator[int]:
    """A server whose n-th connection follows the n-th script, the last one for all others.

    A connection is closed when its script ends. Yields the port.
    """
    taken = 0
    talks: set[asyncio.Task[None]] = set()

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal taken
        script = scripts[min(taken, len(scripts) - 1)]
        taken += 1
        task = asyncio.current_task()
        assert task is not None
        talks.add(task)
        try:
            await script(reader, writer)
            await writer.drain()
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            talks.discard(task)

    server = await asyncio.start_server(talk, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in list(talks):
            task.cancel()
        await asyncio.gather(*talks, return_exceptions=True)


def says(*replies: bytes) -> Script:
    """Answers the n-th request of a connection with the n-th reply, then closes."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for reply in replies:
            if not await read_request(reader):
                return
            writer.write(reply)

    return script


def stays(*replies: bytes) -> Script:
    """As `says`, but the connection stays open until the client leaves."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await says(*replies)(reader, writer)
        while await reader.read(65536):
            pass

    return script


class JobServer:
    """Answers `POST /jobs/{queue}` with 202 and the id, and remembers what it saw.

    ``hold()`` keeps replies back until ``release()``.
    """

    def __init__(self) -> None:
        self.requests: list[bytes] = []
        self.connections = 0
        self.status = 202
        self.reply: Callable[[str], bytes] = lambda name: json.dumps({"id": name}).encode()
        self._open = asyncio.Event()
        self._open.set()

    def hold(self) -> None:
        self._open.clear()

    def release(self) -> None:
        self._open.set()

    @property
    def keys(self) -> list[str]:
        """Draw keys in order of arrival."""
        return [json.loads(request.partition(b"\r\n\r\n")[2])["key"] for request in self.requests]

    @property
    def names(self) -> list[str]:
        """Idempotency keys in order of arrival."""
        return [header(request, b"Idempotency-Key") for request in self.requests]

    @property
    def queues(self) -> list[str]:
        """Queues in order of arrival."""
        paths = [request.split(b" ", 2)[1].decode() for request in self.requests]
        return [path.removeprefix("/jobs/") for path in paths]

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        """Serve; yields the base URL."""
        async with playing(self._talk) as port:
            yield f"http://127.0.0.1:{port}"

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while request := await read_request(reader):
            self.requests.append(request)
            await self._open.wait()
            body = self.reply(header(request, b"Idempotency-Key"))
            head = f"HTTP/1.1 {self.status} X\r\ncontent-length: {len(body)}\r\n\r\n"
            writer.write(head.encode() + body)


def header(request: bytes, name: bytes) -> str:
    """The value of a header."""
    start = request.index(name + b": ") + len(name) + 2
    return request[start : request.index(b"\r\n", start)].decode()


async def until(condition: Callable[[], object], timeout_s: float, what: str) -> None:
    """`wait_until` for code that shares its loop with what it waits for."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout_s
    while not condition():
        if loop.time() > deadline:
            raise AssertionError(f"waited {timeout_s:g} s in vain until {what}")
        turned: asyncio.Future[None] = loop.create_future()
        loop.call_later(0.002, turned.set_result, None)
        await turned


@contextmanager
def deaf() -> Iterator[int]:
    """A port that takes no connection: its queue is full, and nobody accepts."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as server:
        address = server.getsockname()
        waiting = [socket.socket() for _ in range(4)]
        for each in waiting:
            each.setblocking(False)
            with suppress(BlockingIOError):
                each.connect(address)
        try:
            yield address[1]
        finally:
            for each in waiting:
                each.close()


@contextmanager
def resetting() -> Iterator[int]:
    """A port whose connections are reset as soon as they are there."""
    with socket.create_server(("127.0.0.1", 0), backlog=200) as server:

        def reset() -> None:
            with suppress(OSError):
                while True:
                    taken, _ = server.accept()
                    taken.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    taken.close()

        thread = Thread(target=reset)
        thread.start()
        try:
            yield server.getsockname()[1]
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()
