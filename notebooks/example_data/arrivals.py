"""When the simulated requests come due, and what each asks for."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

from system import SECOND, System, uniform


def arrivals(system: System) -> Iterator[dict[str, Any]]:
    """Poisson arrivals, of a changing rate by thinning, as the first columns of a request's row."""
    at, seq, peak = float(system.start_ns), 0, system.peak
    for drawn in itertools.count():
        if not peak:
            return
        at += -math.log(uniform(system.seed, drawn, "gap")) / peak * SECOND
        if at >= system.load_end:
            return
        rate = system.rate_at(at)
        if rate < peak and uniform(system.seed, drawn, "kept") >= rate / peak:
            continue
        key = f"{system.seed}/{seq}"
        yield {
            "trial": system.trial,
            "seq": seq,
            "key": key,
            "queue": _queue(system, key),
            "job_id": f"{system.trial:08x}-0000-4000-8000-{seq:012x}",
            "user": None,
            "iteration": None,
            "intended_ns": round(at / 1000) * 1000,
        }
        seq += 1


def _queue(system: System, key: str) -> str:
    """By the weights of the services."""
    choice = uniform(key, "queue") * sum(service.weight for service in system.services.values())
    for queue, service in system.services.items():
        if choice < service.weight:
            return queue
        choice -= service.weight
    return list(system.services)[-1]
