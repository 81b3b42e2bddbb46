"""One Redis as the monitor sees it: probes of `perfkit.telemetry`, one after another, once a tick.

While the server is away only one of them tries, ever less often, and all figures are unknown.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import redis

from perfkit.clock import Clock
from perfkit.monitor.discovery import Discovery
from perfkit.monitor.holdings import Held, Holdings
from perfkit.monitor.snapshot import Scan
from perfkit.redaction import redact
from perfkit.telemetry.queue_probe import QueueProbe
from perfkit.telemetry.reading import Reading
from perfkit.telemetry.redis_probe import RedisProbe
from perfkit.telemetry.slowlog_probe import SlowLogProbe

__all__ = ["MOST_QUEUES", "RedisLook", "RedisSource"]

MOST_QUEUES: Final = 200
"""Looked at each tick; what is beyond them is counted."""

_LINK_TIMEOUT_S: Final = 1.0  # a monitor may be far away, and has a second
_MOST_BODY_BYTES: Final = 1_000_000
_BACKOFF_S: Final = (1.0, 1.0, 2.0, 5.0)
_COMMANDS: Final = ("evalsha", "rpush", "hdel")
_WORDS: Final = {
    "AuthenticationError": "refuses the user or the password",
    "AuthenticationWrongNumberOfArgsError": "refuses the user or the password",
    "NoPermissionError": "does not permit this user to look",
    "ConnectionError": "is gone, or refuses connections",
    "TimeoutError": "does not answer in time",
    "BusyLoadingError": "is loading its data",
    "MaxConnectionsError": "has no connection left",
    "PingRefused": "answers, but serves nobody: it wants a password, or is busy with a script",
    "ResponseError": "refuses to talk to us",
}


@dataclass(frozen=True, slots=True)
class RedisLook:
    """What one tick has seen; without a connection ``reason`` says why there is nothing."""

    reason: str | None
    readings: Sequence[Reading] = ()
    held: Held = field(default_factory=Held)
    queues: tuple[str, ...] = ()
    not_shown: int = 0
    problems: Mapping[str, str] = field(default_factory=dict)
    unseen: str = ""  # why it can't be told who works
    scan: Scan | None = None


class RedisSource:
    """Looks at one server; `look` is called by one thread.

    Args:
        url: with the password.
        queues: their names; None: those that the keys tell of, searched slowly.
        namespace: the broker's key prefix.
        subject: of several servers the queue of this one, else "".
        heartbeat_timeout_ns: after which a silent worker is taken for dead.
    """

    def __init__(
        self,
        url: str,
        queues: Sequence[str] | None,
        *,
        namespace: str,
        heartbeat_timeout_ns: int,
        subject: str = "",
    ) -> None:
        self.name = subject
        self.shown = redact(url)
        self._url = url
        self._namespace = namespace
        self._given = None if queues is None else tuple(dict.fromkeys(queues))
        self._server = RedisProbe(url, subject, timeout_s=_LINK_TIMEOUT_S, commands=_COMMANDS)
        self._slowlog = SlowLogProbe(url, subject, timeout_s=_LINK_TIMEOUT_S)
        self._holdings = Holdings(
            url, namespace, timeout_ns=heartbeat_timeout_ns, link_timeout_s=_LINK_TIMEOUT_S
        )
        self._discovery = (
            Discovery(url, namespace, timeout_s=_LINK_TIMEOUT_S) if self._given is None else None
        )
        self._queues: QueueProbe | None = None
        self._asked: tuple[str, ...] = ()
        self._errors: Mapping[str, int] = {}
        self._failures = 0
        self._again_ns = 0
        self._reason = ""

    def look(self, clock: Clock, dead: Collection[str] = ()) -> RedisLook:
        """What is true now; never raises for what the server does."""
        if self._failures and clock.now_ns() < self._again_ns:
            return self._broken(self._reason)
        before = Counter(self._server.errors)
        readings = list(self._server.take(clock))
        if not any(each.metric == "redis.up" and each.value for each in readings):
            kinds = [*(Counter(self._server.errors) - before)]
            wait_s = _BACKOFF_S[min(self._failures, len(_BACKOFF_S) - 1)]
            self._failures += 1
            self._again_ns = clock.now_ns() + int(wait_s * 1e9)
            kind = kinds[-1] if kinds else "ConnectionError"
            self._reason = f"{self.shown} {_WORDS.get(kind, f'fails: {kind}')}"
            return self._broken(self._reason)
        self._failures = 0
        names, not_shown = self._names()
        probe = self._probe_of(names)
        counted = list(probe.take(clock)) if probe is not None else []
        readings += counted
        readings += self._slowlog.take(clock)
        held, unseen = Held(), ""
        try:
            held = self._holdings.look(_in_hands(counted, names), clock, dead)
        except redis.ResponseError:
            unseen = f"the heartbeats of {self._namespace!r} are not to be read here: "
            unseen += "a foreign key of that name, or this user may not"
        except (redis.RedisError, OSError):
            unseen = f"{self.shown} did not tell who works"  # gone within this tick
        return RedisLook(
            reason=None,
            readings=readings,
            held=held,
            queues=names,
            not_shown=not_shown,
            problems=self._problems(names, counted, probe),
            unseen=unseen,
            scan=None if self._discovery is None else self._discovery.progress(),
        )

    def close(self) -> None:
        """End the search, and close all connections."""
        if self._discovery is not None:
            self._discovery.close()
        for probe in (self._server, self._slowlog, self._holdings, self._queues):
            if probe is not None:
                probe.close()

    def _broken(self, reason: str) -> RedisLook:
        names, not_shown = self._names()
        return RedisLook(reason=reason, queues=names, not_shown=not_shown)

    def _names(self) -> tuple[tuple[str, ...], int]:
        names = self._discovery.names if self._discovery is not None else self._given or ()
        return names[:MOST_QUEUES], max(0, len(names) - MOST_QUEUES)

    def _probe_of(self, names: tuple[str, ...]) -> QueueProbe | None:
        if names != self._asked:
            if self._queues is not None:
                self._queues.close()
            self._asked = names
            self._queues = QueueProbe(
                self._url,
                names,
                namespace=self._namespace,
                timeout_s=_LINK_TIMEOUT_S,
                most_bytes=_MOST_BODY_BYTES,
            )
        return self._queues

    def _problems(
        self, names: Sequence[str], counted: Sequence[Reading], probe: QueueProbe | None
    ) -> dict[str, str]:
        """Queues whose keys are not what they should be."""
        if probe is None:
            return {}
        if not counted:
            refused = "CountsRefused" in probe.errors
            words = "Redis refuses to count it" if refused else "Redis did not count it in time"
            return dict.fromkeys(names, f"{words}: its figures are not known")
        told = {(each.metric, each.subject) for each in counted}
        problems = {}
        for queue in names:
            if ("queue.waiting", queue) not in told:
                problems[queue] = "its keys are of other types than Dramatiq's: they are foreign"
            elif queue in probe.unreadable:
                problems[queue] = "the message at its head can't be read: corrupt, huge or evicted"
        return problems


def _in_hands(counted: Sequence[Reading], names: Sequence[str]) -> dict[str, list[str]]:
    """Of each queue the halves of which somebody may hold messages."""
    values = {(each.metric, each.subject): each.value for each in counted}
    halves = {"queue.in_flight": "", "queue.delayed": ".DQ"}
    return {
        queue: [half for metric, half in halves.items() if values.get((metric, queue))]
        for queue in names
    }
