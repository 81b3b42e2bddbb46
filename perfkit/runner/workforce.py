"""Workers that come and go while a trial runs, as its scenario plans it or its rule decides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from perfkit.faults import Autoscaler, Planned
from perfkit.launcher.change import ScaleEvent
from perfkit.scenario import Scenario, settings_of

__all__ = ["Scalable", "Workforce"]


class Scalable(Protocol):
    """A stack, as far as it is needed here."""

    def scale(self, pool: str | None, workers: int, reason: str) -> ScaleEvent: ...

    def scale_events(self) -> list[ScaleEvent]: ...

    def workers_now(self, pool: str | None = None) -> int: ...


class Workforce:
    """Asks a stack for more or fewer workers when their time has come."""

    def __init__(self, scenario: Scenario, stack: Scalable) -> None:
        self._stack = stack
        self._planned = Planned(scenario.scale)
        self._rule: Autoscaler | None = None
        self._pool: str | None = None
        if scenario.autoscale is not None:
            self._pool = scenario.autoscale.pool
            pools = {pool.name: pool.queues for pool in settings_of(scenario).pools}
            queues = None if self._pool is None else pools[self._pool]
            self._rule = Autoscaler(scenario.autoscale, queues or ())

    def look(self, at_ns: int, figures: Mapping[str, float]) -> None:
        """Do what is due.

        Args:
            at_ns: now, from the start of the window; negative before.
            figures: what is known of the trial, as of `LiveFigures`.

        Raises:
            UsageError: the stack can't change its workers.
        """
        changes = self._planned.due(at_ns, figures)
        if self._rule is not None:
            workers = self._stack.workers_now(self._pool)
            changing = any(
                event.done_ns is None and event.error is None
                for event in self._stack.scale_events()
                if self._pool in (None, event.pool)
            )
            known = {**figures, "workers": float(workers), "changing": float(changing)}
            changes += self._rule.due(at_ns, known)
        for change in changes:
            self._stack.scale(change.pool, change.workers, change.reason)
