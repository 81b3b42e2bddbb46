"""The ``httpx.AsyncClient`` that user code gets: every call of it is one row.

A call that httpx repeats, for redirects or authentication, is one row all the same: sent with the
first request, answered by the last reply. What a client does not use (cookies, redirects,
authentication, hooks) costs it nothing: `send` takes the short way then, with the same result.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import httpx
from httpx import USE_CLIENT_DEFAULT

from perfkit.load.exchange import ErrorKind, Exchange
from perfkit.load.transport import BodyTooLarge

if TYPE_CHECKING:
    from perfkit.load.context import Context
    from perfkit.load.wire import Wire

__all__ = ["Call", "Client"]

_CALL: Final = "perfkit.call"
_FEW: Final = 1000
_DEFAULT: Final[Any] = USE_CLIENT_DEFAULT
_CAUSES: Final = 8


class Call:
    """One call of user code on its way; the slots of `Exchange` that a row needs."""

    __slots__ = (
        "blocked_ns",
        "body",
        "context",
        "done_ns",
        "error",
        "first_byte_ns",
        "intended_ns",
        "name",
        "place",
        "row",
        "sent_ns",
        "status",
        "wire",
    )

    def __init__(self, wire: Wire, context: Context, name: str, intended_ns: int) -> None:
        self.wire = wire
        self.context = context
        self.name = name
        self.intended_ns = intended_ns
        self.place = self.row = -1  # no row yet
        self.sent_ns = self.first_byte_ns = self.done_ns = self.blocked_ns = self.status = 0
        self.error: ErrorKind | None = None
        self.body = b""

    def on_sent(self, exchange: Exchange) -> None:
        """A request of this call leaves; the first one counts."""
        if not self.sent_ns:
            self.sent_ns, self.blocked_ns = exchange.sent_ns, exchange.blocked_ns
            self.wire.sent(self)

    def take(self, exchange: Exchange) -> None:
        """A request of this call has ended; the last one counts."""
        if not self.sent_ns:
            self.sent_ns, self.blocked_ns = exchange.sent_ns, exchange.blocked_ns
        self.first_byte_ns, self.done_ns = exchange.first_byte_ns, exchange.done_ns
        self.status, self.error = exchange.status, exchange.error
        self.body = exchange.body
        if exchange.error is ErrorKind.CONNECT:
            self.error = _connecting(exchange.cause)

    def fail(self, error: BaseException) -> None:
        """The call raised: note why, unless there was a whole reply (that can't be decoded)."""
        kind = self.error or _kind_of(error)
        if kind is None and self.status:
            return
        self.error = kind or ErrorKind.PROTOCOL
        self.status = self.done_ns = 0
        if not self.sent_ns:
            self.error = ErrorKind.UNSENT


class _Hops(httpx.AsyncBaseTransport):
    """Where httpx hands over each request of a call."""

    def __init__(self, wire: Wire) -> None:
        self._wire = wire

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        call: Call = request.extensions[_CALL]
        response, _ = await self._wire.hop(request, call)
        return response


class Client(httpx.AsyncClient):
    """An ordinary client of httpx; relative URLs are those of the target.

    Two settings differ from httpx's: it reads no proxies from the environment, and its timeout is
    that of the load.
    """

    def __init__(self, wire: Wire, *, base_url: str, headers: dict[str, str], timeout_s: float):
        super().__init__(
            transport=_Hops(wire),
            base_url=base_url,
            headers=headers,
            timeout=httpx.Timeout(timeout_s),
            trust_env=False,
        )
        self._wire = wire
        self._urls: dict[str, httpx.URL] = {}
        self._urls_of = self.base_url
        self._timed: tuple[httpx.Timeout, dict[str, Any]] = (self.timeout, self.timeout.as_dict())
        self.context: Context | None = None
        """The iteration that it serves."""

    def build_request(self, method: str, url: httpx.URL | str, **given: Any) -> httpx.Request:
        """As httpx does; of a plain request, what it merges is merged once and kept."""
        for part in ("params", "cookies", "headers"):
            if given.get(part) is not None:
                return super().build_request(method, url, **given)
        timeout = given.get("timeout", _DEFAULT)
        if timeout is not _DEFAULT or type(url) is not str or self.params or len(self.cookies.jar):
            return super().build_request(method, url, **given)
        if self._timed[0] is not self.timeout:
            self._timed = (self.timeout, self.timeout.as_dict())
        return httpx.Request(
            method,
            self._whole(method, url),
            headers=self.headers,
            content=given.get("content"),
            data=given.get("data"),
            files=given.get("files"),
            json=given.get("json"),
            extensions={**(given.get("extensions") or {}), "timeout": self._timed[1]}
            if "timeout" not in (given.get("extensions") or {})
            else given["extensions"],
        )

    async def send(
        self,
        request: httpx.Request,
        *,
        stream: bool = False,
        auth: Any = _DEFAULT,
        follow_redirects: Any = _DEFAULT,
    ) -> httpx.Response:
        """Send a request, and write its row."""
        wire = self._wire
        call = wire.begin(self.context, request)
        request.extensions[_CALL] = call
        hooks = self.event_hooks
        try:
            if (
                stream
                or self.is_closed
                or (self.follow_redirects if follow_redirects is _DEFAULT else follow_redirects)
                or (self.auth if auth is _DEFAULT else auth) is not None
                or request.url.userinfo
                or hooks["request"]
                or hooks["response"]
            ):
                response = await super().send(
                    request, stream=stream, auth=auth, follow_redirects=follow_redirects
                )
            else:
                response = await self._send_plainly(request, call)
        except BaseException as error:
            call.fail(error)
            wire.ended(call, None)
            raise
        wire.ended(call, response)
        return response

    async def _send_plainly(self, request: httpx.Request, call: Call) -> httpx.Response:
        """What httpx does with a request that uses nothing but the transport."""
        response, headers = await self._wire.hop(request, call)
        response.request = request
        if "content-encoding" not in response.headers:
            # What `read` comes to for a body that is there and encoded in no way, at a tenth of it.
            response._content = call.body
            response.is_stream_consumed = response.is_closed = True
        else:
            response.read()
        response.elapsed = timedelta(microseconds=(call.done_ns - call.sent_ns) // 1000)
        for name, _ in headers:
            if len(name) == 10 and name.lower() == b"set-cookie":
                self.cookies.extract_cookies(response)
                break
        if 300 <= call.status < 400 and response.has_redirect_location:
            response.next_request = self._build_redirect_request(request, response)
        return response

    def _whole(self, method: str, url: str) -> httpx.URL:
        """The URL, merged with the base; parsing one costs as much as all the rest."""
        if self._urls_of is not self.base_url:
            self._urls.clear()
            self._urls_of = self.base_url
        found = self._urls.get(url)
        if found is None:
            found = super().build_request(method, url).url
            if len(self._urls) < _FEW:
                self._urls[url] = found
        return found


def _kind_of(error: BaseException) -> ErrorKind | None:
    match error:
        case asyncio.CancelledError():
            return ErrorKind.WITHDRAWN
        case BodyTooLarge():
            return ErrorKind.TOO_LARGE
        case httpx.TooManyRedirects():
            return ErrorKind.REDIRECTS
        case httpx.PoolTimeout():
            return ErrorKind.UNSENT
        case httpx.ConnectError() | httpx.ConnectTimeout() | httpx.ProxyError():
            return _connecting(error)
        case httpx.TimeoutException():
            return ErrorKind.TIMEOUT
        case httpx.RemoteProtocolError():
            return ErrorKind.PROTOCOL
        case httpx.NetworkError():
            return ErrorKind.RESET
        case _:
            return None


def _connecting(error: BaseException | None) -> ErrorKind:
    """Why there is no connection, from an error or what caused it."""
    for _ in range(_CAUSES):
        if isinstance(error, ssl.SSLError):
            return ErrorKind.CERTIFICATE
        if isinstance(error, socket.gaierror):
            return ErrorKind.RESOLVE
        if error is None:
            break
        if "CERTIFICATE_VERIFY_FAILED" in str(error):
            return ErrorKind.CERTIFICATE
        error = error.__cause__ or error.__context__
    return ErrorKind.CONNECT
