"""One request and what became of it, as plain slots: no task, no future, no response object."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from perfkit.load.connection import Connection

__all__ = ["NEVER_NS", "ErrorKind", "Exchange", "frameless"]

NEVER_NS: Final = 2**63 - 1
"""An instant that does not come."""

_CAUSES: Final = 8


class ErrorKind(StrEnum):
    """Why there is no whole reply."""

    ABANDONED = "abandoned"  # sent; the generator stopped waiting for the reply
    CERTIFICATE = "certificate"  # of a journey: TLS refused the server's certificate
    CONNECT = "connect"  # no connection: refused, unreachable, unresolvable, too slow
    PROTOCOL = "protocol"  # what came back is not HTTP/1.1
    RAISED = "raised"  # via enqueue: the call raised, neither a timeout nor for the connection
    REDIRECTS = "redirects"  # of a journey: more of them than httpx follows, such as a loop
    RESET = "reset"  # the connection ended before the reply did
    RESOLVE = "resolve"  # of a journey: the host's name has no address
    TIMEOUT = "timeout"  # the reply was not whole in time
    TOO_LARGE = "too_large"  # the body is above the limit
    UNSENT = "unsent"  # never got a connection before the generator stopped
    WITHDRAWN = "withdrawn"  # of a journey: the user's code stopped waiting, as by asyncio.timeout


def frameless(error: BaseException | None) -> None:
    """Let an error and its causes forget the frames that they have passed.

    Those hold the exchange, which is to hold the error: each refused request would leave a cycle
    behind, and nothing collects cycles while load runs (`perfkit.load.process`).
    """
    for _ in range(_CAUSES):
        if error is None:
            return
        error.__traceback__ = None
        error = error.__cause__ or error.__context__


class Exchange:
    """A request on its way: the caller fills the first group, the pool the others.

    ``on_sent(exchange)`` is called where the request is handed to the socket, with sent_ns and
    blocked_ns set; not when it never gets there.
    ``on_done(exchange)`` is called exactly once, and never from within ``Pool.submit``.
    Afterwards either ``error`` is None and status, headers, body and done_ns are set, or ``error``
    says why there is no whole reply (and ``cause`` may hold the exception).
    """

    __slots__ = (
        "blocked_ns",
        "body",
        "cause",
        "connection",
        "deadline_ns",
        "done_ns",
        "error",
        "first_byte_ns",
        "head_only",
        "headers",
        "http_version",
        "on_done",
        "on_sent",
        "patient",
        "payload",
        "reason",
        "sent_ns",
        "status",
        "timeout_ns",
        "waiting_since_ns",
    )

    def __init__(
        self,
        payload: bytes,
        on_done: Callable[[Any], None],
        timeout_ns: int,
        *,
        head_only: bool = False,
        patient: bool = False,
        on_sent: Callable[[Any], None] | None = None,
    ) -> None:
        self.payload = payload  # the whole request as it goes on the wire
        self.on_done = on_done
        self.on_sent = on_sent
        self.timeout_ns = timeout_ns  # from sent to the end of the reply
        self.head_only = head_only  # the method is HEAD: no body follows the reply's head
        self.patient = patient  # each piece of the reply starts the timeout anew, as in httpx
        # In: a connection to prefer. Out: the one that was used.
        self.connection: Connection | None = None

        self.waiting_since_ns = 0  # 0: a connection was at hand
        self.deadline_ns = NEVER_NS
        self.sent_ns = 0  # handed to the socket; 0: not
        self.first_byte_ns = 0
        self.done_ns = 0  # the last byte of a whole reply
        self.blocked_ns = 0  # waited for a connection to be free, or to open

        self.status = 0
        # Only of a pool that keeps headers.
        self.headers: list[tuple[bytes, bytes]] = []
        self.http_version = "1.1"
        self.reason = b""
        self.body = b""
        self.error: ErrorKind | None = None
        self.cause: BaseException | None = None
