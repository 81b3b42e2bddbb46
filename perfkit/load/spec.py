"""What one generator process is asked to do, as a file it can read."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from perfkit.errors import UsageError
from perfkit.load.arrivals import ArrivalKind, Burst, Segment, Think, Wave

__all__ = ["JobIdRule", "JobShare", "JourneySpec", "LoadSpec", "read_spec"]


@dataclass(frozen=True, slots=True)
class JobShare:
    """A queue and its share of the jobs (any positive weight)."""

    queue: str
    weight: float


@dataclass(frozen=True, slots=True, kw_only=True)
class JobIdRule:
    """Where a reply says which job it made: in a header, or at a JSON pointer in its body."""

    header: str = ""
    pointer: str | None = None
    requests: tuple[str, ...] = ()  # names of the requests that make jobs; empty: any may


@dataclass(frozen=True, slots=True, kw_only=True)
class JourneySpec:
    """User code, or a template of one request, instead of the built-in requests.

    A header's value is text, ``{"env": NAME}`` (from the environment: a secret is in no file), or
    drawn, as all of a template may be (`perfkit.scenario.arguments`); query and body likewise.
    """

    name: str  # shown: the function's, or the template's request
    user: str = ""  # "module:function" or "file.py:function"; empty: the template
    folder: str = ""  # looked in first
    headers: dict[str, Any] = field(default_factory=dict)
    job_id: JobIdRule | None = None
    body_limit: int = 16 << 20  # bytes of a reply
    # The template:
    url: str = ""  # relative to base_url, or absolute
    method: str = "GET"
    query: dict[str, Any] = field(default_factory=dict)
    body: Any = None  # text as it is, anything else as JSON


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSpec:
    """One generator's load. Instants are CLOCK_MONOTONIC, which the host's processes share.

    Raises:
        UsageError: when no load can be made of it.
    """

    base_url: str  # http://host:port, plain HTTP/1.1; empty: sent by a child of the application
    model: Literal["open", "closed"]
    trial: int
    nonce: str  # unique for each trial: part of every job id
    seed: int
    jobs: tuple[JobShare, ...]
    start_ns: int  # when load starts; the process must be ready before
    load_ns: int  # requests come due in [start, start + load): ramp, warm-up and window
    output: str  # an existing directory: requests.arrow and generator.json go there

    # The level over time, one after the other from the start of load: jobs per second (open) or
    # users (closed). Behind the last one nothing comes due.
    segments: tuple[Segment, ...] = ()

    arrivals: ArrivalKind = "constant"  # open model
    exact: bool = False  # Poisson arrivals in exact numbers
    # Of a trace: a file of int64 words, its instants in ns from the start of load, sorted.
    times: str = ""

    think: Think = Think()  # noqa: RUF009 - frozen; closed model
    pacing_ns: int | None = None  # fixed instants for each user: then the load is open

    path: str = ""  # path and query that every request goes to; empty: /jobs/{queue} of the URL

    journey: JourneySpec | None = None  # user code makes the requests; https is allowed then

    connections: int = 1000  # waiting for one is `blocked`
    max_in_flight: int = 10_000  # beyond it an intended request is `dropped`
    idle_limit_ns: int = 4_000_000_000  # idle for longer, a connection is replaced before use
    timeout_ns: int = 30_000_000_000  # from sent to the end of the reply
    grace_ns: int = 30_000_000_000  # how long replies are waited for after the load
    cpus: tuple[int, ...] = ()  # affinity; empty: as started
    shard: int = 0  # this process sends shard, shard + shards, ... of the plan
    shards: int = 1

    def __post_init__(self) -> None:
        for what, wrong in self._problems():
            if wrong:
                raise UsageError(f"the load can't be made: {what}", "mend the load spec")

    def _problems(self) -> list[tuple[str, bool]]:
        weights = [job.weight for job in self.jobs]
        closed = self.model == "closed"
        return [
            (f"model {self.model!r} is neither open nor closed", self.model not in _MODELS),
            (
                f"{self.base_url} is not http://host:port",
                self.base_url != ""
                and not self.base_url.startswith(("http://", "https://")[: 1 + bool(self.journey)]),
            ),
            (
                "no job has a positive weight",
                self.journey is None and not any(weight > 0 for weight in weights),
            ),
            (
                "a job's weight is not a number from 0 up",
                not all(math.isfinite(weight) and weight >= 0 for weight in weights),
            ),
            ("start_ns is negative", self.start_ns < 0),
            ("load_ns is negative", self.load_ns < 0),
            ("timeout_ns is not positive", self.timeout_ns <= 0),
            ("grace_ns is negative", self.grace_ns < 0),
            ("connections is below 1", self.connections < 1),
            ("max_in_flight is below 1", self.max_in_flight < 1),
            ("pacing_ns is not positive", self.pacing_ns is not None and self.pacing_ns <= 0),
            ("a trace has no times", self.arrivals == "trace" and not self.times),
            (
                "bursts are of an open model",
                closed and any(part.burst is not None for part in self.segments),
            ),
            ("idle_limit_ns is not positive", self.idle_limit_ns <= 0),
            ("a closed model has no users", closed and self.users < 1),
            (
                # Else a user without think time would be dropped again and again in one instant.
                "fewer requests may be in flight than there are users",
                closed and self.pacing_ns is None and self.own_users > self.max_in_flight,
            ),
            (f"there is no shard {self.shard} of {self.shards}", not 0 <= self.shard < self.shards),
        ]

    @property
    def users(self) -> int:
        """Users of a closed model: its highest level. 0 in an open one."""
        if self.model == "open":
            return 0
        return math.ceil(max((part.highest for part in self.segments), default=0))

    @property
    def own_users(self) -> int:
        """Those of them that this shard plays."""
        return len(range(self.shard, self.users, self.shards))

    @property
    def end_ns(self) -> int:
        """The first instant at which nothing comes due any more."""
        return self.start_ns + self.load_ns

    @property
    def queues(self) -> list[str]:
        """Queue names in the order of the shares."""
        return [job.queue for job in self.jobs]

    def to_json(self) -> str:
        """The spec as a JSON document; `from_json` reads it back."""
        return json.dumps(asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> LoadSpec:
        """Parse what `to_json` wrote.

        Raises:
            UsageError: the text is no load spec.
        """
        try:
            fields: dict[str, Any] = json.loads(text)
            fields["jobs"] = tuple(JobShare(**job) for job in fields["jobs"])
            fields["segments"] = tuple(_segment(part) for part in fields.get("segments", ()))
            fields["journey"] = _journey(fields.get("journey"))
            fields["think"] = Think(**fields.get("think", {}))
            fields["cpus"] = tuple(fields.get("cpus", ()))
            return cls(**fields)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise UsageError(
                f"not a load spec: {error}", "write it with LoadSpec.to_json"
            ) from None


_MODELS = ("open", "closed")


def _journey(given: dict[str, Any] | None) -> JourneySpec | None:
    if given is None:
        return None
    rule = given.get("job_id")
    if rule is not None:
        rule = JobIdRule(**{**rule, "requests": tuple(rule.get("requests", ()))})
    return JourneySpec(**{**given, "job_id": rule})


def _segment(fields: dict[str, Any]) -> Segment:
    wave, burst = fields.pop("wave", None), fields.pop("burst", None)
    return Segment(
        **fields,
        wave=None if wave is None else Wave(**wave),
        burst=None if burst is None else Burst(**burst),
    )


def read_spec(path: Path) -> LoadSpec:
    """The spec in a file.

    Raises:
        UsageError: the file can't be read, or holds no load spec.
    """
    try:
        return LoadSpec.from_json(path.read_text())
    except OSError as error:
        raise UsageError(f"can't read the load spec: {error}", "name a file that exists") from None
