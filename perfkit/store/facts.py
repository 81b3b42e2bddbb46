"""``trial.json`` as frozen types, parsed once where it is read."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from perfkit.scenario.phases import Stretch, stretch_of

__all__ = [
    "Aborted",
    "Death",
    "FaultEvent",
    "Generator",
    "Instants",
    "ScaleEvent",
    "Shard",
    "TrialFacts",
    "WorkerLife",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instants:
    """The stretches of a trial on the monotonic clock. The window is half open."""

    load_start: int
    window_start: int
    window_end: int
    load_end: int
    drain_end: int

    @property
    def window_s(self) -> float:
        """Length of the measured window in seconds; NaN where a trial ended before it began."""
        return (self.window_end - self.window_start) / 1e9 or math.nan


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """One of several processes that sent the load; None where it did not say."""

    shard: int  # from 1
    rows: int  # found of it, when they were merged
    counted: int | None = None  # by itself, as it went
    unreached: int = 0  # requests that came due when it was gone; they count as dropped
    cpu_ns: int | None = None
    wall_ns: int | None = None
    run_queue_wait_ns: int | None = None

    @property
    def cpu_share(self) -> float:
        """Share of one core that it used; NaN when unknown."""
        return _share(self.cpu_ns, self.wall_ns)

    @property
    def wait_share(self) -> float:
        """Share of the time it wanted a core and had none; NaN when unknown."""
        return _share(self.run_queue_wait_ns, self.wall_ns)


@dataclass(frozen=True, slots=True, kw_only=True)
class Generator:
    """What the load generator says of itself; None where it did not say. Of shards, the sums."""

    planned: int | None = None
    sent: int | None = None
    dropped: int | None = None
    accepted: int | None = None
    refused: int | None = None
    errored: int | None = None
    cpu_ns: int | None = None
    wall_ns: int | None = None
    run_queue_wait_ns: int | None = None
    shards: int = 1
    interrupted: bool = False
    by_shard: tuple[Shard, ...] = ()  # none where one process sent

    @property
    def cpu_share(self) -> float:
        """Share of one core that the busiest of its processes used; NaN when unknown."""
        if self.by_shard:
            return _largest(each.cpu_share for each in self.by_shard)
        return _share(self.cpu_ns, self.wall_ns) / self.shards

    @property
    def wait_share(self) -> float:
        """Largest share of the time that one wanted a core and had none; NaN when unknown."""
        if self.by_shard:
            return _largest(each.wait_share for each in self.by_shard)
        return _share(self.run_queue_wait_ns, self.wall_ns) / self.shards


def _share(part_ns: int | None, whole_ns: int | None) -> float:
    return math.nan if part_ns is None or not whole_ns else part_ns / whole_ns


def _largest(shares: Iterable[float]) -> float:
    return max((share for share in shares if not math.isnan(share)), default=math.nan)


@dataclass(frozen=True, slots=True)
class Death:
    """A process that ended although it was not told to."""

    name: str
    at_ns: int
    status: int | None
    text: str = ""  # of a load shard, what happened in words


@dataclass(frozen=True, slots=True, kw_only=True)
class ScaleEvent:
    """A change of the number of workers while running; no error means that it was carried out."""

    at_ns: int
    pool: str
    from_workers: int
    to_workers: int
    reason: str
    done_ns: int | None  # all new ones ready, or all stopped ones ended; None: not in this trial
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerLife:
    """One worker process from start to end; None is what did not happen in this trial."""

    name: str
    pool: str
    started_ns: int
    ready_ns: int | None
    stop_ns: int | None  # when it was told to stop
    ended_ns: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Aborted:
    """What stopped a trial, and what was observed when it did.

    ``behind``: None of a threshold. Where the target rate was missed, the share of what was not
    sent that the generator had not even taken up; the rest waited for a connection or was dropped.
    """

    at_ns: int
    threshold: str
    observed: float
    text: str
    behind: float | None = None


_NAMED = re.compile(r"([\w.-]+) \(pid \d+\)")


@functools.lru_cache(maxsize=1024)
def _names(victim: str) -> tuple[str, ...]:
    return tuple(_NAMED.findall(victim))  # asked for by every fault of every other


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultEvent:
    """Something that was broken on purpose, or was to be."""

    action: str
    target: str
    at_ns: int  # planned
    done_ns: int | None  # None: it was not done
    ended_ns: int | None  # when it was mended, of what can be; None: not in this trial
    victim: str | None  # such as "worker-1 (pid 4711)"
    error: str | None

    @property
    def victims(self) -> tuple[str, ...]:
        """The processes that were struck, by name."""
        return _names(self.victim or "")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrialFacts:
    """One trial beside its tables."""

    trial: int
    scenario: str
    label: str
    axes: Mapping[str, Any]
    repetition: int
    seed: int
    outcome: str
    reason: str | None
    instants: Instants
    model: str
    offered_per_s: float  # NaN where it is not known, as of an import
    users: int | None  # of a closed model with one level
    stretches: tuple[Stretch, ...]  # the course of the load; none in older runs
    pools: tuple[Mapping[str, Any], ...]
    roles: Mapping[str, str]  # process name -> role
    generator: Generator
    corrupt: int
    lost: int
    holes: int
    deaths: tuple[Death, ...]
    scale_events: tuple[ScaleEvent, ...]
    worker_lives: tuple[WorkerLife, ...]  # none in older runs
    aborted: Aborted | None
    faults: tuple[FaultEvent, ...]  # in the order in which they were planned
    ledger_entries: int | None
    heartbeat_timeout_ns: int | None  # until a worker that is silent is taken for dead
    redis_config: Mapping[str, str]  # what the server said of itself; none where it may not
    jobs_recorded: bool  # False: only requests are known, and a good answer is the end of each
    omission: str | None  # of an import, why its latency may hide waiting; see `perfkit import`
    expected_interval_ns: int | None  # of an import that is to be corrected for it
    journey: bool  # requests were user code's or a template's; a queue of requests is their name

    @property
    def imported(self) -> bool:
        """Whether it was measured by something else, which knows no intended times."""
        return self.omission is not None

    @property
    def workers(self) -> int:
        """Worker processes."""
        return sum(int(pool.get("workers", 0)) for pool in self.pools)

    @property
    def slots(self) -> int:
        """Jobs that can run at once."""
        return sum(int(pool.get("workers", 0)) * int(pool.get("threads", 0)) for pool in self.pools)

    def role(self, process: str) -> str:
        """What a process does: as recorded, else its name up to the last dash."""
        return self.roles.get(process) or process.rpartition("-")[0] or process

    @classmethod
    def parse(cls, raw: Mapping[str, Any]) -> TrialFacts:
        """Parse ``trial.json``.

        Raises:
            ValueError: something needed is missing or of another type.
        """
        try:
            return cls(
                trial=raw["trial"],
                scenario=raw["scenario"],
                label=raw["label"],
                axes=raw.get("axes", {}),
                repetition=raw.get("repetition", 0),
                seed=raw.get("seed", 0),
                outcome=raw["outcome"],
                reason=raw.get("reason"),
                instants=Instants(**raw["instants_ns"]),
                model=raw.get("model", "open"),
                offered_per_s=_known(raw["offered_per_s"]),
                users=raw.get("users"),
                stretches=tuple(stretch_of(each) for each in raw.get("stretches") or ()),
                pools=tuple(raw.get("settings", {}).get("pools", ())),
                roles={
                    name: each["role"]
                    for name, each in raw.get("processes", {}).items()
                    if "role" in each
                },
                generator=_generator(raw.get("generator") or {}),
                corrupt=_count(raw, "recorder", "corrupt"),
                lost=_count(raw, "recorder", "lost"),
                holes=_count(raw, "recorder", "holes"),
                deaths=tuple(
                    Death(each["name"], each["at_ns"], each.get("status"), each.get("text", ""))
                    for each in raw.get("deaths", ())
                ),
                scale_events=tuple(
                    ScaleEvent(**_given(ScaleEvent, each)) for each in raw.get("scale_events") or ()
                ),
                worker_lives=tuple(
                    WorkerLife(**_given(WorkerLife, each)) for each in raw.get("worker_lives") or ()
                ),
                aborted=Aborted(**_given(Aborted, {"behind": None} | raw["aborted"]))
                if raw.get("aborted")
                else None,
                faults=tuple(
                    sorted(
                        (
                            FaultEvent(**_given(FaultEvent, each))
                            for each in raw.get("faults") or ()
                        ),
                        key=lambda each: each.at_ns,
                    )
                ),
                ledger_entries=(raw.get("ledger") or {}).get("entries"),
                heartbeat_timeout_ns=raw.get("settings", {}).get("heartbeat_timeout_ns"),
                redis_config=((raw.get("stack") or {}).get("redis") or {}).get("config") or {},
                jobs_recorded=raw.get("jobs_recorded", True),
                omission=raw.get("omission"),
                expected_interval_ns=raw.get("expected_interval_ns"),
                journey=bool(raw.get("journey")),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"trial.json is not as it should be: {error!r}") from error


def _given(kind: type[Any], raw: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of a type; a pool without a name is ""."""
    given = {name: raw[name] for name in kind.__dataclass_fields__}
    return given | {"pool": given["pool"] or ""} if "pool" in given else given


def _generator(raw: Mapping[str, Any]) -> Generator:
    known = {key: raw[key] for key in Generator.__dataclass_fields__ if key in raw}
    shards = tuple(
        Shard(**{key: each[key] for key in Shard.__dataclass_fields__ if key in each})
        for each in known.pop("by_shard", None) or ()
    )
    return Generator(**known, by_shard=shards)


def _known(number: float | None) -> float:
    return math.nan if number is None else float(number)


def _count(raw: Mapping[str, Any], part: str, key: str) -> int:
    return int((raw.get(part) or {}).get(key) or 0)
