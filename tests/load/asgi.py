"""One ASGI application behind several servers, for comparing clients."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from hypercorn.asyncio import serve
from hypercorn.config import Config

BIG = bytes(range(256)) * 4096
"""A body of a megabyte, in which every byte occurs."""


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """What a path asks for; anything else echoes the request as JSON."""
    if scope["type"] == "lifespan":
        while True:
            event = (await receive())["type"]
            await send({"type": f"{event}.complete"})
            if event == "lifespan.shutdown":
                return
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    status, headers, pieces = _reply(scope, body)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    for piece in pieces:
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


def _reply(
    scope: dict[str, Any], body: bytes
) -> tuple[int, list[tuple[bytes, bytes]], list[bytes]]:
    match scope["path"]:
        case "/empty":
            return 200, [(b"content-length", b"0")], []
        case "/204":
            return 204, [(b"x-what", b"nothing")], []
        case "/304":
            return 304, [(b"etag", b'"one"')], []
        case "/404":
            return 404, [(b"content-length", b"4")], [b"none"]
        case "/500":
            return 500, [], [b"broken"]
        case "/chunked":
            return 200, [(b"content-type", b"text/plain")], [b"one ", b"two ", b"three"]
        case "/big":
            return 200, [(b"content-length", b"%d" % len(BIG))], [BIG]
        case "/gzip":
            packed = gzip.compress(b"packed " * 99, mtime=0)
            return 200, [(b"content-encoding", b"gzip")], [packed]
        case "/headers":
            return 200, [(b"x-one", b"1"), (b"x-many", b"a"), (b"x-many", b"b"),
                         (b"x-empty", b""), (b"x-latin", b"caf\xe9")], [b"ok"]  # fmt: skip
        case "/close":
            return 200, [(b"connection", b"close"), (b"content-length", b"3")], [b"bye"]
        case "/cookie":
            return 303, [(b"location", b"/echo?from=cookie"), (b"set-cookie", b"seen=1")], []
        case "/loop":
            return 302, [(b"location", b"/loop")], []
        case "/away":
            return 307, [(b"location", b"/echo")], []
    told = {
        "method": scope["method"],
        "path": scope["raw_path"].decode() if scope.get("raw_path") else scope["path"],
        "query": scope["query_string"].decode(),
        "headers": sorted(
            [name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]
        ),
        "body": body.decode("latin-1"),
    }
    answer = json.dumps(told).encode()
    return 200, [(b"content-length", b"%d" % len(answer))], [answer]


@asynccontextmanager
async def behind_uvicorn(http: Any, served: Any = app) -> AsyncIterator[str]:
    """In the running loop, with one of its two protocols; yields the base URL."""
    config = uvicorn.Config(served, lifespan="off", log_level="critical", ws="none", http=http)
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        config.load()
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            await server.shutdown(sockets=[listener])


@asynccontextmanager
async def behind_hypercorn(**settings: Any) -> AsyncIterator[str]:
    """In the running loop; yields the base URL, https where there is a certificate."""
    config = Config()
    config.loglevel = "CRITICAL"
    config.graceful_timeout = 0.2
    for name, value in settings.items():
        setattr(config, name, value)
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    config.bind = [f"fd://{listener.detach()}"]  # it closes it
    over = asyncio.Event()

    async def until_over() -> None:
        await over.wait()

    serving = asyncio.ensure_future(
        serve(app, config, shutdown_trigger=until_over, mode="asgi")  # type: ignore[arg-type]
    )
    try:
        yield f"{'https' if config.ssl_enabled else 'http'}://127.0.0.1:{port}"
    finally:
        over.set()
        await serving
