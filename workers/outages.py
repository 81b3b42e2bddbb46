"""Outages of the simulated gateway: when a queue's endpoint fails, and how.

    [from_ns, until_ns]             every call received in between is refused with 503, at once
    [from_ns, until_ns, "hang"]     no answer until the outage ends, and then 503; or never, to a
                                    client that gives up before

Instants are nanoseconds of CLOCK_MONOTONIC on this host. A call belongs to an outage by the instant
at which it was received, so one that was on its way already is answered as if nothing happened.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

__all__ = ["Mode", "Outage", "OutagesError", "document", "parse", "parse_all"]

Mode = Literal["refuse", "hang"]
MODES: Final = ("refuse", "hang")
MOST: Final = 1000


class OutagesError(ValueError):
    """Outages that can't be used, with everything that is wrong with them."""


@dataclass(frozen=True, slots=True)
class Outage:
    """One outage of one queue's endpoint, ``from_ns`` included and ``until_ns`` not."""

    from_ns: int
    until_ns: int
    mode: Mode = "refuse"

    def covers(self, instant_ns: int) -> bool:
        """Whether a call received at this instant meets the outage."""
        return self.from_ns <= instant_ns < self.until_ns


def parse(queue: str, given: object) -> tuple[Outage, ...]:
    """The outages of one queue, from JSON's types.

    Raises:
        OutagesError: listing every problem.
    """
    if not isinstance(given, list) or len(given) > MOST:
        raise OutagesError(f"outages of {queue} must be a list of at most {MOST}")
    problems = [
        f"outage {number} of {queue} must be [from_ns, until_ns] or [from_ns, until_ns, mode]: "
        f"two whole numbers, the first below the second, and a mode of {' or '.join(MODES)}"
        for number, each in enumerate(given, 1)
        if not _is_outage(each)
    ]
    if problems:
        raise OutagesError("; ".join(problems))
    return tuple(Outage(each[0], each[1], cast(Mode, (*each, "refuse")[2])) for each in given)


def parse_all(given: object, queues: Mapping[str, object]) -> dict[str, tuple[Outage, ...]]:
    """Outages by queue.

    Raises:
        OutagesError: listing every problem; one is a queue that there is not.
    """
    if not isinstance(given, dict):
        raise OutagesError('send an object such as {"payments": [[from_ns, until_ns, "hang"]]}')
    problems: list[str] = []
    read: dict[str, tuple[Outage, ...]] = {}
    for queue, listed in given.items():
        if queue not in queues:
            problems.append(f"no queue {queue!r}; there is {', '.join(queues)}")
            continue
        try:
            read[queue] = parse(queue, listed)
        except OutagesError as error:
            problems.append(str(error))
    if problems:
        raise OutagesError("; ".join(problems))
    return read


def document(outages: Mapping[str, tuple[Outage, ...]]) -> dict[str, list[list[int | str]]]:
    """As JSON's types: the inverse of `parse_all`, without queues that have none."""
    return {
        queue: [[each.from_ns, each.until_ns, each.mode] for each in listed]
        for queue, listed in outages.items()
        if listed
    }


def _is_outage(given: object) -> bool:
    if not isinstance(given, list) or len(given) not in (2, 3):
        return False
    begin, end, mode = (*given, "refuse")[:3]
    return type(begin) is int and type(end) is int and 0 <= begin < end and mode in MODES
