"""The "slowlog" probe: which commands were slow, and what else made the server wait.

Of a command only its name is kept, and of Dramatiq's script what it was asked to do; keys and
arguments are pieces of somebody's jobs and are dropped where they are read.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple

import redis
from redis.exceptions import NoPermissionError

from perfkit.clock import Clock
from perfkit.telemetry.reading import Reading
from perfkit.telemetry.redis_link import DEFAULT_TIMEOUT_S, RedisLink, Reply

__all__ = ["SlowLogProbe"]

_EVERY_NS: Final = 1_000_000_000
_MOST: Final = 128  # entries in one look
_NONE: Final = -1  # before the first entry: numbers begin anew with each start of the server
_SECOND_NS: Final = 1_000_000_000
_DISPATCH: Final = frozenset(
    {b"ack", b"enqueue", b"fetch", b"nack", b"purge", b"qsize", b"requeue"}
)
_ASKED_AT: Final = 4  # EVALSHA digest 1 namespace COMMAND ...
_NAME: Final = re.compile(r"[A-Z][A-Z0-9._-]{0,31}")

_LOOK: Final = {
    "Time": ("TIME",),
    "SlowLog": ("SLOWLOG", "GET", "1"),
    "Latency": ("LATENCY", "LATEST"),
}


class _Entry(NamedTuple):
    """Of the slow log."""

    number: int
    at_s: int  # wall time of the server: whole seconds is all it tells
    took_us: int
    command: str


class _Now(NamedTuple):
    """One instant on the monotonic clock and on the server's own."""

    mono_ns: int
    server_ns: int

    def mono_of(self, server_ns: int) -> int:
        return self.mono_ns - (self.server_ns - server_ns)


