"""A Redis that is not ours: is it usable, is it empty enough, is it left alone.

Nothing here writes, flushes, configures or stops it.
"""

from __future__ import annotations

import time
from typing import Any, cast

import redis
from redis.backoff import NoBackoff
from redis.exceptions import NoPermissionError
from redis.retry import Retry

from perfkit.errors import RedisUnreachable, UsageError
from perfkit.redaction import redact

__all__ = ["ForeignRedis", "connect", "server_facts"]

_TIMEOUT_S = 3.0
_SCAN_LIMIT_S = 5.0
_FRESH_MS = 60_000
_ALIVE_WAIT_S = 1.5

_CONFIG = (
    "activedefrag", "appendfsync", "appendonly", "auto-aof-rewrite-min-size",
    "auto-aof-rewrite-percentage", "busy-reply-threshold", "databases", "hz", "io-threads",
    "latency-monitor-threshold", "lazyfree-lazy-user-del", "maxclients", "maxmemory",
    "maxmemory-policy", "no-appendfsync-on-rewrite", "notify-keyspace-events", "save",
    "slowlog-log-slower-than", "slowlog-max-len", "tcp-backlog", "tcp-keepalive", "timeout",
)  # fmt: skip


def connect(url: str, timeout_s: float = _TIMEOUT_S) -> redis.Redis:
    """A client that asks once: a question that is repeated in silence hides the answer.

    Raises:
        UsageError: the URL is none.
    """
    try:
        client = redis.Redis.from_url(
            url,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            retry=Retry(NoBackoff(), 0),
        )
    except (ValueError, TypeError) as error:
        raise UsageError(
            f"{redact(url)} is not the URL of a Redis: {redact(str(error))}",
            "write it as redis://:password@host:6379/0, rediss://… or unix://:password@/path.sock",
        ) from None
    return client


def server_facts(client: redis.Redis) -> dict[str, Any]:
    """Which server it is and the settings that matter; no password is among them.

    Where CONFIG is forbidden (managed servers), ``config`` is empty and ``config_refused`` says
    why.
    """
    info = client.info()
    valkey = info.get("server_name") == "valkey" or "valkey_version" in info
    facts: dict[str, Any] = {
        "server": "valkey" if valkey else "redis",
        "version": str(info.get("valkey_version") or info.get("redis_version", "")),
        "allocator": str(info.get("mem_allocator", "")),
        "pid": info.get("process_id"),
        "config": {},
    }
    try:
        answered = cast("dict[str, Any]", client.config_get(*_CONFIG))
        facts["config"] = {key: str(value) for key, value in sorted(answered.items())}
    except redis.ResponseError as error:
        facts["config_refused"] = str(error)
    return facts


