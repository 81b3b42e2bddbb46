"""A system under test that is not ours: it runs elsewhere, and its URL is all we know of it.

Stands where a `Stack` stands. Nothing is started but the keeper, by which other perfkits on this
machine know that something is measured here, and nothing is looked into: there is no Redis, no
worker and no job, only requests.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, NoReturn

from perfkit.errors import ResultsNotWritable, UsageError
from perfkit.launcher import interrupts
from perfkit.launcher.change import ScaleEvent, WorkerLife
from perfkit.launcher.guard import Guard
from perfkit.launcher.stack import Death, Process, Stack

__all__ = ["Elsewhere", "System"]


class Elsewhere:
    """Context manager, as `Stack`.

    Args:
        origin: scheme, host and port of the target.
        directory: a trial's folder; gets ``logs/``.
        cpus: those that are not the instrument's, noted.

    Raises (on entering):
        ResultsNotWritable: the folder can't be written.
    """

    ingest_url: str | None = None
    gateway_url: str | None = None

    def __init__(self, origin: str, directory: Path, cpus: tuple[int, ...] | None) -> None:
        self.origin = origin
        self._logs = directory / "logs"
        self._cpus = cpus
        self._exits = contextlib.ExitStack()

    def __enter__(self) -> Elsewhere:
        try:
            self._logs.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            mend = "choose another folder with --results DIR or PERFKIT_RESULTS"
            raise ResultsNotWritable(f"{self._logs}: {error.strerror}", mend) from None
        self._exits.enter_context(interrupts.terminable())
        self._guard = Guard()
        self._exits.callback(self._guard.close)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with interrupts.deferred():
            self._exits.close()

    @property
    def keeper_pid(self) -> int:
        """The process that tells others of us."""
        return self._guard.pid

    @property
    def processes(self) -> Mapping[str, Process]:
        """None: what runs there is not ours to see."""
        return {}

    @property
    def redis_servers(self) -> Mapping[str, str]:
        """None."""
        return {}

    def check(self) -> None:
        """Whether a trial can go on: it can, and what the target does is counted."""
        self._guard.renew()

    def deaths(self) -> list[Death]:
        """None that we know of."""
        return []

    def scale(self, pool: str | None, workers: int, reason: str) -> NoReturn:
        """There is nobody.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{self.origin} has no workers of ours", "name its broker in [system]")

    def scale_events(self) -> list[ScaleEvent]:
        """None."""
        return []

    def worker_lives(self) -> list[WorkerLife]:
        """None."""
        return []

    def workers_now(self, pool: str | None = None) -> int:
        """None."""
        return 0

    def stop_workers(self) -> None:
        """Nothing is stopped that we did not start."""

    def facts(self) -> dict[str, Any]:
        """For ``trial.json``, as `Stack.facts`."""
        return {
            "redis": None,
            "target": self.origin,
            "ingest_url": None,
            "gateway_url": None,
            "cpus": sorted(self._cpus or os.sched_getaffinity(0)),
            "processes": {},
            "commands": {},
            "environment": {},
            "links": [],
        }


System = Stack | Elsewhere
"""What a trial measures: started for it, or somebody's own."""
