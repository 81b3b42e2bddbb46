"""One connection of a probe to Redis: short time-outs, no retries, heals by itself."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.exceptions import NoPermissionError
from redis.retry import Retry

from perfkit.errors import UsageError

__all__ = ["DEFAULT_TIMEOUT_S", "READ_ONLY", "Batch", "RedisLink", "Reply"]

READ_ONLY: Final = frozenset(
    {
        "DBSIZE", "EXEC", "HGET", "HLEN", "HSTRLEN", "INFO", "LATENCY HISTORY", "LATENCY LATEST",
        "LINDEX", "LLEN", "MULTI", "PING", "SCAN", "SCARD", "SLOWLOG GET", "SMEMBERS", "TIME",
        "ZCARD", "ZRANGE",
    }
)  # fmt: skip
"""All that a probe can say: it reads, and what it reads is small or asked for in small pieces."""

_HAVE_SECOND_WORD: Final = ("LATENCY", "SLOWLOG")

DEFAULT_TIMEOUT_S = 0.25
"""How long a probe waits for Redis: longer than any sane round trip, about one tick of 5 Hz."""

Reply = bytes | int | list[Any] | redis.ResponseError | None
"""A raw reply; an error of one command is a value, so that a batch is read to its end."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Commands as the bytes of the protocol, and how many they are."""

    packed: tuple[bytes, ...]
    count: int


class RedisLink:
    """A named connection that sends batches and reads raw replies.

    It stands below ``redis.Redis`` on purpose: no pool, no retry, no callbacks, so a round trip
    costs the instrument tens of microseconds and a failure is seen at once. After a failure the
    next call connects again. RESP2 by default, because its replies are the same on every server;
    any protocol works. Where the user may not name a connection it has no name.
    """

    def __init__(
        self, url: str, *, name: str, timeout_s: float = DEFAULT_TIMEOUT_S, protocol: int = 2
    ) -> None:
        try:
            options: dict[str, Any] = dict(parse_url(url))  # type: ignore[no-untyped-call]
            kind: type[redis.Connection] = options.pop("connection_class", redis.Connection)
            options.pop("max_connections", None)  # of a pool
            options.update(
                socket_timeout=timeout_s,
                client_name=name,
                protocol=protocol,
                decode_responses=False,
                health_check_interval=0,
                retry=Retry(NoBackoff(), 0),
            )
            if not issubclass(kind, redis.UnixDomainSocketConnection):
                options["socket_connect_timeout"] = timeout_s
            self._connection: Any = kind(**options)
        except (ValueError, TypeError):
            # The text of the error may hold a piece of the password.
            raise UsageError(
                "the Redis URL can't be read",
                "write redis://:password@host:port/0 or unix:///path/redis.sock, "
                "with special characters of the password percent-encoded",
            ) from None

    def connect(self) -> None:
        """Connect and authenticate unless that is done.

        Raises:
            redis.RedisError: refused, timed out, wrong password, still loading.
        """
        try:
            self._connection.connect()
        except NoPermissionError:
            if self._connection.client_name is None:
                raise
            self._connection.client_name = None
            self._connection.connect()

    def batch(self, *commands: Sequence[str | bytes]) -> Batch:
        """Commands made ready to be sent, as often as wanted.

        Raises:
            ValueError: one is not of `READ_ONLY`.
        """
        for name in map(_named, commands):
            if name not in READ_ONLY:
                raise ValueError(f"{name} is no command of a probe: probes read")
        return Batch(tuple(self._connection.pack_commands(commands)), len(commands))

    def exchange(self, batch: Batch) -> list[Reply]:
        """Send all commands at once and read one reply for each.

        Raises:
            redis.RedisError: the connection failed; the next call makes a new one.
        """
        self.connect()
        self._connection.send_packed_command(batch.packed)
        return [self._read() for _ in range(batch.count)]

    def _read(self) -> Reply:
        try:
            reply: Reply = self._connection.read_response()
        except redis.ResponseError as error:
            return error
        return reply

    def close(self) -> None:
        """Close the socket; a later call would open another."""
        self._connection.disconnect()


def _named(command: Sequence[str | bytes]) -> str:
    name = str(command[0]).upper()
    return f"{name} {command[1]!s}".upper() if name in _HAVE_SECOND_WORD else name
