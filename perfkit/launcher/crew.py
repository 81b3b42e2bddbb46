"""How many workers each pool of a stack should have, and how it gets there while it runs.

    a change is   made by      and becomes
    open          scale()      reached     as many as it asked for are ready, and those that it
                                           told to stop have ended
                               overtaken   another number was asked for meanwhile: the last wish
                                           wins, and this one says so
                               failed      some died or were not ready in time, or the stack stops

Each call of `Crew.scale` is one change and one `ScaleEvent`. A surplus is told to stop at once,
the newest first, with TERM and a grace, as at the end of a stack: jobs are finished, and what was
fetched is given back. What is missing is started by a thread that ends when nothing is open.
"""

from __future__ import annotations

import functools
import threading
import time
from collections.abc import Callable, Iterator

from perfkit.errors import ChildDied, PerfkitError, UsageError
from perfkit.launcher.change import Change, ScaleEvent, WorkerLife
from perfkit.launcher.child import Child, ChildSpec, State, describe_status
from perfkit.launcher.fleet import Fleet
from perfkit.launcher.workers import Workers
from perfkit.scenario import StackSettings

__all__ = ["MOST_WORKERS", "Crew"]

MOST_WORKERS = 1024
"""Of one pool, as in a scenario."""

_TICK_S = 0.01


