"""The "redis" probe: what the server says of itself, and how long it takes to answer."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Final

import redis

from perfkit.clock import Clock
from perfkit.telemetry.reading import Reading
from perfkit.telemetry.redis_link import DEFAULT_TIMEOUT_S, RedisLink

__all__ = ["RedisProbe", "info_values"]

_SECTIONS: Final = (
    "server", "clients", "memory", "persistence", "stats", "cpu", "commandstats",
)  # fmt: skip

_PLAIN: Final = {
    "used_memory": "redis.memory_bytes",
    "maxmemory": "redis.memory_limit_bytes",
    "connected_clients": "redis.clients",
    "instantaneous_ops_per_sec": "redis.ops_per_s",
    "evicted_keys": "redis.evicted",
    "expired_keys": "redis.expired",
    "rejected_connections": "redis.rejected_connections",
    "total_commands_processed": "redis.commands",
    "mem_fragmentation_ratio": "redis.fragmentation",
    # What a restart takes with it: it begins at nought again, and what was not saved is gone.
    "uptime_in_seconds": "redis.uptime_s",
    "rdb_changes_since_last_save": "redis.unsaved_changes",
}


_COMMANDS: Final = ("evalsha",)


def info_values(text: str, commands: Sequence[str] = _COMMANDS) -> dict[str, float]:
    """Metrics of an INFO reply, by name; what is missing or unreadable is absent.

    Memory in bytes (a limit of 0 means none), CPU and the time of each of ``commands`` in ns since
    the server started, the rest as Redis counts them. A command that was never called has no line
    of its own, so with the section at hand zero calls are a fact, not a gap.
    """
    lines = "\n" + text
    values = {
        metric: number
        for field, metric in _PLAIN.items()
        if (number := _number(_field(lines, field))) is not None
    }
    user, system = _number(_field(lines, "used_cpu_user")), _number(_field(lines, "used_cpu_sys"))
    if user is not None and system is not None:
        values["redis.cpu_ns"] = (user + system) * 1e9
    for command in commands:
        if (counted := _field(lines, f"cmdstat_{command}")) is not None:
            parts = dict(part.partition("=")[::2] for part in counted.split(","))
            calls, usec = _number(parts.get("calls")), _number(parts.get("usec"))
            if calls is not None and usec is not None:
                values[f"redis.{command}_calls"] = calls
                values[f"redis.{command}_ns"] = usec * 1e3
        elif "\n# Commandstats" in lines:
            values[f"redis.{command}_calls"] = values[f"redis.{command}_ns"] = 0.0
    return {metric: value for metric, value in values.items() if math.isfinite(value)}


def _field(lines: str, key: str) -> str | None:
    """Value of the line "key:value"; a search for few keys is cheaper than reading all lines."""
    mark = f"\n{key}:"
    start = lines.find(mark)
    if start < 0:
        return None
    start += len(mark)
    end = lines.find("\n", start)
    return lines[start:] if end < 0 else lines[start:end]


def _number(text: str | None) -> float | None:
    try:
        number = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


class RedisProbe:
    """One timed PING and one INFO each tick, on a connection of its own.

    ``subject`` tells several servers apart: it is the queue that this one serves. With the server
    away there is one reading, ``redis.up`` = 0, and the reason is counted. ``commands``, in small
    letters, are those whose calls are read. The round trip never
    includes connecting. The probe's own commands (two a tick, and those of the other probes) are
    among the commands that Redis counts.
    """

    def __init__(
        self,
        url: str,
        subject: str = "",
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        protocol: int = 2,
        commands: Sequence[str] = _COMMANDS,
    ) -> None:
        self._commands = commands
        self._subject = subject
        self._link = RedisLink(url, name="perfkit-redis", timeout_s=timeout_s, protocol=protocol)
        self._ping = self._link.batch(("PING",))
        self._info = self._link.batch(("INFO", *_SECTIONS))
        self._errors: Counter[str] = Counter()

    @property
    def name(self) -> str:
        return "redis"

    @property
    def errors(self) -> Mapping[str, int]:
        return self._errors

    def take(self, clock: Clock) -> list[Reading]:
        try:
            self._link.connect()
            sent_ns = clock.now_ns()
            pong = self._link.exchange(self._ping)[0]
            answered_ns = clock.now_ns()
            info = self._link.exchange(self._info)[0]
        except (redis.RedisError, OSError) as error:
            self._errors[type(error).__name__] += 1
            return [Reading("redis.up", self._subject, 0.0, clock.now_ns())]
        if pong not in (b"PONG", "PONG"):  # such as BUSY: it answers, but serves nobody
            self._errors["PingRefused"] += 1
            return [Reading("redis.up", self._subject, 0.0, answered_ns)]
        round_trip_ns = float(answered_ns - sent_ns)
        readings = [
            Reading("redis.up", self._subject, 1.0, answered_ns),
            Reading("redis.round_trip_ns", self._subject, round_trip_ns, answered_ns),
        ]
        if isinstance(info, bytes):
            now_ns = clock.now_ns()
            values = info_values(info.decode("utf-8", "replace"), self._commands)
            readings.extend(
                Reading(metric, self._subject, value, now_ns) for metric, value in values.items()
            )
        else:
            self._errors["InfoRefused"] += 1
        return readings

    def close(self) -> None:
        self._link.close()
