"""The rules, one function each: what was seen of a trial -> a finding, or none.

Limits are named at the top, with what they are shares of.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from perfkit.findings.finding import Finding, Severity
from perfkit.findings.seeing import Seen
from perfkit.units import format_count, format_duration, format_percent, format_rate

__all__ = ["RULES", "Rule"]

_HOARDED: Final = 0.1  # of the window
_HOARD_COST: Final = 0.1  # of the mean or of P99
_IDLE: Final = 0.25  # of the window
_DWELL: Final = 0.2  # of P50
_INGEST: Final = 0.5  # of P50 or P99
_BACKOFF: Final = 0.5  # of P99
_DEAD: Final = 0.01  # of accepted jobs
_GENERATOR: Final = 0.8  # of a core
_ROOM: Final = 0.7  # of the host: below it more threads or processes have cores to run on
_EVENT_NS: Final = 5_000_000
_LONG_EVENT_NS: Final = 50_000_000
_LOW_LATENCY_NS: Final = 20_000_000
_PERSISTING: Final = ("aof", "fork", "rdb")


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule, and why it can't be asked of a trial where that is so."""

    name: str
    looks_at: str
    ask: Callable[[Seen], Finding | None]
    lacking: Callable[[Seen], str | None]


def generator_limited(seen: Seen) -> Finding | None:
    """The load was late by the generator's own making, or nearly so."""
    late = seen.lateness
    if not late.own_making and not late.cpu_share >= _GENERATOR:
        return None
    broken = late.broken or "no rule of punctuality is broken"
    title = "The load generator was the limit, not the system"
    if not late.own_making:
        title = "The load generator is near its own limit"
    return _finding(
        seen,
        rule="generator limited",
        severity="critical" if late.own_making else "medium",
        title=title,
        evidence=(
            ("CPU of its busiest process", f"{format_percent(late.cpu_share)} of a core"),
            ("send lag, P99", format_duration(late.p99_ns)),
            ("punctuality", broken),
        ),
        knob=f"load.shards: send from more than {seen.shards} processes, or ask for less",
        experiment=f"perfkit run {seen.subject} --set load.shards={2 * seen.shards}",
        weight=late.cpu_share,
    )


def saturated(seen: Seen) -> Finding | None:
    """The offered load was not sustained."""
    state = seen.saturation
    if not state.saturated:
        return None
    capacity = state.capacity_per_s if state.pushed else state.throughput_per_s
    steady = seen.model == "open" and seen.phases <= 1 and capacity > 0
    rates = ",".join(f"{share * capacity:.3g}" for share in (0.6, 0.8, 0.95)) if steady else ""
    experiment = f"perfkit sweep {seen.subject} --axis workers={seen.workers},{2 * seen.workers}"
    if rates:
        experiment = f"perfkit sweep {seen.subject} --axis rate={rates} --repeat 3"
    return _finding(
        seen,
        rule="saturation",
        severity="high",
        title=f"The load is not sustained: {format_rate(capacity)} of "
        f"{format_rate(state.due_per_s)} that came due"
        if state.pushed
        else "The host was saturated, and latency includes that",
        evidence=(
            ("throughput", format_rate(capacity)),
            ("came due", format_rate(state.due_per_s)),
            *(("sign", reason) for reason in state.reasons),
            ("bottleneck", seen.bottleneck.sentence),
        ),
        knob="offer less than its capacity, or give it more of what limits it",
        experiment=experiment,
        weight=1 - capacity / state.due_per_s if state.due_per_s else 0.0,
    )


def bottleneck_named(seen: Seen) -> Finding | None:
    """One resource is used up, and something waits before it."""
    named = seen.bottleneck.resource
    if named is None:
        return None
    knob, change = _more_of(seen, named.name, named.kind)
    return _finding(
        seen,
        rule="bottleneck",
        severity="high" if seen.saturation.saturated else "medium",
        title=f"The bottleneck is {named.name}",
        evidence=(
            ("used (first sign)", format_percent(named.utilisation, 0)),
            ("before it (second sign)", named.before_it),
            ("a job asks of it", f"{named.ms_per_job:.3g} ms"),
            ("there are", f"{named.units:g}"),
        ),
        knob=knob,
        experiment=f"perfkit {change}",
        weight=named.utilisation,
    )


