"""The little of ASGI that the ingest and the gateway need.

Both are routed by hand: with so few paths a dictionary does. Measured in process on one handler,
Starlette's routing, Request and JSONResponse doubled the cost of a call (52 against 25 us).
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

__all__ = ["BodyTooLarge", "ClientGone", "Receive", "Scope", "Send", "lifespan", "read", "reply"]

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

_encode = json.JSONEncoder(separators=(",", ":")).encode


class ClientGone(Exception):
    """The client hung up before its request was whole: nobody waits for an answer."""


class BodyTooLarge(Exception):
    """The body is longer than allowed."""


async def read(receive: Receive, most_bytes: int) -> bytes:
    """The whole body of a request.

    Raises:
        BodyTooLarge: as soon as more than ``most_bytes`` have come.
        ClientGone: if the connection ended before.
    """
    body = b""
    more = True
    while more:
        event = await receive()
        if event["type"] == "http.disconnect":
            raise ClientGone
        body += event.get("body", b"")
        if len(body) > most_bytes:
            raise BodyTooLarge
        more = event.get("more_body", False)
    return body


async def reply(send: Send, status: int, document: object, *headers: tuple[bytes, bytes]) -> None:
    """Answer with a JSON document."""
    body = _encode(document).encode()
    await send(
        {
            "type": "http.response.start",
            "status": status,
            "headers": [
                (b"content-type", b"application/json"),
                (b"content-length", b"%d" % len(body)),
                *headers,
            ],
        }
    )
    await send({"type": "http.response.body", "body": body})


async def lifespan(receive: Receive, send: Send, stop: Callable[[], None]) -> None:
    """Take part in the server's start and end; ``stop()`` is called at the end."""
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    stop()
    await send({"type": "lifespan.shutdown.complete"})
