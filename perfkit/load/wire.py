"""What all clients of a generator share: connections, rows, names, and the target's job ids.

begin --> a row, as soon as it is known to go out --> hop, once or more --> ended
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from time import monotonic_ns
from typing import Any, Final

import httpx

from perfkit.load.client import Call
from perfkit.load.context import Context, checked_name
from perfkit.load.exchange import ErrorKind
from perfkit.load.foreign import LONGEST, ForeignIds
from perfkit.load.happenings import REQUEST_NAMES, NameBook
from perfkit.load.ledger import Ledger
from perfkit.load.rows import FOREIGN_IDS
from perfkit.load.spec import JobIdRule, LoadSpec
from perfkit.load.transport import BodyTooLarge, HttpTransport, exception_of
from perfkit.redaction import redact

__all__ = ["Wire", "named_after", "pointed_at"]

_MOST_NAMES: Final = 1_000
_OTHERS: Final = "(others)"
_ID: Final = re.compile(r"[0-9]+|[0-9a-fA-F]{8}-[0-9a-fA-F-]{27}|[0-9a-fA-F]{16,}")
_MOST_PATHS: Final = 10_000

Headers = Sequence[tuple[bytes, bytes]]


class Wire:
    """Sends the requests of user code, in the running loop."""

    def __init__(self, spec: LoadSpec, ledger: Ledger, secrets: Sequence[str]) -> None:
        journey = spec.journey
        assert journey is not None
        self._ledger = ledger
        self._rule: JobIdRule | None = journey.job_id
        self._secrets = secrets
        self._limit = journey.body_limit
        self._transport = HttpTransport(
            connections=spec.connections,
            body_limit=journey.body_limit,
            idle_limit_ns=spec.idle_limit_ns,
        )
        self._names = NameBook(Path(spec.output) / REQUEST_NAMES, _MOST_NAMES)
        self._numbers: dict[str, int] = {}
        self._others = self.number(_OTHERS)
        self._paths: dict[tuple[str, str], str] = {}
        self._foreign = ForeignIds(Path(spec.output) / FOREIGN_IDS)
        self.in_flight = self.done = self.unsent = self.errors = self.lag_max_ns = 0
        self.is_over = False  # the load: nothing is sent any more
        self._transport.warm(spec.base_url.partition(":")[0])

    def number(self, name: str) -> int:
        """A request's name as a number; that of all others where there are too many."""
        known = self._numbers.get(name)
        if known is None:
            shown = str(redact(name, *self._secrets))
            given = self._names.number(shown)
            known = self._others if given is None else given
            if len(self._numbers) < _MOST_PATHS:
                self._numbers[name] = known
        return known

    def drop(self, context: Context, name: str) -> None:
        """A row for an iteration that is not begun, or was never going to be."""
        due = context.due
        self._ledger.plan(due.intended_ns, due.user, due.iteration, self.number(name))
        self.unsent += 1

    def begin(self, context: Context | None, request: httpx.Request) -> Call:
        """A call of user code begins.

        Raises:
            RuntimeError: outside of an iteration, or after the end of the load.
        """
        if context is None or self.is_over:
            raise RuntimeError("the iteration of this client is over; nothing can be sent any more")
        now = monotonic_ns()
        given, waiting = request.extensions.get("name"), context.take_name()
        name = checked_name(given) if given is not None else waiting or self._default(request)
        return Call(self, context, name, context.basis_ns + max(0, now - context.since_ns))

    def sent(self, call: Call) -> None:
        """The first request of a call leaves."""
        self._ledger.sent(call.place, call.sent_ns, call.blocked_ns)
        lag_ns = call.sent_ns - call.intended_ns - call.blocked_ns
        if lag_ns > self.lag_max_ns:
            self.lag_max_ns = lag_ns

    async def hop(self, request: httpx.Request, call: Call) -> tuple[httpx.Response, Headers]:
        """Send one request of a call; its reply, read whole, and the headers as they came.

        Raises:
            httpx.TransportError: there is no whole reply.
        """
        if call.place < 0 and request.url.scheme in ("http", "https"):
            self._plan(call)
        if not self._transport.carries(request.url):
            return await self._hop_stock(request, call)
        exchange = await self._transport.exchange(request, call.on_sent)
        call.take(exchange)
        if exchange.error is not None:
            raise exception_of(exchange, request) from exchange.cause
        response = httpx.Response(
            exchange.status,
            headers=exchange.headers,
            stream=httpx.ByteStream(exchange.body),
            extensions={"http_version": b"HTTP/1.1"},
        )
        return response, exchange.headers

    async def _hop_stock(
        self, request: httpx.Request, call: Call
    ) -> tuple[httpx.Response, Headers]:
        """The same by httpx's own transport, for https."""
        call.status = call.done_ns = 0
        with self._transport.stock() as (stock, must_wait):
            if not call.sent_ns and call.place >= 0:
                reply = await self._first_by_stock(stock.transport, must_wait, request, call)
            else:
                reply = await stock.transport.handle_async_request(request)
            call.first_byte_ns = monotonic_ns()
            body = bytearray()
            try:
                assert isinstance(reply.stream, httpx.AsyncByteStream)
                async for piece in reply.stream:
                    body += piece
                    if len(body) > self._limit:
                        raise BodyTooLarge("the reply is above the limit", request=request)
            finally:
                await reply.aclose()
        call.done_ns, call.status, call.body = monotonic_ns(), reply.status_code, bytes(body)
        response = httpx.Response(
            reply.status_code,
            headers=reply.headers,
            stream=httpx.ByteStream(call.body),
            extensions={"http_version": reply.extensions.get("http_version", b"HTTP/1.1")},
        )
        return response, reply.headers.raw

    async def _first_by_stock(
        self, transport: httpx.AsyncHTTPTransport, waits: bool, request: httpx.Request, call: Call
    ) -> httpx.Response:
        """Send the first request of a call; it is sent when its head goes to a connection.

        As in our pool, what it waits for a connection to be free or to open is blocked time, and no
        time of the target.
        """
        began_ns = monotonic_ns()
        told = request.extensions.get("trace")

        def leave() -> None:
            call.sent_ns = monotonic_ns()
            call.blocked_ns = call.sent_ns - began_ns if waits else 0
            self.sent(call)

        async def trace(event: str, info: dict[str, Any]) -> None:
            nonlocal waits
            if event.endswith(".connect_tcp.started"):
                waits = True
            elif event.endswith(".send_request_headers.started") and not call.sent_ns:
                leave()
            if told is not None:
                await told(event, info)

        request.extensions = {**request.extensions, "trace": trace}
        try:
            return await transport.handle_async_request(request)
        except (httpx.ConnectError, httpx.ConnectTimeout, httpx.ProxyError):
            if not call.sent_ns:
                leave()  # it left our hands, and went no further
            raise

    def ended(self, call: Call, response: httpx.Response | None) -> None:
        """A call has ended, with its last reply or without one."""
        now = monotonic_ns()
        context = call.context
        context.basis_ns, context.since_ns = call.done_ns or now, now
        if call.place < 0:
            return  # never got so far as to be a request
        self.in_flight -= 1
        if call.error is ErrorKind.WITHDRAWN and self.is_over:
            call.error = ErrorKind.ABANDONED
        self._ledger.ended(call.place, call)
        if call.error is None:
            self.done += 1
            if self._rule is not None and 200 <= call.status < 300:
                self._note_job(self._rule, call, response)
        elif call.sent_ns:
            self.errors += 1
        else:
            self.unsent += 1

    async def close(self) -> None:
        """Give everything back."""
        self.is_over = True
        await self._transport.aclose()
        self._foreign.close()
        self._names.close()

    def _plan(self, call: Call) -> None:
        context = call.context
        due = context.due
        call.row = self._ledger.rows
        call.place = self._ledger.plan(
            call.intended_ns, due.user, due.iteration, self.number(call.name), context.requests
        )
        context.requests += 1
        self.in_flight += 1

    def _default(self, request: httpx.Request) -> str:
        path = request.url.path
        known = self._paths.get((request.method, path))
        if known is None:
            known = named_after(request.method, path)
            if len(self._paths) < _MOST_PATHS:
                self._paths[request.method, path] = known
        return known

    def _note_job(self, rule: JobIdRule, call: Call, response: httpx.Response | None) -> None:
        if rule.requests and call.name not in rule.requests:
            return
        found: Any = None
        if rule.header and response is not None:
            found = response.headers.get(rule.header)
        elif rule.pointer is not None:
            body = call.body
            if response is not None and "content-encoding" in response.headers:
                body = response.content if response.is_closed else b""
            found = pointed_at(body, rule.pointer)
        if isinstance(found, str) and 0 < len(found) <= LONGEST and found.isprintable():
            self._foreign.add(call.row, found)
            self._foreign.flush()  # nothing else knows this job: a kill must not lose it


def named_after(method: str, path: str) -> str:
    """A request's name where it has none: its method and path, ids left out."""
    parts = ["{id}" if _ID.fullmatch(part) else part for part in path.split("/")]
    shown = "".join(letter if letter.isprintable() else "?" for letter in "/".join(parts))
    return f"{method} {shown}"[:200]


def pointed_at(body: bytes, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) finds in a body; None where it is no JSON, or nothing."""
    if body[:1] not in (b"{", b"[", b" ", b"\n", b"\r", b"\t", b'"'):
        return None
    try:
        place = json.loads(body)
        for part in pointer.split("/")[1:]:
            name = part.replace("~1", "/").replace("~0", "~")
            place = place[int(name)] if isinstance(place, list) else place[name]
    except (ValueError, TypeError, KeyError, IndexError, RecursionError):
        return None
    return place
