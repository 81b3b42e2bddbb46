"""httpx's API on the pool: ``httpx.AsyncClient(transport=HttpTransport())``.

Stock httpx 0.28 spends its time in its own pool, whose cost grows with the square of what is in
flight (123 requests/s at 64 connections where this does thousands). Here plain HTTP/1.1 takes the
pool of the built-in load; https and proxies go to stock transports.

A reply's body is read whole, up to ``body_limit``, before the response is handed out. A timeout
bounds what httpx says it bounds: `pool` and `connect` the wait for a connection, `read` the time
between two pieces of the reply.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any

import httpx

from perfkit.load.connection import HeaderConnection
from perfkit.load.exchange import NEVER_NS, ErrorKind, Exchange
from perfkit.load.pool import Pool
from perfkit.load.stock import Stock, StockTransports

__all__ = ["BodyTooLarge", "HttpTransport", "Timings", "exception_of"]


class BodyTooLarge(httpx.TransportError):
    """The reply's body is above the transport's limit."""


@dataclass(frozen=True, slots=True)
class Timings:
    """``response.extensions["perfkit"]``: monotonic stamps taken in the protocol's callbacks."""

    sent_ns: int
    first_byte_ns: int
    done_ns: int
    blocked_ns: int


class HttpTransport(httpx.AsyncBaseTransport):
    """A fast transport for plain HTTP/1.1; one pool for each host and port, in one event loop.

    Args:
        connections: limit for each host and port; of the stock transports together.
        body_limit: bytes of a reply's body.
        idle_limit_ns: a connection idle for longer is replaced before use.
        proxy: send everything through stock transports with this proxy.
        verify, http2: for the stock transports.
    """

    def __init__(
        self,
        *,
        connections: int = 1000,
        body_limit: int = 64 << 20,
        idle_limit_ns: int = 4_000_000_000,
        proxy: str | httpx.URL | httpx.Proxy | None = None,
        verify: Any = True,
        http2: bool = False,
    ) -> None:
        self._connections = connections
        self._body_limit = body_limit
        self._idle_limit_ns = idle_limit_ns
        self._proxy = proxy
        self._pools: dict[tuple[str, int], Pool] = {}
        self._stock = StockTransports(
            connections=connections,
            idle_limit_ns=idle_limit_ns,
            verify=verify,
            http2=http2,
            proxy=proxy,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send one request; raises httpx's exceptions."""
        if not self.carries(request.url):
            with self._stock.taken() as (stock, _):
                return await stock.transport.handle_async_request(request)
        exchange = await self.exchange(request)
        if exchange.error is not None:
            raise exception_of(exchange, request) from exchange.cause
        return httpx.Response(
            exchange.status,
            headers=exchange.headers,
            stream=httpx.ByteStream(exchange.body),
            extensions={
                "http_version": b"HTTP/" + exchange.http_version.encode(),
                "reason_phrase": exchange.reason,
                "perfkit": Timings(
                    exchange.sent_ns,
                    exchange.first_byte_ns,
                    exchange.done_ns,
                    exchange.blocked_ns,
                ),
            },
        )

    def carries(self, url: httpx.URL) -> bool:
        """Whether a request to this URL takes our own pool, and not a stock transport."""
        return url.scheme == "http" and self._proxy is None

    def stock(self) -> AbstractContextManager[tuple[Stock, bool]]:
        """Of `StockTransports.taken`: for a request that our pool does not carry."""
        return self._stock.taken()

    async def exchange(
        self, request: httpx.Request, on_sent: Callable[[Exchange], None] | None = None
    ) -> Exchange:
        """Send one request that our pool `carries`, and return when it has ended, well or not.

        Cancelled, it is withdrawn.
        """
        # What httpx made of content, json or data is there already; a generator is not, nor is what
        # it carries over to the request behind a redirect.
        try:
            body = request.content
        except httpx.RequestNotRead:
            body = await request.aread()
        timeouts: dict[str, float | None] = request.extensions.get("timeout", {})
        answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def on_done(_: Exchange) -> None:
            if not answered.done():
                answered.set_result(None)

        exchange = Exchange(
            _wire(request, body),
            on_done,
            _ns(timeouts.get("read")),
            head_only=request.method == "HEAD",
            patient=True,
            on_sent=on_sent,
        )
        pool = self._pool(request.url)
        pool.submit(exchange)
        await _outcome(pool, exchange, answered, timeouts)
        return exchange

    def warm(self, scheme: str) -> None:
        """Make ready what the first request of a scheme needs: TLS reads many certificates."""
        if scheme == "https":
            self._stock.warm()

    async def aclose(self) -> None:
        """Give all sockets back."""
        pools = list(self._pools.values())
        self._pools.clear()
        for pool in pools:
            await pool.close()
        await self._stock.aclose()

    def _pool(self, url: httpx.URL) -> Pool:
        origin = (url.host, url.port or 80)
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = Pool(
                *origin,
                limit=self._connections,
                connection=HeaderConnection,
                body_limit=self._body_limit,
                idle_limit_ns=self._idle_limit_ns,
            )
        return pool


async def _outcome(
    pool: Pool,
    exchange: Exchange,
    answered: asyncio.Future[None],
    timeouts: dict[str, float | None],
) -> None:
    """Wait for the end of the exchange, the wait for a connection bounded."""
    timer: asyncio.TimerHandle | None = None
    if not exchange.sent_ns:
        # As httpx has it: one that no connection is being opened for waits for another's end.
        phase, wrong, kind = (
            ("connect", httpx.ConnectTimeout, ErrorKind.CONNECT)
            if pool.is_connecting
            else ("pool", httpx.PoolTimeout, ErrorKind.UNSENT)
        )
        limit_s = timeouts.get(phase)
        if limit_s is not None:

            def give_up() -> None:
                if not exchange.sent_ns and exchange.error is None:
                    exchange.cause = wrong(f"no connection within {limit_s:g} s")
                    pool.withdraw(exchange, kind)

            timer = asyncio.get_running_loop().call_later(limit_s, give_up)
    try:
        await answered
    except asyncio.CancelledError:
        pool.withdraw(exchange, ErrorKind.ABANDONED)
        raise
    finally:
        if timer is not None:
            timer.cancel()


def _wire(request: httpx.Request, body: bytes) -> bytes:
    """The request as HTTP/1.1 bytes."""
    lines = [b"%b %b HTTP/1.1" % (request.method.encode("ascii"), request.url.raw_path)]
    is_chunked = False
    for name, value in request.headers.raw:
        lines.append(b"%b: %b" % (name, value))
        is_chunked = is_chunked or name.lower() == b"transfer-encoding"
    head = b"\r\n".join(lines)
    if not head.count(b"\r") == head.count(b"\n") == len(lines) - 1:
        raise httpx.LocalProtocolError("a line break in a header would forge another one")
    if is_chunked:
        body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"
    return b"%b\r\n\r\n%b" % (head, body)


def _ns(seconds: float | None) -> int:
    return NEVER_NS if seconds is None else round(seconds * 1e9)


def exception_of(exchange: Exchange, request: httpx.Request) -> httpx.TransportError:
    """What httpx raises for an exchange that ended without a whole reply."""
    cause = exchange.cause
    match exchange.error:
        case ErrorKind.UNSENT | ErrorKind.CONNECT if isinstance(cause, httpx.TimeoutException):
            cause.request = request
            return cause
        case ErrorKind.CONNECT if isinstance(cause, TimeoutError):
            return httpx.ConnectTimeout(str(cause), request=request)
        case ErrorKind.CONNECT:
            return httpx.ConnectError(str(cause), request=request)
        case ErrorKind.TIMEOUT:
            return httpx.ReadTimeout("no reply in time", request=request)
        case ErrorKind.PROTOCOL:
            return httpx.RemoteProtocolError(f"not HTTP/1.1: {cause}", request=request)
        case ErrorKind.TOO_LARGE:
            return BodyTooLarge("the reply is above the limit", request=request)
        case ErrorKind.RESET if cause is None:
            text = "the server closed the connection before the reply was whole"
            return httpx.RemoteProtocolError(text, request=request)
        case _:
            return httpx.ReadError(f"the connection was lost: {cause}", request=request)
