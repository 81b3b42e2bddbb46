"""What each key can't see alone: keys that contradict each other.

Read from the raw document, so that these problems join the list of the others even where a part of
the document has the wrong shape; such a part is skipped here, since the types report it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

from perfkit.errors import Problem
from perfkit.paths import profiles
from perfkit.scenario.breaking import breaking, has_limit
from perfkit.scenario.courses import courses, phased
from perfkit.scenario.elsewhere import elsewhere, is_elsewhere
from perfkit.scenario.raw import duration_ns, phase_names, repeated, rows, table
from perfkit.scenario.replaying import replaying
from perfkit.scenario.shapes import LEVELS, has_steady_part
from perfkit.scenario.straight import straight
from perfkit.scenario.targeting import targeting

__all__ = ["contradictions"]

_LONG_TAILED: Final = ("exponential", "lognormal")


def contradictions(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Problems between keys of a scenario document."""
    yield from _load(table(document, "load"))
    yield from replaying(document)
    yield from _shards(table(document, "load"))
    queues = [str(job["queue"]) for job in rows(document, "job") if "queue" in job]
    yield from targeting(document)
    if is_elsewhere(document):
        yield from phased(document)
        yield from elsewhere(document)
        yield from _parts(document)
        return
    if not document.get("job"):
        yield Problem("job", "missing", 'add [[job]] with queue = "payments"')
    yield from _redis(document, queues)
    yield from _queues(document, queues)
    yield from _stack(table(document, "stack"), queues)
    yield from courses(document)
    yield from straight(document)
    yield from breaking(document, list(dict.fromkeys(queues)))
    yield from _thresholds(document, queues)
    yield from _parts(document)


def _load(load: Mapping[str, Any]) -> Iterator[Problem]:
    model = load.get("model")
    phased = "phase" in load
    if model == "open":
        if "rate" not in load and not phased and load.get("arrivals") != "trace":
            yield Problem("load.rate", "missing", "an open model needs jobs per second")
        for key in ("users", "think", "pacing"):
            if key in load:
                mend = 'use model = "closed", or a scenario that is'
                yield Problem(f"load.{key}", "has no meaning in an open model", mend)
    elif model == "closed":
        if "abort_below" in load:
            mend = 'use model = "open": users who wait for replies have no rate to miss'
            yield Problem("load.abort_below", "has no meaning in a closed model", mend)
        if "users" not in load and not phased:
            yield Problem("load.users", "missing", "a closed model needs the number of users")
        for key in ("rate", "arrivals", "exact", "trace", "speed"):
            if key in load:
                mend = 'use model = "open", or a scenario that is'
                yield Problem(f"load.{key}", "has no meaning in a closed model", mend)
        yield from _think(table(load, "think"))
        asked = [load, *rows(load, "phase")]
        levels = [each.get(key) for each in asked for key in LEVELS if key != "rate"]
        numbers = (each for each in levels if isinstance(each, int | float))
        users = max(map(math.ceil, filter(math.isfinite, numbers)), default=0)
        most = load.get("max_in_flight", 10_000)
        if isinstance(most, int) and users > most:
            # A user without think time would be dropped again and again in one instant.
            mend = f"set max_in_flight to {users} or more, or lower users"
            yield Problem("load.max_in_flight", f"{most} is less than {users} users", mend)


def _shards(load: Mapping[str, Any]) -> Iterator[Problem]:
    """Each process needs its share of whatever is divided among them."""
    shards = load.get("shards", "auto")
    if isinstance(shards, bool) or not isinstance(shards, int):
        return
    for key in ("users", "connections", "max_in_flight"):
        most = load.get(key)
        if isinstance(most, int) and 0 < most < shards:
            mend = f"set shards to {most} or fewer"
            yield Problem("load.shards", f"{shards} shards can't divide {key} = {most}", mend)


def _think(think: Mapping[str, Any]) -> Iterator[Problem]:
    dist = think.get("dist", "uniform")
    needs = {"exponential": ("mean",), "lognormal": ("median",)}.get(str(dist), ())
    known = {
        "uniform": ("low", "high"),
        # ``high`` never did anything here, and is not refused: files have it.
        "constant": ("low", "high"),
        "lognormal": ("median", "sigma"),
    }.get(str(dist), needs)
    for key in needs:
        if key not in think:
            yield Problem(f"load.think.{key}", f'missing: dist = "{dist}" needs it')
    if dist in ("uniform", "constant", *_LONG_TAILED):
        for key in ("low", "high", "mean", "median", "sigma"):
            if key in think and key not in known:
                mend = f"it takes {' and '.join(known)}"
                yield Problem(f"load.think.{key}", f'has no meaning with dist = "{dist}"', mend)
    low_ns = duration_ns(think, "low", 1_000_000_000)  # as in `Think`
    high_ns = duration_ns(think, "high", 3_000_000_000)
    if low_ns is None or high_ns is None:
        return
    if think.get("dist", "uniform") == "uniform" and low_ns > high_ns:
        yield Problem("load.think", "low is above high", "swap them")


