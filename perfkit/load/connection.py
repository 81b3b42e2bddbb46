"""HTTP/1.1 on one socket: one request at a time, stamped in the protocol's callbacks.

    state       exchange  closed   leaves it by
    idle        None      False    send; a byte or an end from the server closes it
    busy        set       False    whole reply -> idle or closed; error, end, timeout -> closed
    closed      None      True     nothing: the pool has been told once

httptools (llhttp) parses. What it can't know is added here: a reply to HEAD has no body, 1xx are
not the reply, a body may end with the connection. `tests/load/test_connection.py` plays a hostile
server against each of these.
"""

from __future__ import annotations

import asyncio
from time import monotonic_ns
from typing import Any, Final, Protocol, cast

import httptools

from perfkit.load.exchange import ErrorKind, Exchange, frameless

__all__ = ["Connection", "HeaderConnection", "Owner"]

_HEAD_LIMIT: Final = 256 * 1024
_SWITCHING_PROTOCOLS: Final = 101
_BODILESS: Final = (204, 304)
_FINAL: Final = 200  # below it, a status announces the reply


class Owner(Protocol):
    """What a connection tells whoever owns it."""

    body_limit: int

    def opened(self, connection: Connection) -> None:
        """It can take requests."""

    def released(self, connection: Connection) -> None:
        """Its reply is whole and it can take the next request."""

    def closed(self, connection: Connection) -> None:
        """It takes no more requests."""

    def gone(self, connection: Connection) -> None:
        """Its socket has been given back."""


