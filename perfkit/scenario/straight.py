"""Contradictions of what is measured and how jobs get into it: ``[system]`` and ``load.via``."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from perfkit.errors import Problem
from perfkit.scenario.raw import repeated, rows, table
from perfkit.scenario.targeting import is_http_system

__all__ = ["straight"]

_OF_HTTP: Final = {
    "connections": "the application's own client decides",
    "max_in_flight": "one job is enqueued at a time",
    "timeout": "the application's own client decides",
    "shards": "one process enqueues, one job at a time",
}
_OF_ENQUEUE: Final = ("actor", "args", "kwargs")
_OF_SAMPLE: Final = (
    "gateway_timeout",
    "breaker",
    "breaker_failures",
    "breaker_reset",
    "ingest_processes",
    "ingest_enqueue",
)


def straight(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Problems between the system, the way of its jobs, and the jobs."""
    load = table(document, "load")
    enqueued = load.get("via") == "enqueue"
    yield from _system(document, enqueued)
    # Of an application there is one thing wrong, its way, and not each of its jobs.
    of_queues = enqueued or ("system" in document and not is_http_system(document))
    yield from _jobs(rows(document, "job"), of_queues)
    yield from _thresholds(document, enqueued)
    if not enqueued:
        return
    if load.get("model") == "closed" and "pacing" not in load:
        what = "a user can't wait for a reply: a job that is enqueued gives none"
        mend = 'set load.pacing = "2s", so that the instants are fixed, or use model = "open"'
        yield Problem("load.pacing", what, mend)
    for key, why in _OF_HTTP.items():
        if key in load:
            mend = f'leave it out, or use via = "http"; {why}'
            yield Problem(f"load.{key}", 'has no meaning with via = "enqueue"', mend)
    if table(document, "redis").get("per_queue") is True:
        what = 'via = "enqueue" sends through one broker, hence to one server'
        yield Problem("redis.per_queue", what, "set redis.per_queue = false")


def _system(document: Mapping[str, Any], enqueued: bool) -> Iterator[Problem]:
    if "system" not in document:
        return
    if not enqueued and not is_http_system(document):
        mend = 'set load.via = "enqueue", or say with [target] where it takes requests'
        yield Problem("load.via", "an application of yours is loaded through its queues", mend)
    for queue in table(document, "gateway"):
        mend = "remove it: your application calls whom it likes"
        yield Problem(f"gateway.{queue}", "the simulated gateway belongs to the sample", mend)
    stack = table(document, "stack")
    for key in _OF_SAMPLE:
        if key in stack:
            mend = "leave it out"
            yield Problem(f"stack.{key}", "belongs to the sample, not to your application", mend)


def _thresholds(document: Mapping[str, Any], enqueued: bool) -> Iterator[Problem]:
    for index, threshold in enumerate(rows(document, "threshold")):
        metric, place = threshold.get("metric"), f"threshold.{index}.metric"
        if metric == "added" and "system" in document:
            mend = "use latency, queue_wait or service"
            yield Problem(place, "only the sample's gateway tells its share of the latency", mend)
        if metric == "ingest.cpu" and enqueued:
            mend = "use generator.cpu, or leave it out"
            yield Problem(place, "no ingest is started where jobs are enqueued", mend)


def _jobs(jobs: list[Mapping[str, Any]], enqueued: bool) -> Iterator[Problem]:
    for index, job in enumerate(jobs):
        if enqueued and "actor" not in job:
            mend = "name the actor that does the job"
            yield Problem(f"job.{index}.actor", 'missing: via = "enqueue" needs it', mend)
        for key in _OF_ENQUEUE:
            if key in job and not enqueued:
                mend = 'set load.via = "enqueue", or leave it out'
                yield Problem(f"job.{index}.{key}", 'has no meaning with via = "http"', mend)
    if enqueued:
        pairs = [f"{job.get('queue')} {job.get('actor')}" for job in jobs]
        for pair in repeated(pairs):
            queue, _, actor = pair.partition(" ")
            what = f"actor {actor!r} on queue {queue!r} is named twice"
            yield Problem("job", what, "add the weights")
