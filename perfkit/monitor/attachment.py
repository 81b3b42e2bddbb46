"""What is watched: servers, queues, spools, processes and targets, as they are at one moment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from perfkit.scenario import Threshold

__all__ = ["DEFAULT_HEARTBEAT_NS", "Attached", "Attachment", "Finder"]

DEFAULT_HEARTBEAT_NS: Final = 60_000_000_000
"""Dramatiq's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attachment:
    """Where to look. Two that are equal are looked at by the same connections.

    ``servers`` maps a queue to the URL of its server, "" to that of all queues.
    """

    servers: Mapping[str, str]
    queues: tuple[str, ...] | None = None  # None: searched among the keys
    namespace: str = "dramatiq"
    heartbeat_timeout_ns: int = DEFAULT_HEARTBEAT_NS
    spool: Path | None = None
    trial: Path | None = None  # the working folder of a trial that runs
    thresholds: tuple[Threshold, ...] = ()
    subject: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Attached:
    """What a finder has found now."""

    attachment: Attachment | None  # None: there is nothing to look at yet, or any more
    waiting: str = ""  # what for
    trouble: str = ""  # why nothing can be looked at, where that is somebody's mistake
    children: Mapping[str, int] = field(default_factory=dict)  # processes by name
    ended: bool = False  # there never will be any more


class Finder(Protocol):
    """Asked once a tick, in the thread that looks."""

    def __call__(self) -> Attached: ...