def _more_of(seen: Seen, name: str, kind: str) -> tuple[str, str]:
    """The knob that gives more of a resource, and the words of the experiment after perfkit."""
    room = seen.utilisation("host CPU") < _ROOM
    if kind == "threads" and seen.threads and seen.pools == 1:
        return "stack.threads: more jobs at once", _versus(
            seen, f"stack.threads={2 * seen.threads}"
        )
    if kind == "threads":
        return (
            f"threads or workers of the pool, in a copy of the scenario ({name})",
            f"compare {seen.subject} COPY.toml",
        )
    if name == "ingest CPU":
        more = max(1, seen.ingest_processes) * 2
        knob = "stack.ingest_processes: more processes that accept requests"
        return knob, _versus(seen, f"stack.ingest_processes={more}")
    if name == "Redis CPU":
        knob = "redis.per_queue: a server for each queue; or fewer polls (stack.worker_timeout)"
        return knob, _versus(seen, "redis.per_queue=true")
    if name == "worker CPU" and room and seen.pools == 1:
        knob = "stack.workers: more processes, as threads of one share its interpreter"
        return knob, _versus(seen, f"stack.workers={seen.workers + 1}")
    few = sorted({max(1, seen.workers // 2), seen.workers})
    return (
        "cores: a larger machine, or less work a job; more workers here only share the same cores",
        f"sweep {seen.subject} --axis workers={','.join(map(str, few))} --repeat 3",
    )


def hoarding(seen: Seen) -> Finding | None:
    """A worker holds jobs that it has no thread for, while another of its pool is idle."""
    held = seen.held
    cost = max(_known(seen.share(each, "prefetch wait")) for each in ("mean", "p99"))
    if not (held.hoarded_share >= _HOARDED and cost >= _HOARD_COST):
        return None
    fewer = max(1, seen.threads // max(1, seen.queues))
    if not 0 < fewer < seen.prefetch:
        return None
    return _finding(
        seen,
        rule="prefetch hoarding",
        severity="medium",
        title="A worker holds jobs it has no thread for while another is idle",
        evidence=(
            ("share of the time", f"{format_percent(held.hoarded_share)}, mostly {held.worst}"),
            ("jobs held so, on average", f"{held.hoarded:.2f}"),
            *_cost(seen, "prefetch wait"),
            ("prefetch a queue and worker", f"{seen.prefetch}, with {seen.threads} threads"),
        ),
        knob="stack.prefetch: fetch no more than threads can take up, over all queues",
        experiment=f"perfkit {_versus(seen, f'stack.prefetch={fewer}')}",
        weight=cost,
    )


def idle_while_waiting(seen: Seen) -> Finding | None:
    """Threads are idle while jobs wait in Redis: consumers sleep between polls."""
    held, dwell = seen.held, seen.share("p50", "broker dwell")
    if not (held.idle_while_waiting >= _IDLE and dwell >= _DWELL):
        return None
    if seen.worker_timeout_ns > _LOW_LATENCY_NS:
        knob = "stack.worker_timeout: poll more often when idle, for CPU and Redis commands"
        change = "stack.worker_timeout=20ms"
    else:
        knob = "stack.prefetch: a full prefetch window sends the consumer to sleep"
        change = f"stack.prefetch={2 * max(1, seen.prefetch)}"
    return _finding(
        seen,
        rule="threads idle while the queue waits",
        severity="medium",
        title="Threads are idle while jobs wait in Redis",
        evidence=(
            ("share of the time", format_percent(held.idle_while_waiting)),
            ("idle threads, on average", f"{held.idle:.1f} of {seen.workers * seen.threads}"),
            ("messages in Redis, on average", f"{held.waiting:.2f}"),
            *_cost(seen, "broker dwell"),
            ("worker timeout", format_duration(seen.worker_timeout_ns)),
        ),
        knob=knob,
        experiment=f"perfkit {_versus(seen, change)}",
        weight=dwell,
    )


def ingest_bound(seen: Seen) -> Finding | None:
    """Most of the latency is spent before the job is in Redis."""
    shares = {each: _known(seen.share(each, "ingest", "blocked")) for each in ("p50", "p99")}
    if max(shares.values()) < _INGEST:
        return None
    more = max(1, seen.ingest_processes) * 2
    return _finding(
        seen,
        rule="ingest-bound",
        severity="medium",
        title="Most of the latency is spent before the job is in Redis",
        evidence=(
            *_cost(seen, "ingest"),
            *_cost(seen, "blocked"),
            ("ingest CPU used", format_percent(seen.utilisation("ingest CPU"), 0)),
        ),
        knob="stack.ingest_processes; stack.ingest_enqueue = inline spares a thread hop a request",
        experiment=f"perfkit {_versus(seen, f'stack.ingest_processes={more}')}",
        weight=max(shares.values()),
    )


def persistence(seen: Seen) -> Finding | None:
    """Redis stood still to write to disk, by its own latency monitor."""
    events = {
        name: (count, worst)
        for name, (count, worst) in seen.redis_events.items()
        if name.startswith(_PERSISTING) and worst >= _EVENT_NS
    }
    if not events:
        return None
    name, (_, worst) = max(events.items(), key=lambda each: each[1][1])
    return _finding(
        seen,
        rule="Redis persistence",
        severity="medium" if worst >= _LONG_EVENT_NS else "low",
        title=f"Redis stood still for up to {format_duration(worst)} to keep its data ({name})",
        evidence=(
            *(
                (each, f"{format_count(count)} times, the longest {format_duration(longest)}")
                for each, (count, longest) in sorted(events.items())
            ),
            *((f"setting {each}", value or "none") for each, value in seen.persistence.items()),
        ),
        knob="redis.profile: how much may be lost in a crash against how long it stands still",
        experiment=f"perfkit {_versus(seen, 'redis.profile=no-persistence')}",
        weight=worst / 1e9,
    )


def failing(seen: Seen) -> Finding | None:
    """Retries make the tail, or jobs end among the dead."""
    failures = seen.failures
    backoff = _known(seen.share("p99", "retry backoff"))
    dead = failures.dead / failures.accepted if failures.accepted else 0.0
    if not failures.failed or (backoff < _BACKOFF and dead < _DEAD):
        return None
    queue = failures.queue
    if seen.gateway_errors.get(queue):
        experiment = f"perfkit {_versus(seen, f'gateway.{queue}.errors=0')}"
    else:
        experiment = f"perfkit run {seen.subject}"
    worst = dead >= _DEAD
    return _finding(
        seen,
        rule="retries and dead letters",
        severity="high" if worst else "medium",
        title=f"{format_percent(dead)} of the jobs end among the dead"
        if worst
        else "Retries make the tail: most of P99 is the wait between attempts",
        evidence=(
            (
                "attempts that raised",
                f"{format_count(failures.failed)} of {format_count(failures.attempts)}",
            ),
            ("dead jobs", f"{format_count(failures.dead)} of {format_count(failures.accepted)}"),
            ("most often", f"{failures.error or 'an error without a name'} in {queue}"),
            *_cost(seen, "retry backoff"),
        ),
        knob="what raises it; then max_retries and min_backoff of the actor",
        experiment=experiment,
        weight=max(dead, backoff),
    )


def _finding(
    seen: Seen,
    *,
    rule: str,
    severity: Severity,
    title: str,
    evidence: tuple[tuple[str, str], ...],
    knob: str,
    experiment: str,
    weight: float,
) -> Finding:
    return Finding(
        rule=rule,
        severity=severity,
        title=title,
        evidence=evidence,
        knob=knob,
        experiment=experiment,
        weight=_known(weight),
        trials=(seen.trial,),
    )


def _versus(seen: Seen, change: str) -> str:
    """The trial as it was against itself with one thing changed."""
    scenario, _, rest = seen.subject.partition(" --set ")
    both = f" --set {rest}" if rest else ""
    return f"compare {scenario} {scenario}{both} --set-b {change}"


def _cost(seen: Seen, stage: str) -> tuple[tuple[str, str], ...]:
    """What a stage contributes to the percentiles that are known."""
    known = [each for each in ("p50", "p99") if math.isfinite(seen.of(each, stage))]
    return tuple((f"{stage} of {each.upper()}", _part(seen, each, stage)) for each in known)


def _part(seen: Seen, statistic: str, stage: str) -> str:
    share = format_percent(seen.share(statistic, stage), 0)
    return f"{format_duration(seen.of(statistic, stage))} ({share})"


def _known(value: float) -> float:
    return 0.0 if math.isnan(value) else value


def _always(_: Seen) -> str | None:
    return None


def _jobs(seen: Seen) -> str | None:
    return None if seen.jobs_recorded else "no jobs were recorded"


def _stages(seen: Seen) -> str | None:
    if not seen.jobs_recorded:
        return "no jobs were recorded"
    known = any(math.isfinite(seen.of(each, "service")) for each in ("mean", "p50", "p99"))
    return None if known else "the stages of no job are known"


def _holding(seen: Seen) -> str | None:
    if math.isnan(seen.held.idle):
        return "workers came and went, or no jobs were recorded"
    return _stages(seen)


def _redis(seen: Seen) -> str | None:
    return None if seen.jobs_recorded else "no Redis was watched"


def _resources(seen: Seen) -> str | None:
    if not seen.jobs_recorded:
        return "of the server's own resources nothing is known"
    known = any(not math.isnan(each.utilisation) for each in seen.bottleneck.resources)
    return None if known else "no resource was sampled"


RULES: Final = (
    Rule("generator limited", "send lag and CPU of the generator", generator_limited, _always),
    Rule("saturation", "growth of the backlog, drops, what was left", saturated, _jobs),
    Rule(
        "bottleneck", "use of each resource, and what waits before it", bottleneck_named, _resources
    ),
    Rule("prefetch hoarding", "jobs held by one worker while another is idle", hoarding, _holding),
    Rule(
        "threads idle while the queue waits",
        "idle threads while messages are in Redis",
        idle_while_waiting,
        _holding,
    ),
    Rule("ingest-bound", "share of latency before a job is in Redis", ingest_bound, _stages),
    Rule("Redis persistence", "pauses in Redis' latency monitor", persistence, _redis),
    Rule("retries and dead letters", "attempts that raised, dead jobs, backoff", failing, _jobs),
)
"""In the order in which they are asked."""
