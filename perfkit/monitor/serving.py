"""A server of one feed, in a thread of its own: bound before it starts, unbound when it ends."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import threading
from collections.abc import Callable, Collection
from types import TracebackType
from typing import Any, Final, Self

import uvicorn

from perfkit.errors import NotReady, PortInUse, UsageError
from perfkit.monitor.access import Access, is_loopback
from perfkit.monitor.feed import Feed
from perfkit.monitor.web import Application

__all__ = ["TOKEN_VARIABLE", "Served", "serve"]

TOKEN_VARIABLE: Final = "PERFKIT_MONITOR_TOKEN"

_LEAST_TOKEN: Final = 16
_MOST_HEAD_BYTES: Final = 16_384
_READY_S: Final = 15.0
_STOP_S: Final = 5.0


def serve(
    feed: Feed,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    token: str | None = None,
    allowed_hosts: Collection[str] = (),
    told: Callable[[str], None] = lambda _: None,
) -> Served:
    """Serve a feed; returns when it answers. A context manager.

    Args:
        feed: what is shown; it is not closed with the server.
        host: an address of this machine. Any but loopback needs a token.
        port: 0: a free one.
        token: that clients must show; None: PERFKIT_MONITOR_TOKEN, else on loopback none is
            needed and elsewhere one is made.
        allowed_hosts: further names under which clients come.
        told: called with each new link that admits a browser.

    Raises:
        PortInUse: the address is taken.
        UsageError: the host is none of this machine, or the token is too short.
    """
    return Served(feed, host, port, token, allowed_hosts, told)


class Served:
    """A server that runs. ``url`` is its page, without a secret; ``link`` admits one browser."""

    def __init__(
        self,
        feed: Feed,
        host: str,
        port: int,
        token: str | None,
        allowed_hosts: Collection[str],
        told: Callable[[str], None],
    ) -> None:
        token = token or os.environ.get(TOKEN_VARIABLE) or None
        if token is not None and len(token) < _LEAST_TOKEN:
            raise UsageError(
                f"a token of {len(token)} characters can be guessed",
                f"give one of {_LEAST_TOKEN} or more in {TOKEN_VARIABLE}, or none: one is made",
            )
        self.made_token = None
        if token is None and not is_loopback(host):
            token = self.made_token = secrets.token_urlsafe(32)
        self._socket = _bound(host, port)
        self.host = host
        self.port = int(self._socket.getsockname()[1])
        # Bound to all addresses: this machine reaches it by the loopback one.
        shown = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
        shown = f"[{shown}]" if ":" in shown else shown
        self.url = f"http://{shown}:{self.port}/"
        self._access = Access(
            host,
            self.port,
            token,
            allowed_hosts=allowed_hosts,
            told=lambda code: told(f"{self.url}?code={code}"),
        )
        self._application = Application(feed, self._access)
        self._server = _Server(
            uvicorn.Config(
                self._application,
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="critical",
                access_log=False,
                server_header=False,
                h11_max_incomplete_event_size=_MOST_HEAD_BYTES,
                timeout_keep_alive=5,
                timeout_graceful_shutdown=1,
                limit_concurrency=256,
            )
        )
        self._thread = threading.Thread(
            target=self._server.run,
            kwargs={"sockets": [self._socket]},
            name="perfkit-monitor-http",
            daemon=True,
        )
        self._thread.start()
        if not self._server.answers.wait(_READY_S):
            self.close()
            raise NotReady("the monitor's server did not start", "try again")

    @property
    def link(self) -> str:
        """The page, for one browser where a token is needed."""
        return f"{self.url}?code={self._access.code}" if self._access.needs_token else self.url

    def close(self) -> None:
        """End all streams, and leave the port; may be called twice."""
        self._application.close()
        self._server.should_exit = True
        self._thread.join(_STOP_S)
        with contextlib.suppress(OSError):
            self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


class _Server(uvicorn.Server):
    """Says when it answers; signals are the business of whoever runs it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.answers = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        self.answers.set()

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        yield


def _bound(host: str, port: int) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
    except (OSError, UnicodeError) as error:
        raise UsageError(
            f"{host!r} is no address of this machine: {error}", "name one, such as 127.0.0.1"
        ) from None
    bound = socket.socket(family, kind, protocol)
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
        bound.listen(128)
    except (OSError, OverflowError) as error:
        bound.close()
        raise PortInUse(
            f"{host}:{port} can't be used: {getattr(error, 'strerror', None) or error}",
            "name another one with --port, or --port 0 for a free one",
        ) from None
    return bound
