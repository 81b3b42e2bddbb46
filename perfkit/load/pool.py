"""Keep-alive connections to one server, up to a limit, and a first-come queue for them.

A request goes out at once on an idle connection, the most recently used first: the fewest
connections stay warm, and those are the least likely to be closed by the server meanwhile. Else it
waits (blocked time) for one to be free or to open. A request is written at most once: when its
connection ends without a reply, that is a `reset`, even where the connection was merely stale. To
keep that rare, a connection idle for longer than `idle_limit_ns` is replaced before use.
"""

from __future__ import annotations

import asyncio
import socket
from collections import deque
from functools import partial
from time import monotonic_ns
from typing import Final, cast

from perfkit.load.connection import Connection
from perfkit.load.exchange import ErrorKind, Exchange, frameless

__all__ = ["Pool"]

_SWEEP_S: Final = 0.05
_OPEN_AT_ONCE: Final = 100  # well inside the smallest backlog of common servers (node: 511)
_TURNS: Final = 100  # of the loop, in which it gives an aborted socket back; it takes two
_IDLE_LIMIT_NS: Final = 4_000_000_000  # uvicorn and node close after 5 s


class Pool:
    """Connections to ``host:port``. All calls belong to one event loop, which must be running.

    ``private``: each caller keeps the connection of its last exchange and passes it on in
    ``Exchange.connection``; a released connection is left to its caller and serves nobody else.
    """

    def __init__(
        self,
        host: str,
        port: int,
        *,
        limit: int,
        connection: type[Connection] = Connection,
        body_limit: int = 1 << 20,
        connect_timeout_ns: int = 30_000_000_000,
        idle_limit_ns: int = _IDLE_LIMIT_NS,
        private: bool = False,
    ) -> None:
        self.body_limit = body_limit
        self._loop = asyncio.get_running_loop()
        self._host = host
        self._address: str | None = None  # of the last success: spares a look-up for each opening
        self._port = port
        self._limit = limit
        self._make = partial(connection, self)
        self._connect_timeout_s = connect_timeout_ns / 1e9
        self._idle_limit_ns = idle_limit_ns
        self._private = private
        self._open: set[Connection] = set()
        self._leaving: set[Connection] = set()  # closed by us, not yet by the loop
        self._opening: set[asyncio.Task[None]] = set()
        self._idle: dict[Connection, None] = {}  # last in, first out
        self._waiting: deque[Exchange] = deque()
        self._sweeper: asyncio.TimerHandle | None = None
        self.refusal: OSError | None = None  # why the last attempt to connect failed

    @property
    def is_full(self) -> bool:
        """Whether no further connection may be opened."""
        return len(self._open) + len(self._opening) >= self._limit

    @property
    def is_connecting(self) -> bool:
        """Whether a connection is being opened for each request that waits."""
        return len(self._opening) >= len(self._waiting)

    @property
    def connections(self) -> int:
        """Connections that are open."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """Requests that have no connection yet."""
        return len(self._waiting)

    def submit(self, exchange: Exchange) -> None:
        """Send the request as soon as a connection is there; see `Exchange` for the outcome."""
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(_SWEEP_S, self._sweep)
        connection = exchange.connection
        if connection is None or not self._is_fresh(connection):
            connection = self._take_idle()
        if connection is not None:
            connection.send(exchange)
            return
        exchange.waiting_since_ns = monotonic_ns()
        self._waiting.append(exchange)
        self._open_for_waiting()

    def withdraw(self, exchange: Exchange, kind: ErrorKind) -> None:
        """Give a request up: out of the queue, or with its connection if it was sent."""
        connection = exchange.connection
        if connection is not None and connection.exchange is exchange:
            connection.fail(kind)
        elif exchange in self._waiting:
            self._waiting.remove(exchange)
            self._give_up(exchange, kind)

    async def open(self, count: int) -> int:
        """Open that many connections ahead of need, within the limit; returns how many are open."""
        while count > 0 and not self.is_full:
            room = self._limit - len(self._open) - len(self._opening)
            tasks = [self._connect() for _ in range(min(count, room, _OPEN_AT_ONCE))]
            # Not gather: when we are cancelled, an attempt must not be, for it may serve a request.
            await asyncio.wait(tasks)
            if self.refusal is not None:
                break
            count -= len(tasks)
        return len(self._open)

    def abandon(self) -> None:
        """Stop waiting: sent requests end as `abandoned`, the queued ones as `unsent`."""
        while self._waiting:
            self._give_up(self._waiting.popleft(), ErrorKind.UNSENT)
        for connection in [each for each in self._open if each.exchange is not None]:
            connection.fail(ErrorKind.ABANDONED)

    async def close(self) -> None:
        """Abandon what is under way and give every socket back."""
        self.abandon()
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        for task in self._opening:
            task.cancel()
        await asyncio.gather(*self._opening, return_exceptions=True)
        for connection in list(self._open):
            connection.close()
        for _ in range(_TURNS):
            if not self._leaving:
                break
            await asyncio.sleep(0)

    # What connections tell (connection.Owner)

    def opened(self, connection: Connection) -> None:
        self._open.add(connection)
        if self._waiting:
            connection.send(self._waiting.popleft())
        else:
            self._idle[connection] = None

    def released(self, connection: Connection) -> None:
        if self._private:
            return
        if self._waiting:
            connection.send(self._waiting.popleft())
        else:
            self._idle[connection] = None

    def closed(self, connection: Connection) -> None:
        if connection in self._open:
            self._open.remove(connection)
            self._leaving.add(connection)
            self._idle.pop(connection, None)
        self._open_for_waiting()

    def gone(self, connection: Connection) -> None:
        self._leaving.discard(connection)

    # Within

    def _is_fresh(self, connection: Connection) -> bool:
        if not connection.is_ready():
            return False
        if monotonic_ns() - connection.idle_since_ns > self._idle_limit_ns:
            connection.close()
            return False
        return True

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection, _ = self._idle.popitem()
            if self._is_fresh(connection):
                return connection
        return None

    def _open_for_waiting(self) -> None:
        if len(self._opening) < len(self._waiting) and not self.is_full:
            self._connect()

    def _connect(self) -> asyncio.Task[None]:
        task = self._loop.create_task(self._try_to_connect())
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)
        return task

    async def _try_to_connect(self) -> None:
        connection = self._make()
        try:
            async with asyncio.timeout(self._connect_timeout_s):
                transport, _ = await self._loop.create_connection(
                    lambda: connection, self._address or self._host, self._port
                )
        except asyncio.CancelledError:
            # uvloop gives the socket back and tells the protocol nothing, though it may be open.
            connection.connection_lost(None)
            raise
        except OSError as error:  # also look-up failures and TimeoutError
            self._refused(connection, error)
        except UnicodeError:  # a label of the name is empty or too long
            why = "no host can be called so"
            self._refused(connection, socket.gaierror(socket.EAI_NONAME, why))
        else:
            self.refusal = None
            if self._address is None:
                self._address = _peer(transport)
        finally:
            self._opening.discard(cast("asyncio.Task[None]", asyncio.current_task()))
        self._open_for_waiting()

    def _refused(self, connection: Connection, error: OSError) -> None:
        frameless(error)
        connection.connection_lost(error)
        self.refusal = error
        self._address = None
        if self._waiting:
            exchange = self._waiting.popleft()
            exchange.cause = error
            self._give_up(exchange, ErrorKind.CONNECT)

    def _give_up(self, exchange: Exchange, kind: ErrorKind) -> None:
        if kind is ErrorKind.CONNECT:
            exchange.sent_ns = monotonic_ns()  # it left our hands, and went no further
            exchange.blocked_ns = exchange.sent_ns - exchange.waiting_since_ns
        exchange.error = kind
        exchange.on_done(exchange)

    def _sweep(self) -> None:
        """Time out what is overdue. One timer for all, so that a request costs none."""
        now = monotonic_ns()
        busy = [each for each in self._open if each.exchange is not None]
        for connection in busy:
            if connection.exchange is not None and connection.exchange.deadline_ns <= now:
                connection.fail(ErrorKind.TIMEOUT)
        self._sweeper = (
            self._loop.call_later(_SWEEP_S, self._sweep) if busy or self._waiting else None
        )


def _peer(transport: asyncio.BaseTransport) -> str | None:
    """The address that it leads to; None of one that the peer has reset already.

    What a loop says of such a one differs: nothing, or some error.
    """
    try:
        found = transport.get_extra_info("peername")
    except (AttributeError, OSError, RuntimeError):
        return None
    return found[0] if found else None