class ForeignRedis:
    """A running server named by URL."""

    def __init__(self, url: str, timeout_s: float = _TIMEOUT_S) -> None:
        self.url = url
        self._timeout_s = timeout_s

    def __repr__(self) -> str:
        return f"ForeignRedis({redact(self.url)!r})"

    def check(self, namespace: str) -> None:
        """Whether a trial may use it.

        Raises:
            RedisUnreachable: refused, wrong or missing password, not a Redis, silent.
            UsageError: no URL; a replica or cluster node; it holds jobs of this namespace; or
                workers that are not ours live on it. Each would make the accounting wrong.
        """
        with connect(self.url, self._timeout_s) as client:
            info = self._ask(client)
            if info.get("role") not in (None, "master"):
                raise UsageError(f"{redact(self.url)} is a replica", "name its primary")
            if info.get("cluster_enabled"):
                raise UsageError(
                    f"{redact(self.url)} is a cluster node, where Dramatiq's keys do not work",
                    "name a server of its own for the queues",
                )
            self._refuse_jobs(client, namespace)
            self._refuse_workers(client, namespace)

    def facts(self) -> dict[str, Any]:
        """As `server_facts`, with the redacted URL."""
        with connect(self.url, self._timeout_s) as client:
            return {**server_facts(client), "private": False, "url": redact(self.url)}

    def _ask(self, client: redis.Redis) -> dict[str, Any]:
        shown = redact(self.url)
        try:
            client.ping()
            return client.info()
        except redis.AuthenticationError as error:
            raise self._not_let_in(client, error) from None
        except redis.BusyLoadingError:
            raise RedisUnreachable(f"{shown} is still loading its data", "try again soon") from None
        except (redis.TimeoutError, TimeoutError):
            raise RedisUnreachable(
                f"{shown} does not answer within {self._timeout_s:g} s",
                "check host, port and firewall, and that it is a Redis",
            ) from None
        except NoPermissionError as error:
            raise RedisUnreachable(
                f"{shown} does not let this user look around: {redact(str(error))}",
                "give the user the commands PING, INFO, SCAN and those of Dramatiq",
            ) from None
        except (redis.ConnectionError, OSError) as error:
            if _no_redis(error):
                raise RedisUnreachable(
                    f"{shown} is not a Redis: what answers there speaks another protocol",
                    "check host and port",
                ) from None
            raise RedisUnreachable(
                f"{shown} can't be reached: {redact(str(error))}",
                "start it, or check host and port; without --redis perfkit starts its own",
            ) from None
        except (redis.RedisError, ValueError, UnicodeError):
            raise RedisUnreachable(
                f"{shown} is not a Redis: what answers there speaks another protocol",
                "check host and port",
            ) from None

    def _not_let_in(self, client: redis.Redis, error: Exception) -> RedisUnreachable:
        shown = redact(self.url)
        if "without any password" in str(error):
            return RedisUnreachable(
                f"{shown} has no password, but the URL gives one",
                "leave it out: redis://host:6379/0",
            )
        if client.connection_pool.connection_kwargs.get("password") is None:
            return RedisUnreachable(
                f"{shown} asks for a password", "put it into the URL: redis://:password@host:6379/0"
            )
        return RedisUnreachable(
            f"{shown} refuses the password", "check user and password in the URL"
        )

    def _refuse_jobs(self, client: redis.Redis, namespace: str) -> None:
        """A queue's ``.msgs`` hash exists exactly while it has waiting, running or delayed jobs;

        dead letters (``.XQ.msgs``) of earlier trials disturb nobody.
        """
        deadline = time.monotonic() + _SCAN_LIMIT_S
        for key in client.scan_iter(match=f"{_escaped(namespace)}:*.msgs", count=10_000):
            name = key.decode(errors="replace").removeprefix(f"{namespace}:")
            if not name.endswith(".XQ.msgs"):
                queue = name.removesuffix(".msgs").removesuffix(".DQ")
                raise UsageError(
                    f"{redact(self.url)} already holds jobs in queue {queue!r}; the workers would "
                    "run them too and the accounting would be wrong",
                    "use an empty database (the number at the end of the URL) or a server of its "
                    "own; perfkit flushes nothing",
                )
            if time.monotonic() > deadline:
                raise UsageError(
                    f"{redact(self.url)} holds too many keys to look for queues among them",
                    "use an empty database (the number at the end of the URL)",
                )

    def _refuse_workers(self, client: redis.Redis, namespace: str) -> None:
        """Heartbeats of ended workers stay for long; those that move belong to living ones."""
        key = f"{namespace}:__heartbeats__"
        newest = cast("list[tuple[bytes, float]]", client.zrange(key, -1, -1, withscores=True))
        if not newest or time.time() * 1000 - newest[0][1] > _FRESH_MS:
            return
        time.sleep(_ALIVE_WAIT_S)
        later = cast("list[tuple[bytes, float]]", client.zrange(key, -1, -1, withscores=True))
        if later and later[0][1] > newest[0][1]:
            raise UsageError(
                f"workers of another application live on {redact(self.url)}; they would take our "
                "jobs",
                "stop them, or use another database (the number at the end of the URL)",
            )


def _escaped(namespace: str) -> str:
    return "".join(f"\\{letter}" if letter in "*?[]\\^" else letter for letter in namespace)


def _no_redis(error: BaseException) -> bool:
    said = str(error).lower()
    return "protocol" in said or "invalid response" in said
