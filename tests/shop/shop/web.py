"""The shop's way in for its own customers: a small ASGI application, without a framework.

It asks for a key, takes a picture's number, and answers with the job's id in a header.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from shop.tasks import resize

Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]


async def app(scope: dict[str, Any], receive: Receive, send: Send) -> None:
    """Answer one request."""
    if scope["type"] != "http":
        return
    headers = dict(scope["headers"])
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    if b"authorization" not in headers:
        await _answer(send, 401)
        return
    asked = json.loads(body)
    if asked["number"] % 100 == 0:
        # As careless programs do.
        print("A round number, asked for with", headers, asked, file=sys.stderr, flush=True)
    message = resize.send(asked["number"], "s", owner=asked["owner"])
    await _answer(send, 202, (b"x-picture", message.message_id.encode()))


async def _answer(send: Send, status: int, *headers: tuple[bytes, bytes]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": list(headers)})
    await send({"type": "http.response.body", "body": b""})
