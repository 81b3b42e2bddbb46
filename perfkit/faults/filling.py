"""Filling the memory of a Redis with one key of our own, and keeping it full."""

from __future__ import annotations

import contextlib
import secrets
from collections.abc import Callable, Iterator
from typing import Any, Final

import redis
from redis.exceptions import OutOfMemoryError

from perfkit.errors import StackError
from perfkit.redaction import redact

__all__ = ["Filling", "memory_limit"]

PREFIX: Final = "perfkit:fill:"
_LEAST: Final = 4 * 1024
_MOST: Final = 1024 * 1024
_NEAR: Final = 128 * 1024  # to the limit: as near as a server that evicts ever is
_ROUNDS: Final = 20_000
_TTL_MS: Final = 15_000


def memory_limit(client: redis.Redis) -> tuple[int, str]:
    """``maxmemory`` in bytes (0: none) and the policy, by INFO: CONFIG may be forbidden."""
    info: Any = client.info("memory")
    return int(info.get("maxmemory", 0)), str(info.get("maxmemory_policy", "noeviction"))


class Filling:
    """A list of blocks. Should we be killed, it goes by itself after 15 seconds.

    Under noeviction the server then refuses whatever wants memory. Under allkeys-lru it evicts
    whole keys: ours is touched again and again, so that it is not always ours, and is filled up
    again when it was.

    Args:
        target_of: how much memory is to be in use, by the server's limit.

    Raises:
        StackError: the server has no limit, or does not answer.
    """

    def __init__(self, client: redis.Redis, target_of: Callable[[int], int]) -> None:
        self._client = client
        self._key = f"{PREFIX}{secrets.token_hex(4)}"
        self._brim = f"{self._key}:brim"
        with _told():
            self.limit, self._policy = memory_limit(client)
            self._evicted = self._evictions()
        if not self.limit:
            raise StackError("this server has no memory limit, so it can't be filled")
        self._target = min(target_of(self.limit), self.limit)

    def fill(self) -> int:
        """Fill up to the target; returns the bytes in use.

        Raises:
            StackError: it can't be filled, or the server does not answer.
        """
        with _told():
            self._keep()
            for _ in range(_ROUNDS):
                used = self._used()
                if used > self.limit or (used >= self._target and not self._to_the_brim):
                    return used
                if self._evicts and used >= self._target - _NEAR and self._has_evicted():
                    return used
                if self._to_the_brim and used >= self._target - _NEAR:
                    self._overflow()
                else:
                    self._push(min(max((self._target - used) // 2, _LEAST), _MOST))
        raise StackError("the server's memory does not fill: something frees it as fast")

    def free(self) -> None:
        """Give all of it back.

        Raises:
            StackError: the server does not answer.
        """
        with _told():
            self._client.unlink(self._key, self._brim)

    @property
    def _to_the_brim(self) -> bool:
        """Whether it is to refuse everything: what is in use goes up and down."""
        return self._target == self.limit and not self._evicts

    @property
    def _evicts(self) -> bool:
        return self._policy != "noeviction"

    def _push(self, size: int) -> None:
        with _unless_full():
            self._client.rpush(self._key, b"x" * size)
        self._keep()

    def _overflow(self) -> None:
        """Go over the limit: a short command is still taken, and needs much. A block would be

        counted from when it is received, and refused while there is room for smaller ones.
        """
        length: Any = self._client.strlen(self._brim)
        with _unless_full():
            self._client.setrange(self._brim, length + 2 * _NEAR, "x")
        self._keep()

    def _keep(self) -> None:
        """Seem used, and live on: also at the limit both are allowed."""
        if self._policy.startswith("volatile"):
            self._client.touch(self._key)  # with an expiry it would be the first to go
            return
        for key in (self._key, self._brim):
            self._client.pexpire(key, _TTL_MS)

    def _used(self) -> int:
        info: Any = self._client.info("memory")
        return int(info["used_memory"])

    def _evictions(self) -> int:
        info: Any = self._client.info("stats")
        return int(info.get("evicted_keys", 0))

    def _has_evicted(self) -> bool:
        return self._evictions() > self._evicted


@contextlib.contextmanager
def _unless_full() -> Iterator[None]:
    with contextlib.suppress(OutOfMemoryError):
        yield


@contextlib.contextmanager
def _told() -> Iterator[None]:
    try:
        yield
    except (redis.RedisError, OSError) as error:
        raise StackError(f"Redis can't be filled: {redact(str(error))}") from None
