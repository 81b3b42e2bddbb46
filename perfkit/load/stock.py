"""httpx's own transports, for what ours does not carry: TLS, HTTP/2 and proxies.

The pool of one costs the square of what is in flight. So there are as many as it takes, with few
connections each, and a request goes by the first that has one to spare:

    at once    [8 of 8 taken]  [3 of 8]                   a request takes the second
               [8 of 8 taken]  [8 of 8]   [new]           another is made while the limit allows it
    waiting    [8 of 8 taken]  [9 of 8]   [8 of 8]        then it waits at the one with the fewest
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx

__all__ = ["Stock", "StockTransports"]

_FEW: Final = 8


class Stock:
    """One transport, and how many requests are with it."""

    def __init__(self, transport: httpx.AsyncHTTPTransport, limit: int) -> None:
        self.transport = transport
        self.limit = limit
        self.busy = 0


class StockTransports:
    """Transports with so many connections in all.

    Args:
        connections: of all together. Over HTTP/2 one transport does, since requests share one.
        idle_limit_ns: a connection idle for longer is replaced before use.
        verify, http2, proxy: as httpx has them.
    """

    def __init__(
        self,
        *,
        connections: int,
        idle_limit_ns: int,
        verify: Any = True,
        http2: bool = False,
        proxy: str | httpx.URL | httpx.Proxy | None = None,
    ) -> None:
        self._left = connections
        self._each = connections if http2 else _FEW
        self._idle_limit_s = idle_limit_ns / 1e9
        self._verify = verify
        self._context: Any = None
        self._http2 = http2
        self._proxy = proxy
        self._stocks: list[Stock] = []

    def warm(self) -> None:
        """Read the certificates, which takes its time."""
        if not self._stocks:
            self._make()

    @contextmanager
    def taken(self) -> Iterator[tuple[Stock, bool]]:
        """A transport for one request, and whether the request must wait for another's end."""
        spare = (each for each in self._stocks if each.busy < each.limit)
        found = next(spare, None) or (self._make() if self._left else None)
        must_wait = found is None
        if found is None:
            found = min(self._stocks, key=lambda each: each.busy)
        found.busy += 1
        try:
            yield found, must_wait
        finally:
            found.busy -= 1

    async def aclose(self) -> None:
        """Give all sockets back."""
        stocks, self._stocks = self._stocks, []
        for each in stocks:
            self._left += each.limit
            await each.transport.aclose()

    def _make(self) -> Stock:
        if self._context is None:  # once: each has its own copy of all authorities otherwise
            self._context = httpx.create_ssl_context(verify=self._verify)
        limit = min(self._left, self._each)
        self._left -= limit
        limits = httpx.Limits(max_connections=limit, keepalive_expiry=self._idle_limit_s)
        made = Stock(
            httpx.AsyncHTTPTransport(
                verify=self._context, http2=self._http2, proxy=self._proxy, limits=limits
            ),
            limit,
        )
        self._stocks.append(made)
        return made
