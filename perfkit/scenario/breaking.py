"""Contradictions between faults and the rest of a scenario: what is to be broken must be there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from perfkit.errors import Problem
from perfkit.paths import profile_path
from perfkit.scenario.faults import ACTIONS, row_problems
from perfkit.scenario.presets import PRESETS
from perfkit.scenario.raw import duration_ns, rows, table, window_ns, window_start_ns
from perfkit.units import format_duration

__all__ = ["breaking", "has_limit"]

_LIMIT = re.compile(r"^maxmemory\s+(\S+)", re.MULTILINE)
_NUMBERED = re.compile(r"(?P<pool>.+)-(?P<number>[1-9]\d*)")
_OF_INGEST: Final = ("ingest", "ingest-redis")


def breaking(document: Mapping[str, Any], queues: list[str]) -> Iterator[Problem]:
    """Problems of the faults, each alone and beside the rest of the document."""
    begin_ns, length_ns = window_start_ns(document), window_ns(document)
    for index, row in enumerate(rows(document, "fault")):
        place = f"fault.{index}"
        for wrong in row_problems(row):
            yield Problem(f"{place}.{wrong.key}", wrong.what, wrong.mend)
        at_ns = duration_ns(row, "at")
        if (
            at_ns is not None
            and begin_ns is not None
            and length_ns is not None
            and not -begin_ns <= at_ns < length_ns
        ):
            span = f"from {format_duration(-begin_ns)} to before {format_duration(length_ns)}"
            what = f"{row['at']} is outside the load"
            yield Problem(f"{place}.at", what, f"use {span}, from the start of the window")
        action, target = ACTIONS.get(str(row.get("action"))), row.get("target")
        if action is not None and isinstance(target, str) and action.takes(target):
            for what, mend in _absent(document, queues, str(row["action"]), target):
                yield Problem(f"{place}.target", what, mend)


def has_limit(redis: Mapping[str, Any]) -> bool:
    """Whether a raw ``[redis]`` gives the server less memory than the host has."""
    if "maxmemory" in redis:
        return True
    try:
        text = profile_path(str(redis.get("profile", "stock"))).read_text(encoding="utf-8")
    except OSError:
        return True  # no such profile: that is said elsewhere
    found = _LIMIT.search(text)
    return found is not None and found[1] != "0"


def _absent(
    document: Mapping[str, Any], queues: list[str], action: str, target: str
) -> Iterator[tuple[str, str]]:
    """What of a target is not there, and the mend."""
    head, _, name = target.partition(":")
    foreign = "system" in document
    if head in _OF_INGEST and (foreign or table(document, "load").get("via") == "enqueue"):
        yield "no ingest is started where load goes straight into the queues", "name another target"
    if head in ("gateway", "worker-gateway") and foreign:
        yield "the simulated gateway belongs to the sample", "name another target"
    if action == "poison" and foreign:
        mend = "kill a worker instead"
        yield "only the sample's actors know a job that kills its worker", mend
    if head in ("gateway", "queue") and name and name not in queues:
        yield f"no job goes to {name!r}", f"known are {', '.join(queues)}"
    redis = table(document, "redis")
    if (head == "redis" or head.endswith("-redis")) and redis.get("per_queue") is True:
        yield "with redis.per_queue there are several servers", "set redis.per_queue = false"
    if action == "fill" and not has_limit(redis):
        mend = 'set redis.maxmemory = "32MB", or redis.profile = "lru-4gb"'
        yield "a server without a memory limit can't be filled", mend
    yield from _absent_worker(table(document, "stack"), head, name)


def _absent_worker(stack: Mapping[str, Any], head: str, name: str) -> Iterator[tuple[str, str]]:
    stock = stack.get("supervisor") == "dramatiq"
    if head == "supervisor" and not stock:
        mend = 'use stack.supervisor = "dramatiq", or kill the workers'
        yield "there is no master: each worker is a process of its own", mend
    if head != "worker" or not name:
        return
    if stock:
        yield "workers of the stock dramatiq command have no names of ours", 'use "worker"'
        return
    pools = {str(pool.get("name")): pool.get("workers", 1) for pool in rows(stack, "pool")}
    if not pools:
        preset = PRESETS.get(str(stack.get("preset", "stock")), PRESETS["stock"])
        pools = {"worker": stack.get("workers", preset.workers)}
    known = ", ".join(
        f"{pool}-1 to {pool}-{count}" if count != 1 else f"{pool}-1"
        for pool, count in pools.items()
    )
    found = _NUMBERED.fullmatch(name)
    # More may come while it runs; then the fault itself tells that there was none.
    if found is None or found["pool"] not in pools:
        yield f"no worker is named {name!r}", f"workers are {known}"
