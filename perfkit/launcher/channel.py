"""How another process of the same user talks with the one that holds a stack.

A unix socket with an abstract name, which the lease tells: no file, so no path that is too long
and nothing to remove, gone with its process. The kernel says who is at the other end: the server
answers its own user (and root) only, the client talks to the owner of the lease only.

One JSON object a line. The client sends one request; the answers are the server's business, the
last one ends the connection. ``{"error": CLASS, "what": …, "mend": …}`` is a `PerfkitError`.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from perfkit import errors
from perfkit.errors import PerfkitError, StackError, UsageError
from perfkit.launcher.lease import Lease

__all__ = ["Channel", "asked", "refusal", "refused"]

Answers = Callable[[Mapping[str, Any]], Iterator[Mapping[str, Any]]]

_LONGEST_REQUEST = 65_536
_REQUEST_TIMEOUT_S = 5.0
_ANSWER_TIMEOUT_S = 10.0  # between two lines
_CLOSE_S = 2.0
_CREDENTIALS = struct.Struct("3i")  # pid, uid, gid


class Channel:
    """Listens until it is closed. ``answers`` is called in a thread of each connection."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self.name: str | None = f"perfkit-{secrets.token_hex(8)}"
        """What the lease tells; None where the system allows no such socket."""
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._threads: list[threading.Thread] = []
        try:
            self._socket.bind(f"\0{self.name}")
            self._socket.listen()
        except OSError:  # a stack is measured also where it can't be talked to
            self.name = None
            return
        self._start(self._listen)

    def close(self) -> None:
        """Answer nobody any more; those who are being answered are heard out for a moment."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes the one who listens
        self._socket.close()
        for thread in [*self._threads]:
            thread.join(_CLOSE_S)

    def _start(self, work: Callable[..., None], *arguments: object) -> None:
        self._threads = [thread for thread in self._threads if thread.is_alive()]
        thread = threading.Thread(target=work, args=arguments, name="perfkit-channel", daemon=True)
        self._threads.append(thread)
        thread.start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            self._start(self._talk, connection)

    def _talk(self, connection: socket.socket) -> None:
        # Whoever has gone does not want to hear more; what was asked is done nevertheless.
        with contextlib.suppress(OSError), connection:
            if _peer(connection)[1] not in (os.geteuid(), 0):
                return
            connection.settimeout(_REQUEST_TIMEOUT_S)
            with connection.makefile("rb") as lines:
                request = lines.readline(_LONGEST_REQUEST)
            for answer in self._answered(request):
                connection.sendall(json.dumps(answer).encode() + b"\n")

    def _answered(self, request: bytes) -> Iterator[Mapping[str, Any]]:
        try:
            document = json.loads(request)
            if not isinstance(document, dict):
                raise TypeError(document)
            yield from self._answers(document)
        except PerfkitError as error:
            yield refusal(error)
        except (ValueError, TypeError, KeyError):
            yield refusal(UsageError("this is not a request that a stack understands"))


def asked(lease: Lease, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Send a request to a stack; its answers, as they come.

    Raises:
        UsageError: the stack is gone, can't be talked to, or refuses.
        StackError: it went down, or fell silent, before its last answer.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_ANSWER_TIMEOUT_S)
        if lease.channel is None:
            raise UsageError(f"stack {lease.id} can't be talked to", "start it again")
        try:
            connection.connect(f"\0{lease.channel}")
            if _peer(connection)[0] != lease.owner_pid:
                raise ConnectionError
            connection.sendall(json.dumps(request).encode() + b"\n")
        except OSError:
            raise UsageError(f"stack {lease.id} is gone", "see `perfkit stack status`") from None
        yield from _answers_of(connection, lease)


def _answers_of(connection: socket.socket, lease: Lease) -> Iterator[dict[str, Any]]:
    try:
        with connection.makefile("rb") as lines:
            for line in lines:
                answer = json.loads(line)
                if "error" in answer and "what" in answer:
                    raise refused(answer)
                yield answer
                if answer.get("over"):
                    return
    except TimeoutError:
        raise StackError(f"stack {lease.id} does not answer", f"see {lease.directory}") from None
    except (OSError, ValueError):
        pass
    raise StackError(f"stack {lease.id} went down meanwhile", f"see {lease.directory}")


def refusal(error: PerfkitError) -> dict[str, str]:
    """An error as a line."""
    return {"error": type(error).__name__, "what": error.what, "mend": error.mend}


def refused(answer: Mapping[str, str]) -> PerfkitError:
    """The error that a line tells of; `StackError` for a kind that is not known here."""
    kind = getattr(errors, answer["error"], None)
    if isinstance(kind, type) and issubclass(kind, PerfkitError):
        return kind(answer["what"], answer["mend"])
    return StackError(answer["what"], answer["mend"])


def _peer(connection: socket.socket) -> tuple[int, int]:
    """Process and user at the other end."""
    packed = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, _ = _CREDENTIALS.unpack(packed)
    return pid, uid