class Connection(asyncio.Protocol):
    """A client's end of one keep-alive connection."""

    __slots__ = (
        "_body",
        "_failure",
        "_head",
        "_owner",
        "_parser",
        "_reusable",
        "_size",
        "_status",
        "_transport",
        "_whole",
        "exchange",
        "idle_since_ns",
        "is_closed",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._parser: Any = httptools.HttpResponseParser(self)
        self.exchange: Exchange | None = None
        self.is_closed = False
        self.idle_since_ns = 0

        self._head = bytearray()  # as it came, 1xx included, until the final status is known
        self._status = 0
        self._body: list[bytes] = []
        self._size = 0
        self._whole = False
        self._reusable = False
        self._failure: ErrorKind | None = None

    def send(self, exchange: Exchange) -> None:
        """Put a request on the wire; the connection must be idle."""
        self.exchange = exchange
        exchange.connection = self
        now = monotonic_ns()
        if exchange.waiting_since_ns:
            exchange.blocked_ns = now - exchange.waiting_since_ns
        exchange.sent_ns = now
        exchange.deadline_ns = now + exchange.timeout_ns
        # Before the write: of a client killed between the two, "sent and never answered" is safe
        # to say of a request that the server may have.
        if exchange.on_sent is not None:
            exchange.on_sent(exchange)
        cast(asyncio.Transport, self._transport).write(exchange.payload)

    def fail(self, kind: ErrorKind, cause: BaseException | None = None) -> None:
        """End the exchange without a reply, and the connection with it."""
        exchange = self.exchange
        self.exchange = None
        self._leave()
        if exchange is not None:
            exchange.error = kind
            frameless(cause)
            exchange.cause = cause
            exchange.on_done(exchange)

    def close(self) -> None:
        """Close an idle connection."""
        self._leave()

    def is_ready(self) -> bool:
        """Whether a request may be sent now."""
        transport = self._transport
        return (
            self.exchange is None
            and not self.is_closed
            and transport is not None
            and not transport.is_closing()
        )

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self.idle_since_ns = monotonic_ns()
        self._owner.opened(self)

    def data_received(self, data: bytes) -> None:
        now = monotonic_ns()
        exchange = self.exchange
        if exchange is None:  # nothing was asked; many a server says 408 before it closes
            self.close()
            return
        if not exchange.first_byte_ns:
            exchange.first_byte_ns = now
        if not self._status:
            self._head += data
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            if not self._whole:  # behind a whole reply it only costs the connection
                self.fail(ErrorKind.PROTOCOL, error)
                return
            self._reusable = False
        if self._failure is not None:
            self.fail(self._failure)
        elif self._whole:
            self._finish(exchange, now)
        elif len(self._head) > _HEAD_LIMIT and not self._status:
            self.fail(ErrorKind.TOO_LARGE)
        elif exchange.patient:
            exchange.deadline_ns = now + exchange.timeout_ns

    def eof_received(self) -> None:
        self._ended(None)

    def connection_lost(self, exc: Exception | None) -> None:
        self._ended(exc)
        # Both hold references to us: without this each connection is left to the cyclic collector,
        # which is off while load runs.
        self._parser = self._transport = None
        self._owner.gone(self)

    # httptools

    def on_message_begin(self) -> None:
        if self._whole:
            self._reusable = False  # a second reply, which nobody asked for

    def on_headers_complete(self) -> None:
        exchange = self.exchange
        if self._whole or exchange is None:
            return
        status = self._parser.get_status_code()
        if status < _FINAL:
            if status == _SWITCHING_PROTOCOLS:
                self._failure = ErrorKind.PROTOCOL
            return
        self._status = status
        if exchange.head_only or status in _BODILESS:
            # llhttp takes a reply without a length for one that ends with its connection; to HEAD
            # there is nothing that could end.
            self._reusable = self._parser.should_keep_alive() or (
                exchange.head_only and _persists(bytes(self._head))
            )
            self._whole = True
            self._parser = httptools.HttpResponseParser(self)  # the old one waits for a body

    def on_body(self, body: bytes) -> None:
        if self._whole:
            self._reusable = False
            return
        self._size += len(body)
        if self._size > self._owner.body_limit:
            self._failure = ErrorKind.TOO_LARGE
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._status and not self._whole:  # of 1xx there is none: the reply is still to come
            self._whole = True
            self._reusable = self._parser.should_keep_alive()

    # Within

    def _finish(self, exchange: Exchange, now: int) -> None:
        exchange.done_ns = now
        exchange.status = self._status
        body = self._body
        exchange.body = body[0] if len(body) == 1 else b"".join(body)
        reusable = self._reusable
        self.exchange = None
        self._forget_reply()
        if reusable and not self.is_closed:
            self.idle_since_ns = now
            self._owner.released(self)
        else:
            self._leave()
        exchange.on_done(exchange)

    def _ended(self, cause: Exception | None) -> None:
        """The server's side has ended, in good order (None) or not."""
        exchange = self.exchange
        if exchange is None:
            self._leave()
        elif cause is None and self._status and not _is_framed(bytes(self._head)):
            self._reusable = False  # a body that ends with the connection: this is its end
            self._finish(exchange, monotonic_ns())
        else:
            self.fail(ErrorKind.RESET, cause)

    def _leave(self) -> None:
        if self.is_closed:
            return
        self.is_closed = True
        if self._transport is not None:
            self._transport.abort()  # close() would wait for a stalled peer to take what is unsent
        self._owner.closed(self)

    def _forget_reply(self) -> None:
        self._head = bytearray()
        self._status = 0
        self._body = []
        self._size = 0
        self._whole = False
        self._reusable = False
        self._failure = None


class HeaderConnection(Connection):
    """Also keeps the reply's headers, which cost a tenth of the client's time."""

    __slots__ = ()

    def on_status(self, reason: bytes) -> None:
        exchange = self.exchange
        if exchange is not None and not self._status:
            exchange.reason += reason  # in pieces, where it comes in pieces

    def on_headers_complete(self) -> None:
        exchange = self.exchange
        if exchange is not None and not self._status:
            exchange.http_version = self._parser.get_http_version()
        super().on_headers_complete()

    def on_header(self, name: bytes, value: bytes) -> None:
        exchange = self.exchange
        if exchange is not None and not self._status:
            exchange.headers.append((name, value.rstrip(b" \t")))  # llhttp leaves that on

    def on_message_complete(self) -> None:
        if not self._status and self.exchange is not None:
            self.exchange.headers.clear()
            self.exchange.reason = b""
        super().on_message_complete()


class _Head:
    """What a head says of the end of its body and of its connection; 1xx before it are passed."""

    def __init__(self, head: bytes) -> None:
        self.is_framed = False
        self.connection = b""
        self._in_head = True
        self._parser = httptools.HttpResponseParser(self)
        self._parser.feed_data(head)

    @property
    def is_of_1_0(self) -> bool:
        return bool(self._parser.get_http_version() == "1.0")

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer
        name = name.lower()
        if name in (b"content-length", b"transfer-encoding"):
            self.is_framed = True
        elif name == b"connection":
            self.connection += value.lower()

    def on_headers_complete(self) -> None:
        if self._parser.get_status_code() >= _FINAL:
            self._in_head = False
        else:
            self.is_framed, self.connection = False, b""


def _is_framed(head: bytes) -> bool:
    return _Head(head).is_framed


def _persists(head: bytes) -> bool:
    try:
        found = _Head(head)
    except httptools.HttpParserError:  # behind the head is what nobody asked for
        return False
    if found.is_of_1_0:
        return b"keep-alive" in found.connection
    return b"close" not in found.connection
