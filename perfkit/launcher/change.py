"""One change of the number of workers: what is told of it, and its book-keeping while it lasts."""

from __future__ import annotations

import dataclasses
import signal
import time
from collections.abc import Iterable
from dataclasses import dataclass

from perfkit.launcher.child import Child, describe_status

__all__ = ["Change", "ScaleEvent", "WorkerLife"]


@dataclass(frozen=True, slots=True)
class ScaleEvent:
    """One wish for another number of workers, and what has become of it so far.

    Instants are monotonic. ``from_workers`` were alive or on their way when it came. ``done_ns``:
    when the level was reached; None while that goes on, and for ever where ``error`` says that it
    was overtaken or failed. An ``error`` beside ``done_ns`` tells how it was reached: a worker had
    to be killed, or did not stop in order.
    """

    at_ns: int
    pool: str
    from_workers: int
    to_workers: int
    reason: str
    done_ns: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class WorkerLife:
    """Instants of one worker process, monotonic; None: not so far.

    Of a worker of the stock command line ``started_ns`` is the start of its master, and
    ``ended_ns`` the end of its master unless it died before. ``status`` as in `Death`.
    """

    name: str
    pool: str
    started_ns: int
    ready_ns: int | None
    stop_ns: int | None  # told to stop
    ended_ns: int | None
    status: int | None


class Change:
    """An event, the workers it still has to start, and those it told to stop. Not thread-safe."""

    def __init__(self, event: ScaleEvent, missing: int, leaving: Iterable[Child]) -> None:
        self.event = event
        self.missing = missing
        self.leaving = list(leaving)
        self.open = True
        self._gone_ns = event.at_ns
        self._killed: set[str] = set()

    def remark(self, text: str) -> None:
        """Add to the event's error."""
        error = f"{self.event.error}; {text}" if self.event.error else text
        self.event = dataclasses.replace(self.event, error=error)

    def reached(self, workers: Iterable[Child]) -> None:
        """These are all there should be, and they are ready."""
        self.open = False
        ready_ns = max((child.ready_ns or 0 for child in workers), default=0)
        self.event = dataclasses.replace(self.event, done_ns=max(ready_ns, self._gone_ns))

    def give_up(self, why: str) -> None:
        """It will not be reached; those that were told to stop are stopping nevertheless."""
        self.open = False
        self.missing = 0
        self.remark(why)

    def see_off(self, grace_s: float) -> bool:
        """Kill those whose grace is over, and let go those that have ended; whether any has."""
        gone = [child for child in self.leaving if child.over]
        for child in gone:
            self.leaving.remove(child)
            self._gone_ns = max(self._gone_ns, child.ended_ns or 0)
            if (disorder := self._disorder(child, grace_s)) is not None:
                self.remark(disorder)
        for child in self.leaving:
            told_ns = child.stop_ns or self.event.at_ns
            if time.monotonic_ns() - told_ns > grace_s * 1e9:
                self._killed.add(child.spec.name)
                child.kill()
        return bool(gone)

    def _disorder(self, child: Child, grace_s: float) -> str | None:
        name, status = child.spec.name, child.poll() or 0
        if name in self._killed and status == -signal.SIGKILL:
            return (
                f"{name} did not end within {grace_s:g} s and was killed: "
                "its jobs wait for the heartbeat timeout"
            )
        if status == 0 or (status == -signal.SIGTERM and child.ready_ns is None):
            return None
        return f"{name} {describe_status(status)} when it was told to stop"
