"""What can't be broken on the stack that is to be started, said before anything is.

What a scenario alone tells (no such target, outside of the load) is refused where it is parsed
(`perfkit.scenario.breaking`). No fault needs root: what is broken is ours.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from perfkit.errors import Problem
from perfkit.scenario import Scenario
from perfkit.scenario.faults import LINKS

__all__ = ["links_of", "refusals"]

_PROCESS = ("kill", "stop", "restart")


def links_of(scenario: Scenario) -> tuple[str, ...]:
    """The links that faults break, so that a relay has to be there."""
    wanted = {fault.target for fault in scenario.fault if fault.action in ("cut", "slow")}
    return tuple(link for link in LINKS if link in wanted)


def refusals(
    scenario: Scenario, redis_url: str | None, *, allow_destructive: bool, limit_bytes: int | None
) -> Iterator[Problem]:
    """Problems of faults that the scenario alone does not tell.

    Args:
        scenario: what is asked.
        redis_url: the server that was named; None: one of our own is started.
        allow_destructive: whether it may be broken.
        limit_bytes: its memory limit, 0 for none; None: not known.
    """
    scheme = "" if redis_url is None else urlsplit(redis_url).scheme
    for index, fault in enumerate(scenario.fault):
        place = f"fault.{index}.target"
        if fault.action == "poison" and scenario.load.via != "http":
            mend = 'set load.via = "http", or kill a worker instead'
            yield Problem(place, "the poison is sent to the ingest, and none is started", mend)
        elif redis_url is None:
            continue
        elif fault.target == "redis" and fault.action in _PROCESS:
            yield Problem(
                place,
                f"{fault.action} needs the process of the server, which --redis does not give us",
                "leave out --redis: then a private server is started",
            )
        elif fault.target == "redis" and not allow_destructive:
            yield Problem(
                place,
                f"{fault.action} would hit everybody on the server that --redis names",
                "leave out --redis, or say --allow-destructive if it serves nobody else",
            )
        elif fault.action == "fill" and limit_bytes == 0:
            yield Problem(
                place,
                "the server that --redis names has no memory limit, so it can't be filled",
                "set its maxmemory, or leave out --redis and set redis.maxmemory",
            )
        elif fault.target.endswith("-redis") and scheme != "redis":
            yield Problem(
                place,
                f"only redis:// can be relayed, not {scheme}://",
                "name the server as redis://host:port/0, or leave out --redis",
            )