class SlowLogProbe:
    """Slow log and latency history, once a second; other ticks cost nothing.

    A look is three commands, and one more for what is new (`test_a_quiet_look_is_three_commands`).
    What was there before the first look is not ours and is left out. Of each new entry of the slow
    log there is one reading ``redis.slowlog_ns``, and ``redis.slow_commands`` counts them from the
    numbers of the entries, so it is right also where more came than one look reads: those are
    counted as lost. Of each second in which the latency monitor saw an event there is one reading
    ``redis.latency_event_ns``, its worst; it comes when that second is over. Times are of the
    server's clock, brought to ours by its own TIME, and known to the second only.

    A server that refuses a command is not asked again; that is counted once.
    """

    def __init__(
        self,
        url: str,
        subject: str = "",
        *,
        timeout_s: float = DEFAULT_TIMEOUT_S,
        protocol: int = 2,
    ) -> None:
        self._link = RedisLink(url, name="perfkit-slowlog", timeout_s=timeout_s, protocol=protocol)
        self._subject = subject
        self._asking = dict(_LOOK)
        self._due_ns: int | None = None
        self._before: _Now | None = None  # the look before this one
        self._last: _Entry | None = None  # the newest entry seen
        self._count = 0
        self._seen_s: dict[bytes, int] = {}  # event -> last second that was read
        self._since_s = 0
        self._errors: Counter[str] = Counter()

    @property
    def name(self) -> str:
        return "slowlog"

    @property
    def errors(self) -> Mapping[str, int]:
        return self._errors

    def take(self, clock: Clock) -> list[Reading]:
        now_ns = clock.now_ns()
        if not self._asking or (self._due_ns is not None and now_ns < self._due_ns):
            return []
        self._due_ns = now_ns + _EVERY_NS
        try:
            return self._look(clock)
        except (redis.RedisError, OSError) as error:
            self._errors[type(error).__name__] += 1
            return []

    def close(self) -> None:
        self._link.close()

    def _look(self, clock: Clock) -> list[Reading]:
        replies = self._replies()
        now = _now(replies.get("Time"), clock)
        first = self._before is None
        if first:
            self._since_s = now.server_ns // _SECOND_NS - 1
        readings = []
        if "SlowLog" in replies:
            entries = self._new_entries(replies["SlowLog"], first)
            readings = [self._slow(entry, now) for entry in entries]
            readings.append(
                Reading("redis.slow_commands", self._subject, float(self._count), now.mono_ns)
            )
        if "Latency" in replies:
            readings.extend(self._events(replies["Latency"], now))
        self._before = now
        return readings

    def _replies(self) -> dict[str, Reply]:
        """What the server answers to all that it lets us ask."""
        batch = self._link.batch(*self._asking.values())
        replies = dict(zip(self._asking, self._link.exchange(batch), strict=True))
        for kind, reply in list(replies.items()):
            if isinstance(reply, redis.ResponseError):
                del replies[kind]
                if _is_final(reply):
                    del self._asking[kind]
                    self._errors[f"{kind}Refused"] += 1
                else:
                    self._errors[f"{kind}Failed"] += 1
        return replies

    def _new_entries(self, reply: Reply, first: bool) -> list[_Entry]:
        """Entries that came since the look before, oldest first; the count goes up by them."""
        newest = next(_entries(reply), None)
        last, self._last = self._last, newest or self._last
        if newest is None or first or newest == last:
            return []
        if last is None:  # the log was empty, but its numbers may go on from before
            entries = self._read(_MOST)
            seen = min((entry.number for entry in entries), default=newest.number) - 1
        elif newest.number <= last.number:
            entries, seen = self._read_since(_NONE, newest), _NONE
        else:
            entries, seen = self._read_since(last.number, newest), last.number
            # That the one we know is still there shows that the server did not start again.
            if any(entry.number == seen and entry != last for entry in entries):
                entries, seen = self._read_since(_NONE, newest), _NONE
        fresh = [entry for entry in reversed(entries) if entry.number > seen]
        # Somebody may have emptied the log after the newest one was seen.
        fresh = fresh or [newest]
        self._last = fresh[-1]
        came = self._last.number - seen
        self._count += came
        if came > len(fresh):
            self._errors["EntriesLost"] += came - len(fresh)
        return fresh

    def _read_since(self, seen: int, newest: _Entry) -> list[_Entry]:
        """The entries after ``seen``, and that one itself; newest first."""
        entries = self._read(newest.number - seen + 1)
        if entries and entries[-1].number > seen + 1:  # others came meanwhile
            entries = self._read(_MOST)
        return entries

    def _read(self, count: int) -> list[_Entry]:
        asked = self._link.batch(("SLOWLOG", "GET", str(min(count, _MOST))))
        return list(_entries(self._link.exchange(asked)[0]))

    def _slow(self, entry: _Entry, now: _Now) -> Reading:
        earliest = self._before.server_ns if self._before is not None else now.server_ns
        at_ns = min(max(entry.at_s * _SECOND_NS + _SECOND_NS // 2, earliest), now.server_ns)
        subject = f"{self._subject}/{entry.command}" if self._subject else entry.command
        return Reading("redis.slowlog_ns", subject, float(entry.took_us * 1000), now.mono_of(at_ns))

    def _events(self, reply: Reply, now: _Now) -> Iterator[Reading]:
        """Of each event the seconds that are over and were not read yet."""
        latest = _latest(reply)
        names = [name for name, at_s in latest if at_s > self._seen_s.get(name, self._since_s)]
        if not names:
            return
        asked = self._link.batch(*(("LATENCY", "HISTORY", name) for name in names))
        for name, history in zip(names, self._link.exchange(asked), strict=True):
            for at_s, worst_ms in _seconds(history):
                if self._seen_s.get(name, self._since_s) < at_s < now.server_ns // _SECOND_NS:
                    self._seen_s[name] = at_s
                    event = name.decode("ascii", "replace")
                    yield Reading(
                        "redis.latency_event_ns",
                        f"{self._subject}/{event}" if self._subject else event,
                        worst_ms * 1e6,
                        now.mono_of(at_s * _SECOND_NS + _SECOND_NS // 2),
                    )


def _is_final(error: redis.ResponseError) -> bool:
    """Whether it will be the same next time: forbidden, or unknown to this server."""
    return isinstance(error, NoPermissionError) or str(error).lower().startswith("unknown")


def _now(reply: Reply | None, clock: Clock) -> _Now:
    """Of a server that does not tell its time we take it that it is ours."""
    match reply:
        case [bytes() as seconds, bytes() as micros]:
            return _Now(clock.now_ns(), int(seconds) * _SECOND_NS + int(micros) * 1000)
    return _Now(clock.now_ns(), clock.wall_ns())


def _entries(reply: Reply) -> Iterator[_Entry]:
    """Newest first, as they come; what is no entry is left out."""
    for each in reply if isinstance(reply, list) else ():
        match each:
            case [int() as number, int() as at_s, int() as took_us, list() as words, *_]:
                yield _Entry(number, at_s, took_us, _command(words))


def _command(words: Sequence[object]) -> str:
    first = words[0] if words else None
    name = first.decode("ascii", "replace").upper() if isinstance(first, bytes) else ""
    if not _NAME.fullmatch(name):
        return "?"
    asked = words[_ASKED_AT] if len(words) > _ASKED_AT else None
    if name == "EVALSHA" and isinstance(asked, bytes) and asked in _DISPATCH:
        return f"{name} {asked.decode()}"
    return name


def _latest(reply: Reply) -> Iterator[tuple[bytes, int]]:
    """Each event, and the second in which it was seen last."""
    for each in reply if isinstance(reply, list) else ():
        match each:
            case [bytes() as name, int() as at_s, *_]:
                yield name, at_s


def _seconds(reply: Reply) -> Iterator[tuple[int, int]]:
    """Second and worst milliseconds, in the order of time."""
    for each in reply if isinstance(reply, list) else ():
        match each:
            case [int() as at_s, int() as worst_ms]:
                yield at_s, worst_ms
