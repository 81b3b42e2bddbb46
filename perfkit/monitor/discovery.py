"""Finding queues among the keys of a server that may be full of other people's.

One slow SCAN in a thread of its own, 300 keys ten times a second and never more; it goes round
again and again, since a queue has keys only while it has jobs.
"""

from __future__ import annotations

import re
import threading
from typing import Final

import redis

from perfkit.monitor.snapshot import Scan
from perfkit.telemetry.redis_link import RedisLink, Reply

__all__ = ["QUEUE_NAME", "Discovery"]

QUEUE_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9._-]{0,199}")
"""As Dramatiq has them, and of a length that fits a screen."""

_COUNT: Final = 300
_PAUSE_S: Final = 0.1
_REST_S: Final = 20.0  # between rounds
_AGAIN_S: Final = 2.0  # after a failure
_MOST_QUEUES: Final = 5000
_MOST_NAMESPACES: Final = 8
_HALVES: Final = re.compile(r"(\.DQ|\.XQ)$")


class Discovery:
    """Queues of a namespace, found as time goes by. Started at once; `close` ends its thread.

    ``names`` are sorted. A round looks for ``<namespace>:*.msgs``; one that found nothing is
    followed by one for the heartbeats of other namespaces, so that a wrong one can be told.
    """

    def __init__(self, url: str, namespace: str, *, timeout_s: float) -> None:
        self._link = RedisLink(url, name="perfkit-monitor-scan", timeout_s=timeout_s)
        self._namespace = namespace
        self._found: set[str] = set()
        self._others: set[str] = set()
        self._done = self._rounds = 0
        self._total: int | None = None
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="perfkit-scan", daemon=True)
        self._thread.start()

    @property
    def names(self) -> tuple[str, ...]:
        """Queues found so far."""
        return tuple(sorted(self._found))

    def progress(self) -> Scan:
        """How far this round has come."""
        return Scan(
            done=self._done if self._total is None else min(self._done, self._total),
            total=self._total,
            rounds=self._rounds,
            keys_per_s=_COUNT / _PAUSE_S,
            found=len(self._found),
            other_namespaces=tuple(sorted(self._others)),
        )

    def close(self) -> None:
        """Stop; returns when the thread has ended."""
        self._stop.set()
        self._thread.join(5.0)
        self._link.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._round(f"{_escaped(self._namespace)}:*.msgs")
                if not self._found and not self._stop.is_set():
                    self._round("*:__heartbeats__")
            except (redis.RedisError, OSError):
                # The other probes say what is wrong with the server.
                self._stop.wait(_AGAIN_S)
                continue
            self._rounds += 1
            self._stop.wait(_REST_S)

    def _round(self, pattern: str) -> None:
        self._done = 0
        cursor = b"0"
        while not self._stop.is_set():
            asked = self._link.batch(
                ("DBSIZE",), ("SCAN", cursor, "MATCH", pattern, "COUNT", str(_COUNT))
            )
            size, page = self._link.exchange(asked)
            self._total = size if isinstance(size, int) else None
            cursor = self._take(page)
            self._done += _COUNT
            if cursor == b"0":
                self._done = self._total or 0
                return
            self._stop.wait(_PAUSE_S)

    def _take(self, page: Reply) -> bytes:
        """Take in the names of one page; the next cursor."""
        match page:
            case [bytes() as cursor, list() as keys]:
                for key in keys:
                    self._keep(key.decode("utf-8", "replace") if isinstance(key, bytes) else "")
                return cursor
        if isinstance(page, redis.ResponseError):
            raise page
        return b"0"

    def _keep(self, key: str) -> None:
        namespace, _, rest = key.rpartition(":")
        if rest == "__heartbeats__":
            if namespace != self._namespace and len(self._others) < _MOST_NAMESPACES:
                self._others.add(namespace[:100])
            return
        rest = key.removeprefix(f"{self._namespace}:").removesuffix(".msgs")
        queue = _HALVES.sub("", rest)
        if QUEUE_NAME.fullmatch(queue) and len(self._found) < _MOST_QUEUES:
            self._found.add(queue)


def _escaped(text: str) -> str:
    """A pattern that matches the text alone."""
    return re.sub(r"([*?\[\]\\^])", r"\\\1", text)
