"""What rules may look at: the facts of one trial, gathered once."""

from __future__ import annotations

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pandas as pd

from perfkit import frames, verdict
from perfkit.frames import Held
from perfkit.store import StoredRun
from perfkit.verdict import Bottleneck, Lateness, Saturation

__all__ = ["Failures", "Seen", "see"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failures:
    """Attempts that raised, in a whole trial."""

    attempts: int
    failed: int
    dead: int  # jobs
    accepted: int  # jobs
    error: str  # the most frequent; "" where none failed
    queue: str  # where it was most frequent


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One trial, as rules see it. Shares are NaN where they are not known."""

    trial: int
    subject: str  # words of a command: the scenario, and what was set in this trial
    jobs_recorded: bool
    complete: bool
    offered_per_s: float
    model: str
    phases: int
    workers: int
    threads: int  # of each worker; 0 where pools differ or are not known
    prefetch: int  # likewise
    pools: int
    queues: int
    worker_timeout_ns: int
    ingest_processes: int
    shards: int
    cpus: float
    gateway_errors: Mapping[str, float]  # of the sample's gateway, by queue
    stages: Mapping[str, Mapping[str, float]]  # "mean", "p50", "p99" -> stage -> ns, over all jobs
    bottleneck: Bottleneck
    saturation: Saturation
    held: Held
    lateness: Lateness
    failures: Failures
    persistence: Mapping[str, str]  # appendonly, appendfsync, save, as the server said
    redis_events: Mapping[str, tuple[int, float]]  # kind -> how many, the longest in ns

    def share(self, statistic: str, *stages: str) -> float:
        """What stages contribute to a statistic of the latency, of the whole of it."""
        parts = self.stages.get(statistic) or {}
        whole = sum(parts.values())
        return sum(parts.get(each, math.nan) for each in stages) / whole if whole else math.nan

    def of(self, statistic: str, stage: str) -> float:
        """Nanoseconds that a stage contributes to a statistic."""
        return (self.stages.get(statistic) or {}).get(stage, math.nan)

    def utilisation(self, name: str) -> float:
        """Share of a resource that was used; NaN where it is not known."""
        known = [each.utilisation for each in self.bottleneck.resources if each.name == name]
        return known[0] if known else math.nan


def see(run: StoredRun, trial: int, contributed: pd.DataFrame | None = None) -> Seen:
    """Gather what is known of one trial.

    Args:
        run: the sealed run.
        trial: its index.
        contributed: `perfkit.verdict.contributions_by_trial(run, by="queue")`, where it is there.
    """
    facts = run.facts(trial)
    raw = run.trial_facts(trial)
    settings: Mapping[str, Any] = raw.get("settings") or {}
    if contributed is None:
        contributed = verdict.contributions_by_trial(run, by="queue")
    parts = contributed[(contributed["trial"] == trial) & (contributed["queue"] == "all")]
    return Seen(
        trial=trial,
        subject=_subject(run, trial),
        jobs_recorded=facts.jobs_recorded,
        complete=facts.outcome == "complete",
        offered_per_s=facts.offered_per_s,
        model=facts.model,
        phases=len(frames.phases_of(facts)),
        workers=facts.workers,
        threads=_same(facts.pools, "threads"),
        prefetch=_same(facts.pools, "prefetch"),
        pools=len(facts.pools),
        queues=_queues(run, trial),
        worker_timeout_ns=int(settings.get("worker_timeout_ns") or 0),
        ingest_processes=int(settings.get("ingest_processes") or 0),
        shards=facts.generator.shards,
        cpus=float(run.manifest.get("host", {}).get("cpus") or math.nan),
        gateway_errors={
            str(queue): float(each.get("errors") or 0)
            for queue, each in (raw.get("gateway") or {}).items()
        },
        stages={
            str(statistic): dict(zip(mine["stage"], mine["ns"], strict=True))
            for statistic, mine in parts.groupby("statistic", observed=True)
        },
        bottleneck=verdict.bottleneck(run, trial),
        saturation=verdict.saturation(run, trial),
        held=frames.held(run, trial),
        lateness=verdict.lateness(run, trial),
        failures=_failures(run, trial),
        persistence={
            name: str(facts.redis_config[name])
            for name in ("appendonly", "appendfsync", "save")
            if name in facts.redis_config
        },
        redis_events=_events(run, trial),
    )


def _subject(run: StoredRun, trial: int) -> str:
    """The scenario as a command takes it, with what this trial set."""
    facts = run.facts(trial)
    files = [str(word) for word in run.manifest.get("command") or () if str(word).endswith(".toml")]
    alone = len(run.manifest.get("scenarios") or ()) == 1
    words = [files[0] if alone and len(files) == 1 else facts.scenario]
    # Which arm of a comparison a trial was is no key of a scenario.
    for key, value in facts.axes.items():
        if key != "arm":
            plain = str(value).lower() if isinstance(value, bool) else value
            words += ["--set", f"{key}={plain}"]
    return shlex.join(words)


def _same(pools: tuple[Mapping[str, Any], ...], name: str) -> int:
    values = {int(pool.get(name) or 0) for pool in pools}
    return values.pop() if len(values) == 1 else 0


def _queues(run: StoredRun, trial: int) -> int:
    with frames.session(run, trial) as sql:
        return int(sql.rows("select count(distinct queue) from jobs")[0][0])


def _failures(run: StoredRun, trial: int) -> Failures:
    counted = verdict.accounting(run, trial)
    with frames.session(run, trial) as sql:
        attempts, failed = sql.rows("""
            select count(*) filter (started_ns is not null),
                   count(*) filter (outcome in ('failed', 'dead'))
            from jobs
        """)[0]
        often = sql.rows("""
            select coalesce(error::varchar, ''), queue::varchar, count(*) from jobs
            where outcome in ('failed', 'dead') group by 1, 2 order by 3 desc, 1, 2 limit 1
        """)
    error, queue = often[0][:2] if often else ("", "")
    return Failures(
        attempts=attempts,
        failed=failed,
        dead=counted.dead,
        accepted=counted.accepted,
        error=error,
        queue=queue,
    )


def _events(run: StoredRun, trial: int) -> dict[str, tuple[int, float]]:
    """Events of Redis' latency monitor in one trial, over all of its servers."""
    events = frames.latency_events(run)
    found: dict[str, tuple[int, float]] = {}
    for row in events[events["trial"] == trial].to_dict("records"):
        count, worst = found.get(str(row["event"]), (0, 0.0))
        found[str(row["event"])] = (count + int(row["count"]), max(worst, float(row["worst_ns"])))
    return found