def _redis(document: Mapping[str, Any], queues: list[str]) -> Iterator[Problem]:
    redis = table(document, "redis")
    name = redis.get("profile", "stock")
    if isinstance(name, str) and name not in profiles():
        known = ", ".join(profiles())
        yield Problem("redis.profile", f"there is no profile {name!r}", f"known are {known}")
    if "policy" in redis and not has_limit(redis):
        mend = 'set redis.maxmemory, such as "32MB"'
        yield Problem("redis.policy", "has no effect without a memory limit", mend)
    if redis.get("per_queue") is not True:
        return
    # A worker has one broker, hence one server.
    pools = rows(table(document, "stack"), "pool")
    if not pools:
        mend = f"add a [[stack.pool]] for each of {', '.join(queues)}"
        yield Problem("redis.per_queue", "needs a pool for each queue; there is none", mend)
    for index, pool in enumerate(pools):
        served = pool.get("queues")
        if isinstance(served, list) and len(served) != 1:
            mend = "give each queue a pool of its own"
            what = f"with redis.per_queue a pool has one queue, not {len(served)}"
            yield Problem(f"stack.pool.{index}.queues", what, mend)


def _queues(document: Mapping[str, Any], queues: list[str]) -> Iterator[Problem]:
    if table(document, "load").get("via") != "enqueue":  # there, two actors may share a queue
        for name in repeated(queues):
            yield Problem("job", f"queue {name!r} is named twice", "add the weights")
    if "system" in document:
        return
    gateway = table(document, "gateway")
    for name in dict.fromkeys(queues):
        if name not in gateway:
            mend = f'add [gateway.{name}] with median = "40ms"'
            yield Problem(f"gateway.{name}", "missing: how long does the outside world take", mend)
    for name in gateway:
        if name not in queues:
            mend = "add a [[job]] for it, or remove it"
            yield Problem(f"gateway.{name}", "no job goes to this queue", mend)


def _thresholds(document: Mapping[str, Any], queues: list[str]) -> Iterator[Problem]:
    per_queue = table(document, "redis").get("per_queue") is True
    for index, threshold in enumerate(rows(document, "threshold")):
        queue = threshold.get("queue")
        if isinstance(queue, str) and queue not in queues:
            mend = f"known are {', '.join(queues)}"
            yield Problem(f"threshold.{index}.queue", f"no job goes to {queue!r}", mend)
        elif (
            queue is not None
            and not per_queue
            and str(threshold.get("metric")).startswith("redis.")
        ):
            mend = "leave out queue, or set redis.per_queue = true"
            yield Problem(f"threshold.{index}.queue", "one server serves all queues", mend)


def _parts(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Thresholds over a part of the window that there is not."""
    parts = ["window", "steady", *phase_names(document)]
    for index, threshold in enumerate(rows(document, "threshold")):
        over = threshold.get("over", "window")
        if isinstance(over, str) and over not in parts:
            mend = f"known are {', '.join(parts)}"
            yield Problem(f"threshold.{index}.over", f"there is no phase {over!r}", mend)
        elif over == "steady" and not has_steady_part(table(document, "load")):
            mend = 'use over = "window" or a phase\'s name, or add a phase that stays at one level'
            yield Problem(f"threshold.{index}.over", "no part of this load is steady", mend)


def _stack(stack: Mapping[str, Any], queues: list[str]) -> Iterator[Problem]:
    if stack.get("supervisor") == "dramatiq":
        for key in ("heartbeat_timeout", "maintenance_chance"):
            if key in stack:
                mend = 'leave it out, or use supervisor = "perfkit"'
                yield Problem(f"stack.{key}", "the stock dramatiq command can't set it", mend)
    pools = rows(stack, "pool")
    if not pools:
        return
    if "workers" in stack:
        mend = "set workers in each pool, such as stack.pool.0.workers"
        yield Problem("stack.workers", "there is no shared pool beside [[stack.pool]]", mend)
    for name in repeated([str(pool.get("name")) for pool in pools]):
        mend = "names tell workers apart"
        yield Problem("stack.pool", f"two pools are named {name!r}", mend)
    lists = [pool.get("queues") for pool in pools]
    served = {queue for each in lists if isinstance(each, list) for queue in map(str, each)}
    for queue in dict.fromkeys(queues):
        if queue not in served:
            yield Problem(f"stack.pool.{queue}", "no pool serves this queue; its jobs never run")
