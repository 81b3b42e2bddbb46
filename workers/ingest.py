"""The way in: ``uvicorn workers.ingest:app``.

    POST /jobs/{queue}   202 {"id", "queue"}: the job is in Redis
                         400 no JSON, or an Idempotency-Key that is no UUID; 404 no such queue;
                         405 not POST; 413 body too large; 422 not a job of this queue;
                         503 Redis did not take it, or did not say so
    GET  /healthz        200 while the process serves
    GET  /readyz         200 if Redis answers (each, where queues have their own), else 503
    GET  /ledger         200 {"entries"}: payments charged

Every answer is JSON; a refusal is {"error", "mend"}. The ``Idempotency-Key`` header (a UUID)
becomes the message's id, else a new one is made. The same key posted twice is enqueued twice
(delivery is at least once anyway) and a payment is still charged once.

``INGEST_ENQUEUE=inline`` enqueues in the event loop: the loop stands still for the round trip to
Redis, about 0.2 ms, and for as long as a broken Redis takes to time out. ``thread`` hands it to
four threads: the loop goes on, and each job pays for two thread switches. More threads only
compete for the interpreter lock.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

import redis
from dramatiq import Message
from dramatiq.errors import BrokerError

from .actors import ACTORS
from .asgi import BodyTooLarge, ClientGone, Receive, Scope, Send, lifespan, read, reply
from .broker import broker, broker_for, brokers
from .job import MAX_BODY_BYTES, JobRefused, parse_job
from .ledger import Ledger
from .settings import SETTINGS

__all__ = ["app"]

THREADS: Final = 4
_UNAVAILABLE: Final = (redis.RedisError, BrokerError)

_log = logging.getLogger(__name__)
_pool = ThreadPoolExecutor(THREADS, thread_name_prefix="enqueue")
_Result = TypeVar("_Result")


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The ASGI application."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send, _pool.shutdown)
        return
    if scope["type"] != "http":
        raise RuntimeError(f"no {scope['type']} here, only http")
    path: str = scope["path"]
    try:
        if path.startswith("/jobs/"):
            status, answer = await _take_job(path[6:], scope, receive)
        elif path in _PAGES:
            _only(scope, "GET")
            status, answer = await _PAGES[path]()
        else:
            listed = ", ".join(["POST /jobs/{queue}", *(f"GET {page}" for page in _PAGES)])
            raise JobRefused(404, f"nothing at {path}", f"there is {listed}")
    except ClientGone:
        return
    except JobRefused as refused:
        allow = [(b"allow", refused.allow.encode())] if isinstance(refused, _NotAllowed) else []
        await reply(send, refused.status, {"error": refused.what, "mend": refused.mend}, *allow)
    else:
        await reply(send, status, answer)


class _NotAllowed(JobRefused):
    def __init__(self, method: str, path: str, allow: str) -> None:
        super().__init__(405, f"{method} does not work on {path}", f"use {allow}")
        self.allow = allow


def _only(scope: Scope, method: str) -> None:
    if scope["method"] != method:
        raise _NotAllowed(scope["method"], scope["path"], method)


async def _take_job(queue: str, scope: Scope, receive: Receive) -> tuple[int, dict[str, Any]]:
    actor = ACTORS.get(queue)
    if actor is None:
        raise JobRefused(404, f"no queue {queue!r}", f"queues are {', '.join(ACTORS)}")
    _only(scope, "POST")
    try:
        body = await read(receive, MAX_BODY_BYTES)
    except BodyTooLarge:
        raise JobRefused(
            413, "the body is too large", f"send at most {MAX_BODY_BYTES} bytes"
        ) from None
    message: Message[None] = actor.message(parse_job(queue, body))
    if (given := _header(scope, b"idempotency-key")) is not None:
        message = message.copy(message_id=_job_id(given))
    target = broker_for(queue)
    try:
        if SETTINGS.ingest_enqueue == "inline":
            target.enqueue(message)
        else:
            await _in_thread(lambda: target.enqueue(message))
    except _UNAVAILABLE as error:
        _log.warning("job %s not enqueued: %s", message.message_id, type(error).__name__)
        raise JobRefused(
            503,
            f"Redis did not confirm the job ({type(error).__name__})",
            f"post it again with 'Idempotency-Key: {message.message_id}'",
        ) from None
    return 202, {"id": message.message_id, "queue": queue}


def _header(scope: Scope, name: bytes) -> bytes | None:
    for header, value in scope["headers"]:
        if header == name:
            return bytes(value)
    return None


def _job_id(given: bytes) -> str:
    try:
        return str(uuid.UUID(given.decode("ascii")))
    except ValueError:
        raise JobRefused(
            400,
            "the Idempotency-Key header is not a UUID",
            f"send one such as {uuid.uuid4()}, or leave the header out",
        ) from None


async def _in_thread(work: Callable[[], _Result]) -> _Result:
    return await asyncio.get_running_loop().run_in_executor(_pool, work)


async def _health() -> tuple[int, dict[str, Any]]:
    return 200, {"status": "up"}


async def _ready() -> tuple[int, dict[str, Any]]:
    try:
        for each in brokers.values() or (broker,):
            await _in_thread(each.client.ping)
    except _UNAVAILABLE as error:
        return 503, {
            "error": f"Redis does not answer ({type(error).__name__})",
            "mend": "start Redis, or set REDIS_URL to one that runs",
        }
    return 200, {"status": "ready"}


async def _ledger() -> tuple[int, dict[str, Any]]:
    try:
        return 200, {"entries": await _in_thread(Ledger(broker_for("payments").client).entries)}
    except _UNAVAILABLE as error:
        return 503, {
            "error": f"Redis does not answer ({type(error).__name__})",
            "mend": "start Redis, or set REDIS_URL to one that runs",
        }


_PAGES: Final = {"/healthz": _health, "/readyz": _ready, "/ledger": _ledger}
