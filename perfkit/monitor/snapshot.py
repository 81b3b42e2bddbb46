"""What is true of a Dramatiq-on-Redis system at one moment: the one thing every view shows.

The page, the REST API, the Prometheus endpoint and the JupyterLab panel are made of this and of
nothing else. None (JSON null) means "not known", never nought: a source that fails leaves its
figures out and says so in ``sources``.

SNAPSHOT_VERSION history
    1   first layout.
    2   mode "waiting"; counts of workers are null where nobody tells them; `clients_alive`, `lost`.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Self

__all__ = [
    "SNAPSHOT_VERSION",
    "ErrorCount",
    "Load",
    "Mode",
    "Queue",
    "Redis",
    "Replay",
    "Scan",
    "SlowCommand",
    "SlowJob",
    "Snapshot",
    "Source",
    "ThresholdState",
    "Totals",
    "Worker",
]

SNAPSHOT_VERSION: Final = 2

Mode = Literal["live", "replay", "ended", "waiting"]
"""Waiting: what is to be watched is not there yet, as between two trials of a run."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Something the figures come from: ``redis``, ``recorder``, ``load`` or ``processes``.

    There are ``workers`` only where Redis answers and does not let us see who works.
    """

    ok: bool
    detail: str  # in words: what it is, or why it is broken
    since_s: float  # how long it has been so
    age_s: float | None = None  # of its last good reading


@dataclass(frozen=True, slots=True, kw_only=True)
class Queue:
    """One queue. Rates are per second; waits and runs are of jobs that ended in the last minute."""

    name: str
    waiting: int | None = None
    in_flight: int | None = None  # fetched, not acknowledged; stalled ones included
    delayed: int | None = None  # put off, and retries in backoff
    dead: int | None = None
    stalled: int | None = None  # held by a worker that is dead or silent, delayed ones included
    oldest_age_s: float | None = None  # of the job at the head; 0 where none waits
    net_rate: float | None = None  # growth of all that is not finished
    rate_in: float | None = None
    rate_out: float | None = None
    errors_rate: float | None = None  # failed attempts
    latency_p50_s: float | None = None  # from enqueued to finished
    latency_p95_s: float | None = None
    latency_p99_s: float | None = None
    wait_p50_s: float | None = None
    wait_p95_s: float | None = None
    wait_p99_s: float | None = None
    run_p50_s: float | None = None
    run_p95_s: float | None = None
    run_p99_s: float | None = None
    enqueued: int | None = None  # since the monitor looks, where what enqueues is recorded
    done: int | None = None  # since the monitor looks
    failed: int | None = None  # attempts that raised, since the monitor looks
    problem: str | None = None  # why its figures are missing or odd


@dataclass(frozen=True, slots=True, kw_only=True)
class Totals:
    """All queues together; what is None for one queue may be known of all."""

    waiting: int | None = None
    in_flight: int | None = None
    delayed: int | None = None
    dead: int | None = None
    stalled: int | None = None
    oldest_age_s: float | None = None
    rate_in: float | None = None
    rate_out: float | None = None
    rates_from: Literal["recorder", "commands"] | None = None
    """The recorder's count of jobs, or the server's count of the commands that Dramatiq's script
    uses to enqueue (RPUSH) and to finish (HDEL), whoever else uses them included."""
    queues: int = 0
    queues_not_shown: int = 0
    workers: int | None = None
    workers_alive: int | None = None
    workers_lost: int | None = None
    workers_not_shown: int = 0
    clients_alive: int | None = None  # of the broker, which may be workers: they held no job yet


@dataclass(frozen=True, slots=True, kw_only=True)
class Worker:
    """A client of the broker that Redis or the recorder knows."""

    name: str  # of the recorder, else the beginning of the broker id
    broker_id: str
    role: Literal["worker", "producer", "unknown"]
    alive: bool
    lost: bool = False  # not alive, and it left jobs behind or is known not to have ended in order
    last_seen_s: float | None = None  # since its last command
    in_flight: int | None = None  # messages it holds, delayed ones included
    in_flight_age_s: float | None = None  # how old that count is: it is made in rotation
    cpu: float | None = None  # cores
    rss_bytes: int | None = None
    pid: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowCommand:
    """An entry of the server's slow log; never its arguments."""

    command: str
    duration_s: float
    at_s: float  # seconds since the epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class Redis:
    """One server."""

    name: str = ""  # the queue it serves where there are several
    ops: float | None = None  # commands per second, the monitor's own included
    memory_used_bytes: int | None = None
    memory_max_bytes: int | None = None  # None: no limit
    clients: int | None = None
    cpu: float | None = None  # cores
    round_trip_s: float | None = None
    evicted: int | None = None  # since the server started
    expired: int | None = None
    rejected_connections: int | None = None
    fragmentation: float | None = None
    uptime_s: float | None = None
    slow_commands: int | None = None  # since the monitor looks
    slowlog: tuple[SlowCommand, ...] = ()  # newest first


