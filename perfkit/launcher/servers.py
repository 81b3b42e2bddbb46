"""Every Redis of one stack: somebody else's, one of our own, or one of our own for each queue."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from perfkit.errors import StackError, UsageError
from perfkit.launcher.child import Child
from perfkit.launcher.foreign import ForeignRedis
from perfkit.launcher.guard import Guard
from perfkit.launcher.redis import PrivateRedis
from perfkit.launcher.server import server_for
from perfkit.launcher.spec import StackSpec

__all__ = ["Servers"]


class Servers:
    """The servers of a stack by their queue; ``""`` is the queue of one that serves all.

    Raises:
        UsageError: somebody else's can't be used, or a server for each queue can't be had.
        RedisUnreachable, ServerNotFound: there is none.
    """

    def __init__(self, spec: StackSpec, guard: Guard) -> None:
        queues = _queues_apart(spec)
        self._private: dict[str, PrivateRedis] = {}
        self._by_queue: Mapping[str, ForeignRedis | PrivateRedis] = self._private
        if spec.redis_url is not None:
            foreign = ForeignRedis(spec.redis_url)
            foreign.check(spec.namespace)
            self._by_queue = {"": foreign}
            return
        server = server_for(spec.server, spec.redis_server)
        for queue in queues or ("",):
            name = _name(queue)
            self._private[queue] = PrivateRedis(
                server,
                spec.profile,
                guard,
                spec.logs / f"{name}.log",
                name=name,
                port=spec.redis_port,
                cpus=spec.cpus,
                settings=spec.redis_settings,
            )

    @property
    def per_queue(self) -> bool:
        """Whether each queue has its own."""
        return "" not in self._by_queue

    @property
    def urls(self) -> Mapping[str, str]:
        """Queue -> URL, with the password; the order is that of the pools."""
        return {queue: server.url for queue, server in self._by_queue.items()}

    @property
    def url(self) -> str:
        """That of the first."""
        return next(iter(self.urls.values()))

    @property
    def folders(self) -> tuple[str, ...]:
        """Private folders of those that were started."""
        return tuple(str(each.folder) for each in self._private.values() if each.folder)

    def private(self, name: str) -> PrivateRedis:
        """The server of our own whose process has this name.

        Raises:
            StackError: there is none.
        """
        for queue, server in self._private.items():
            if _name(queue) == name:
                return server
        raise StackError(f"no Redis of ours is named {name}")

    def start(self, timeout_s: float, started: Callable[[Child], None]) -> None:
        """Start our own, and tell of each.

        Raises:
            UsageError, StackError: see `PrivateRedis.start`.
        """
        for server in self._private.values():
            server.start(timeout_s)
            started(server.child)

    def check(self) -> None:
        """Whether our own can still write what they must.

        Raises:
            StackError: see `PrivateRedis.check`.
        """
        for server in self._private.values():
            server.check()

    def stop(self, patience_s: Callable[[], float]) -> None:
        """Stop our own; their data and folders end with them."""
        for server in self._private.values():
            server.stop(patience_s())

    def facts(self) -> dict[str, Any]:
        """Of the first server what `server_facts` and `PrivateRedis.facts` tell; no password.

        ``servers`` lists all: queue (None: all queues), name, url, pid, settings in effect. Binary
        and profile are the same for all; ``warnings`` are those of all.
        """
        every = {queue: server.facts() for queue, server in self._by_queue.items()}
        first = next(iter(every.values()))
        warnings = [text for facts in every.values() for text in facts.get("warnings", ())]
        return {
            **first,
            "per_queue": self.per_queue,
            "warnings": list(dict.fromkeys(warnings)),
            "servers": [
                {
                    "queue": queue or None,
                    "name": _name(queue),
                    **{key: facts[key] for key in ("url", "pid", "config")},
                }
                for queue, facts in every.items()
            ],
        }


def _name(queue: str) -> str:
    """Of the process, and of its log."""
    return f"redis-{queue}" if queue else "redis"


def _queues_apart(spec: StackSpec) -> tuple[str, ...]:
    """The queues that get a server each; empty where one serves all.

    Raises:
        UsageError: a server for each queue was asked for, and something else that excludes it.
    """
    if not spec.redis_per_queue:
        return ()
    if spec.redis_url is not None:
        raise UsageError(
            "--redis names one server, and redis.per_queue asks for one for each queue",
            "leave out --redis, or set redis.per_queue = false",
        )
    if spec.redis_port is not None:
        raise UsageError(
            f"port {spec.redis_port} can't be that of a server for each queue",
            "leave the port open, or set redis.per_queue = false",
        )
    if spec.recorder and spec.brokers_of_queues is None:
        raise UsageError(
            "redis.per_queue needs an application that has a broker for each queue",
            "set redis.per_queue = false, or name its mapping of brokers",
        )
    queues: list[str] = []
    for pool in spec.settings.pools:
        if pool.queues is None or len(pool.queues) != 1:
            served = "all queues" if pool.queues is None else f"{len(pool.queues)} queues"
            raise UsageError(
                f"redis.per_queue needs a pool for each queue, and pool {pool.name!r} serves "
                f"{served}",
                "write a [[stack.pool]] for each queue, or set redis.per_queue = false",
            )
        queues += pool.queues
    return tuple(dict.fromkeys(queues))
