"""A stream of snapshots as the views see it, whoever makes them."""

from __future__ import annotations

import secrets
import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from perfkit.monitor.history import History, values_of
from perfkit.monitor.snapshot import Snapshot

__all__ = ["Feed", "ManualFeed", "Recording"]

_RECENT: Final = 120  # snapshots that a client which was away for a moment is given


class Recording(Protocol):
    """A run that can be shown again from any moment."""

    @property
    def length_s(self) -> float:
        """From its beginning to its end."""
        ...

    def at(self, position_s: float, *, speed: float = 1.0, playing: bool = False) -> Snapshot:
        """The moment so long after the beginning."""
        ...

    def before(self, position_s: float, points: int = 600) -> dict[str, Any]:
        """The history up to a moment, as `History.columns`."""
        ...


class Feed(Protocol):
    """Where views get their snapshots; any thread may ask."""

    @property
    def epoch(self) -> str:
        """What tells this stream from one before it: numbers begin anew with each."""
        ...

    @property
    def snapshot(self) -> Snapshot | None:
        """The last one, None before the first."""
        ...

    @property
    def recording(self) -> Recording | None:
        """Where the stream is a run that is shown again."""
        ...

    @property
    def silent_s(self) -> float | None:
        """How long nothing has come from a feed that should tell something each second."""
        ...

    def after(self, seq: int) -> list[Snapshot] | None:
        """Those that came after that one; None where some are forgotten."""
        ...

    def history(self, span_s: float, points: int) -> dict[str, Any]:
        """As `History.columns`."""
        ...

    def job(self, job_id: str) -> Mapping[str, Any] | None:
        """The timeline of a job, None where it is not known."""
        ...

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """Call ``heard`` after each new snapshot, in whatever thread made it.

        Returns: a function that ends it.
        """
        ...


class ManualFeed:
    """A feed that is given its snapshots: for tests, and the base of those that make them."""

    def __init__(self, jobs: Mapping[str, Mapping[str, Any]] | None = None) -> None:
        self.epoch = secrets.token_hex(4)
        self._jobs = jobs or {}
        self._lock = threading.Lock()
        self._recent: deque[Snapshot] = deque(maxlen=_RECENT)
        self._history = History()
        self._listeners: set[Callable[[], None]] = set()

    @property
    def snapshot(self) -> Snapshot | None:
        """The last one."""
        return self._recent[-1] if self._recent else None

    @property
    def recording(self) -> Recording | None:
        """None: it goes on."""
        return None

    @property
    def silent_s(self) -> float | None:
        """None: nobody knows when the next one comes."""
        return None

    def push(self, snapshot: Snapshot) -> None:
        """Publish one; ``seq`` must grow."""
        with self._lock:
            self._recent.append(snapshot)
            self._history.add(snapshot.at_s, values_of(snapshot))
            listeners = list(self._listeners)
        for heard in listeners:
            heard()

    def after(self, seq: int) -> list[Snapshot] | None:
        """Those after that one; None where some are forgotten, or where it is of the future."""
        with self._lock:
            known = list(self._recent)
        if not known or seq < known[0].seq - 1 or seq > known[-1].seq:
            return None
        return [each for each in known if each.seq > seq]

    def history(self, span_s: float, points: int) -> dict[str, Any]:
        """What was seen so far."""
        with self._lock:
            return self._history.columns(span_s, points)

    def job(self, job_id: str) -> Mapping[str, Any] | None:
        """A job that was given."""
        return self._jobs.get(job_id)

    def listen(self, heard: Callable[[], None]) -> Callable[[], None]:
        """Call it after each new snapshot."""
        with self._lock:
            self._listeners.add(heard)

        def leave() -> None:
            with self._lock:
                self._listeners.discard(heard)

        return leave
