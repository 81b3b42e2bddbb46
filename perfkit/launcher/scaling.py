"""What ``perfkit stack scale`` and a stack say to each other.

Request: ``{"scale": [{"pool": NAME or null, "workers": N}, …], "reason": TEXT}``. Answers, ten in a
second: ``{"ready": {POOL: N}, "stopping": {POOL: N}, "events": [ScaleEvent, …], "over": BOOL}``.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from perfkit.errors import UsageError
from perfkit.launcher.change import ScaleEvent
from perfkit.launcher.channel import asked
from perfkit.launcher.crew import Crew
from perfkit.launcher.lease import Lease

__all__ = ["Standing", "answers", "scale"]

_EVERY_S = 0.1


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a stack stands while it is scaled: workers by pool, and the events."""

    ready: Mapping[str, int]
    stopping: Mapping[str, int]
    events: tuple[ScaleEvent, ...]
    over: bool


def answers(crew: Crew, request: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The stack's side: all of the wishes, or none of them where one is refused."""
    wishes = [(each["pool"], each["workers"]) for each in request["scale"]]
    if not all(type(workers) is int for _, workers in wishes):
        raise UsageError("a number of workers is a whole number")
    for pool, workers in wishes:
        crew.refuse(pool, workers)
    asked_for = [crew.scale(pool, workers, str(request["reason"])) for pool, workers in wishes]
    instants = {event.at_ns for event in asked_for}
    while True:
        over = not any(crew.is_open(event) for event in asked_for)
        events = [event for event in crew.events() if event.at_ns in instants]
        yield {
            "ready": crew.ready(),
            "stopping": crew.stopping(),
            "events": [dataclasses.asdict(event) for event in events],
            "over": over,
        }
        if over:
            return
        time.sleep(_EVERY_S)


def scale(
    lease: Lease, wishes: Mapping[str | None, int], reason: str = "stack scale"
) -> Iterator[Standing]:
    """Ask a stack that is up for other numbers of workers (by pool; None: the shared one).

    Yields where it stands, until all levels are reached or given up; raises as `channel.asked`.
    """
    pairs = [{"pool": pool, "workers": workers} for pool, workers in wishes.items()]
    for answer in asked(lease, {"scale": pairs, "reason": reason}):
        yield Standing(
            ready=answer["ready"],
            stopping=answer["stopping"],
            events=tuple(ScaleEvent(**event) for event in answer["events"]),
            over=answer["over"],
        )