class Crew:
    """The workers of all pools. Thread-safe.

    ``changed()`` is called, in a thread, after a level has changed, or who works.
    """

    def __init__(
        self,
        fleet: Fleet,
        workers: Workers,
        settings: StackSettings,
        changed: Callable[[], None],
        *,
        start_timeout_s: float,
        grace_s: float,
    ) -> None:
        self._fleet = fleet
        self._workers = workers
        self._settings = settings
        self._changed = changed
        self._timeout_s = start_timeout_s
        self._grace_s = grace_s
        self._levels = {pool.name: pool.workers for pool in settings.pools}
        self._changes: list[Change] = []
        self._thread: threading.Thread | None = None
        self._news = False  # that `changed` was not told of
        self._closed = threading.Event()

    def levels(self) -> dict[str, int]:
        """Workers wanted, by pool."""
        with self._fleet.staffing:
            return dict(self._levels)

    def ready(self) -> dict[str, int]:
        """Workers that are ready and were not told to stop, by pool."""
        with self._fleet.staffing:
            return {
                pool: sum(child.ready_ns is not None for child in self._present(pool))
                for pool in self._levels
            }

    def stopping(self) -> dict[str, int]:
        """Workers that were told to stop and have not ended, by pool."""
        with self._fleet.staffing:
            stopping = [
                child.spec.pool
                for child in self._fleet.children("worker")
                if child.state is State.STOPPING
            ]
            return {pool: stopping.count(pool) for pool in self._levels}

    def events(self) -> list[ScaleEvent]:
        """In the order in which they were asked for."""
        with self._fleet.staffing:
            return [change.event for change in self._changes]

    def is_open(self, event: ScaleEvent) -> bool:
        """Whether an event may still come to its end."""
        with self._fleet.staffing:
            return any(each.open for each in self._changes if each.event.at_ns == event.at_ns)

    def pool_named(self, pool: str | None) -> str:
        """A pool by name; None: the shared one.

        Raises:
            UsageError: there is none of that name, or several and none is named.
        """
        known = ", ".join(self._levels)
        if pool is None:
            if len(self._levels) == 1:
                return next(iter(self._levels))
            raise UsageError("this stack has several pools", f"name one: {known}")
        if pool not in self._levels:
            raise UsageError(f"this stack has no pool {pool!r}", f"it has {known}")
        return pool

    def refuse(self, pool: str | None, workers: int) -> None:
        """Raise what `scale` would."""
        self.pool_named(pool)
        if not 0 <= workers <= MOST_WORKERS:
            raise UsageError(f"a pool can't have {workers} workers", f"ask for 0 to {MOST_WORKERS}")
        if self._settings.supervisor != "perfkit":
            raise UsageError(
                "the stock dramatiq command can't change the number of its workers",
                'use supervisor = "perfkit" in [stack]',
            )
        if self._closed.is_set():
            raise UsageError("the stack is being stopped", "scale it while it is up")

    def scale(self, pool: str | None, workers: int, reason: str) -> ScaleEvent:
        """Ask for another number of workers; returns at once.

        Raises:
            UsageError: an unknown pool, a number that can't be, workers of the stock command
                line, or a stack that is being stopped.
        """
        with self._fleet.staffing:
            self.refuse(pool, workers)
            name = self.pool_named(pool)
            before = len(self._present(name)) + self._coming(name)
            for change in self._open(name):
                if change.event.to_workers != workers:
                    change.give_up(f"overtaken: {workers} were asked for before it was reached")
            present = self._present(name)
            event = ScaleEvent(self._new_instant(), name, before, workers, reason)
            missing = max(0, workers - len(present) - self._coming(name))
            leaving = present[workers:]
            self._changes.append(Change(event, missing, leaving))
            self._levels[name] = workers
            for child in reversed(leaving):
                child.begin_stop()
            self._news = True
            self._go()
            return event

    def replacement(self, died: ChildSpec) -> ChildSpec | None:
        """For `Fleet.replace_with`: a new worker, unless there are as many as there should be."""
        pool = died.pool or ""
        if died.role == "worker":
            if len(self._present(pool)) + self._coming(pool) >= self._levels[pool]:
                return None
            self._go()  # to see when it is ready
        return self._workers.replacement(died)

    def check(self) -> None:
        """Whether anybody is left to work. Nobody at all, if so asked, is fine.

        Raises:
            ChildDied: all workers died, not all of them as planned, and none is on its way.
        """
        with self._fleet.staffing:
            if self._settings.restart or self._closed.is_set() or not any(self._levels.values()):
                return
            children = self._fleet.children("worker", "supervisor")
            on_their_way = any(change.open for change in self._changes)
            if on_their_way or not all(child.over for child in children):
                return
            if any(
                child.state is State.DIED and not self._fleet.planned(child) for child in children
            ):
                folder = children[0].spec.log.parent
                raise ChildDied("no worker is left", f"their logs: {folder}")

    def lives(self) -> list[WorkerLife]:
        """Every worker process so far, in the order of their start."""
        own = [
            WorkerLife(
                name=child.spec.name,
                pool=child.spec.pool or "",
                status=child.poll(),
                started_ns=child.started_ns,
                ready_ns=child.ready_ns,
                stop_ns=child.stop_ns,
                ended_ns=child.ended_ns,
            )
            for child in self._fleet.children("worker")
        ]
        return own + list(self._lives_of_the_admitted())

    def close(self) -> None:
        """Start nobody any more; what is still open has failed. All are about to be stopped."""
        with self._fleet.staffing:
            self._closed.set()
            for change in self._changes:
                if change.open:
                    change.give_up("the stack was stopped before it was reached")
            thread = self._thread
        if thread is not None:
            thread.join()

    # What follows is called with `staffing` held.

    def _present(self, pool: str) -> list[Child]:
        """Alive and not told to stop, the oldest first."""
        return [
            child
            for child in self._fleet.children("worker")
            if child.spec.pool == pool and child.state in (State.STARTING, State.READY)
        ]

    def _open(self, pool: str) -> list[Change]:
        return [each for each in self._changes if each.open and each.event.pool == pool]

    def _coming(self, pool: str) -> int:
        return sum(change.missing for change in self._open(pool))

    def _new_instant(self) -> int:
        """Now; each event has an instant of its own, by which it can be found again."""
        last_ns = self._changes[-1].event.at_ns if self._changes else 0
        return max(time.monotonic_ns(), last_ns + 1)

    def _lives_of_the_admitted(self) -> Iterator[WorkerLife]:
        gone_ns = self._fleet.gone_ns()
        processes = self._fleet.processes()
        for name, admitted_ns in self._fleet.admitted_ns().items():
            pool = processes[name].pool
            master = [
                child
                for child in self._fleet.children("supervisor")
                if child.spec.pool == pool and child.started_ns <= admitted_ns
            ][-1]
            yield WorkerLife(
                name=name,
                pool=pool or "",
                status=None,
                started_ns=master.started_ns,
                ready_ns=admitted_ns,
                stop_ns=master.stop_ns,
                # Those of a master that was killed on purpose live on without it.
                ended_ns=gone_ns.get(name, None if master.orphans() else master.ended_ns),
            )

    # The thread

    def _go(self) -> None:
        if self._thread is None and not self._closed.is_set():
            self._thread = threading.Thread(target=self._run, name="perfkit-crew", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        while self._step():
            self._closed.wait(_TICK_S)

    def _step(self) -> bool:
        """A small part of what there is to do; whether there is more."""
        with self._fleet.staffing:
            if self._closed.is_set():
                return False
            self._start_one()
            starting = self._look_for_ready()
            for change in self._changes:
                self._news |= change.see_off(self._grace_s)
                if change.open:
                    self._settle(change)
            more = starting or any(change.open or change.leaving for change in self._changes)
            if not more:
                self._thread = None
            news, self._news = self._news, False
        if news:
            try:
                self._changed()
            except PerfkitError as error:
                self._fleet.fail(error)
        return more

    def _start_one(self) -> None:
        """One at a time: nobody who wants to know how it stands waits for longer."""
        change = next((each for each in self._changes if each.missing), None)
        if change is None or self._fleet.stopping("worker"):
            return
        try:
            self._fleet.begin(self._workers.another(change.event.pool))
        except PerfkitError as error:
            change.give_up(error.what)
        else:
            change.missing -= 1
            self._news = True

    def _look_for_ready(self) -> bool:
        """Ask those that start; whether any of them may still become ready in time."""
        starting = [
            child
            for pool in self._levels
            for child in self._present(pool)
            if child.ready_ns is None and not self._is_late(child)
        ]
        ready = [
            child.look_ready(functools.partial(self._workers.ready, child)) for child in starting
        ]
        return not all(ready)

    def _is_late(self, child: Child) -> bool:
        return time.monotonic_ns() - child.started_ns > self._timeout_s * 1e9

    def _settle(self, change: Change) -> None:
        """Close a change that is reached, or can't be."""
        if change.missing or change.leaving:
            return
        present = self._present(change.event.pool)
        unready = [child for child in present if child.ready_ns is None]
        for child in unready:
            if self._is_late(child):
                change.remark(f"{child.spec.name} was not ready after {self._timeout_s:g} s")
                child.begin_stop()
                change.leaving.append(child)
        if unready:
            return
        if len(present) >= change.event.to_workers:
            change.reached(present)
        elif not self._settings.restart or self._is_overdue(change):
            change.give_up(self._shortfall(change, len(present)))

    def _is_overdue(self, change: Change) -> bool:
        """Whether replacements for those that died have had their time."""
        return time.monotonic_ns() - change.event.at_ns > self._timeout_s * 1e9

    def _shortfall(self, change: Change, ready: int) -> str:
        died = [
            f"{child.spec.name} {describe_status(child.poll() or 0)}"
            for child in self._fleet.children("worker")
            if child.spec.pool == change.event.pool
            and child.state is State.DIED
            and (child.ended_ns or 0) >= change.event.at_ns
        ]
        return "; ".join([f"only {ready} of {change.event.to_workers} are ready", *died])