@dataclass(frozen=True, slots=True, kw_only=True)
class Load:
    """The load generator of a run."""

    phase: str | None = None
    offered: float | None = None  # requests per second that came due
    achieved: float | None = None  # sent
    lag_p99_s: float | None = None  # from intended to sent, of the last seconds
    sent: int | None = None
    dropped: int | None = None
    errors: int | None = None
    elapsed_s: float | None = None
    left_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorCount:
    """Attempts that raised, by type."""

    queue: str
    actor: str
    type: str
    count: int
    last_s: float  # seconds since the epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class SlowJob:
    """One of the slowest attempts of the last minutes."""

    id: str
    queue: str
    actor: str
    latency_s: float  # from enqueued to finished
    wait_s: float
    run_s: float
    outcome: str
    at_s: float  # when it finished, seconds since the epoch


@dataclass(frozen=True, slots=True, kw_only=True)
class ThresholdState:
    """A target, and how it stands now: over what was seen lately, not over a whole window."""

    name: str
    metric: str
    expr: str
    queue: str | None = None
    observed: float | None = None  # in the unit
    unit: str = "count"  # duration (seconds), share, rate (per second), count, bytes
    limit: float | None = None
    state: Literal["pass", "fail", "unsure"] = "unsure"  # unsure: nothing to judge
    note: str = ""  # why it is not judged now, where that is known


@dataclass(frozen=True, slots=True, kw_only=True)
class Scan:
    """The search for queues among the keys; it goes round again and again, slowly."""

    done: int
    total: int | None
    rounds: int
    keys_per_s: float
    found: int
    other_namespaces: tuple[str, ...] = ()  # of other Dramatiq applications there


@dataclass(frozen=True, slots=True, kw_only=True)
class Replay:
    """Where a recorded run stands while it is shown again."""

    position_s: float
    length_s: float
    speed: float
    playing: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """One moment; of a replay, one moment of the run."""

    seq: int
    at_s: float  # seconds since the epoch
    mode: Mode = "live"
    subject: str = ""  # what is watched, without secrets
    sources: Mapping[str, Source] = field(default_factory=dict)
    totals: Totals = Totals()
    queues: tuple[Queue, ...] = ()
    workers: tuple[Worker, ...] = ()
    redis: Redis | None = None
    more_redis: tuple[Redis, ...] = ()  # where queues have servers of their own
    load: Load | None = None
    errors: tuple[ErrorCount, ...] = ()
    slow_jobs: tuple[SlowJob, ...] = ()
    thresholds: tuple[ThresholdState, ...] = ()
    scan: Scan | None = None
    replay: Replay | None = None
    version: int = SNAPSHOT_VERSION

    def queue(self, name: str) -> Queue | None:
        """The queue of that name."""
        return next((each for each in self.queues if each.name == name), None)

    @property
    def broken(self) -> tuple[str, ...]:
        """Sources that fail now."""
        return tuple(name for name, source in self.sources.items() if not source.ok)

    def document(self) -> dict[str, Any]:
        """As JSON's types; floats to six figures."""
        plain: dict[str, Any] = _plain(self)
        return plain

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Self:
        """What `document` was made of; unknown keys are passed over.

        Raises:
            ValueError: of another version, or not a snapshot.
        """
        if document.get("version") != SNAPSHOT_VERSION:
            what = f"a snapshot of version {document.get('version')!r}"
            raise ValueError(f"{what}, and this perfkit reads version {SNAPSHOT_VERSION}")
        try:
            made = _made(cls, document)
        except (TypeError, AttributeError, KeyError) as error:
            raise ValueError(f"not a snapshot: {error}") from None
        assert isinstance(made, cls)
        return made


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        # Seconds since the epoch keep their milliseconds.
        return float(f"{value:.13g}" if value > 1e8 else f"{value:.6g}") if _finite(value) else None
    if isinstance(value, tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {name: _plain(getattr(value, name)) for name in _names(type(value))}
    return value


def _finite(value: float) -> bool:
    return math.isfinite(value)


@functools.cache
def _names(kind: type) -> tuple[str, ...]:
    return tuple(each.name for each in dataclasses.fields(kind))


@functools.cache
def _hints(kind: type) -> dict[str, Any]:
    return typing.get_type_hints(kind)


def _made(kind: Any, value: Any) -> Any:
    """A value of the annotated type."""
    if value is None:
        return None
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _made(next(each for each in arguments if each is not type(None)), value)
    if origin is tuple:
        return tuple(_made(arguments[0], each) for each in value)
    if origin is not None and issubclass(_class(origin), Mapping):
        return {key: _made(arguments[1], each) for key, each in value.items()}
    if dataclasses.is_dataclass(kind):
        hints = _hints(typing.cast(type, kind))
        known = {name: _made(hints[name], each) for name, each in value.items() if name in hints}
        return typing.cast(Any, kind)(**known)
    return value


def _class(origin: Any) -> type:
    return origin if isinstance(origin, type) else object
