"""What each key can't see alone: keys that contradict each other.

Read from the raw document, so that these problems join the list of the others even where a part of
the document has the wrong shape; such a part is skipped here, since the types report it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from perfkit.errors import Problem
from perfkit.paths import profiles
from perfkit.units import parse_duration_ns

__all__ = ["contradictions"]


def contradictions(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Problems between keys of a scenario document."""
    yield from _load(_table(document, "load"))
    yield from _profile(_table(document, "redis"))
    queues = [str(job["queue"]) for job in _rows(document, "job") if "queue" in job]
    yield from _queues(document, queues)
    yield from _stack(_table(document, "stack"), queues)


def _table(document: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = document.get(key)
    return value if isinstance(value, dict) else {}


def _rows(document: Mapping[str, Any], key: str) -> list[Mapping[str, Any]]:
    value = document.get(key)
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _repeated(names: list[str]) -> list[str]:
    return sorted({name for name in names if names.count(name) > 1})


def _load(load: Mapping[str, Any]) -> Iterator[Problem]:
    model = load.get("model")
    if model == "open":
        if "rate" not in load:
            yield Problem("load.rate", "missing", "an open model needs jobs per second")
        for key in ("users", "think", "pacing"):
            if key in load:
                mend = 'use model = "closed", or a scenario that is'
                yield Problem(f"load.{key}", "has no meaning in an open model", mend)
    elif model == "closed":
        if "users" not in load:
            yield Problem("load.users", "missing", "a closed model needs the number of users")
        for key in ("rate", "arrivals"):
            if key in load:
                mend = 'use model = "open", or a scenario that is'
                yield Problem(f"load.{key}", "has no meaning in a closed model", mend)
        yield from _think(_table(load, "think"))
        users, most = load.get("users"), load.get("max_in_flight", 10_000)
        if isinstance(users, int) and isinstance(most, int) and users > most:
            # A user without think time would be dropped again and again in one instant.
            mend = f"set max_in_flight to {users} or more, or lower users"
            yield Problem("load.max_in_flight", f"{most} is less than {users} users", mend)


def _think(think: Mapping[str, Any]) -> Iterator[Problem]:
    try:
        low, high = (
            parse_duration_ns(think.get(key, default))
            for key, default in (("low", "1s"), ("high", "3s"))  # as in `Think`
        )
    except (ValueError, AttributeError):
        return
    if think.get("dist", "uniform") == "uniform" and low > high:
        yield Problem("load.think", "low is above high", "swap them")


def _profile(redis: Mapping[str, Any]) -> Iterator[Problem]:
    name = redis.get("profile", "stock")
    if isinstance(name, str) and name not in profiles():
        known = ", ".join(profiles())
        yield Problem("redis.profile", f"there is no profile {name!r}", f"known are {known}")


def _queues(document: Mapping[str, Any], queues: list[str]) -> Iterator[Problem]:
    for repeated in _repeated(queues):
        yield Problem("job", f"queue {repeated!r} is named twice", "add the weights")
    gateway = _table(document, "gateway")
    for name in dict.fromkeys(queues):
        if name not in gateway:
            mend = f'add [gateway.{name}] with median = "40ms"'
            yield Problem(f"gateway.{name}", "missing: how long does the outside world take", mend)
    for name in gateway:
        if name not in queues:
            mend = "add a [[job]] for it, or remove it"
            yield Problem(f"gateway.{name}", "no job goes to this queue", mend)
    for index, threshold in enumerate(_rows(document, "threshold")):
        queue = threshold.get("queue")
        if isinstance(queue, str) and queue not in queues:
            mend = f"known are {', '.join(queues)}"
            yield Problem(f"threshold.{index}.queue", f"no job goes to {queue!r}", mend)


def _stack(stack: Mapping[str, Any], queues: list[str]) -> Iterator[Problem]:
    if stack.get("supervisor") == "dramatiq":
        for key in ("heartbeat_timeout", "maintenance_chance"):
            if key in stack:
                mend = 'leave it out, or use supervisor = "perfkit"'
                yield Problem(f"stack.{key}", "the stock dramatiq command can't set it", mend)
    pools = _rows(stack, "pool")
    if not pools:
        return
    if "workers" in stack:
        mend = "set workers in each pool"
        yield Problem("stack.workers", "there is no shared pool beside [[stack.pool]]", mend)
    for repeated in _repeated([str(pool.get("name")) for pool in pools]):
        mend = "names tell workers apart"
        yield Problem("stack.pool", f"two pools are named {repeated!r}", mend)
    lists = [pool.get("queues") for pool in pools]
    served = {queue for each in lists if isinstance(each, list) for queue in map(str, each)}
    for queue in dict.fromkeys(queues):
        if queue not in served:
            yield Problem(f"stack.pool.{queue}", "no pool serves this queue; its jobs never run")
