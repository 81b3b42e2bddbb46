"""The children of one stack: who they are, who died, who replaced whom."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from perfkit.errors import ChildDied, PerfkitError
from perfkit.launcher.child import Child, ChildSpec, Role, State, describe_status, stop_all
from perfkit.launcher.guard import Guard
from perfkit.launcher.lease import LeasedChild
from perfkit.launcher.watch import Watch
from perfkit.launcher.workers import Named

__all__ = ["Death", "Fleet", "Process"]

_WORKING: tuple[Role, ...] = ("worker", "supervisor")
_RESTART_NOT_BEFORE_S = 1.0  # after the start of the one that died: a loop of deaths stays slow


class Process(NamedTuple):
    """A process of the stack. ``pool`` is None outside the workers."""

    pid: int
    role: Role
    pool: str | None


@dataclass(frozen=True, slots=True)
class Death:
    """A process ended although nobody told it to.

    ``at_ns`` is monotonic; ``status`` is the exit code, negative for a signal, None where the
    process is not our child (a worker of the stock command line).
    """

    name: str
    at_ns: int
    status: int | None
    role: Role
    pool: str | None

    def __str__(self) -> str:
        return f"{self.name} {'died' if self.status is None else describe_status(self.status)}"


class Fleet:
    """Starts, watches, replaces and stops children. Thread-safe.

    ``changed()`` is called, in any thread, after somebody was started.
    """

    def __init__(self, guard: Guard, watch: Watch, changed: Callable[[], None]) -> None:
        self._guard = guard
        self._watch = watch
        self._changed = changed
        self._lock = threading.RLock()
        self._children: list[Child] = []
        self._started_ns: dict[str, int] = {}
        self._processes: dict[str, Process] = {}
        self._deaths: list[Death] = []
        self._timers: list[threading.Timer] = []
        self._replacement: Callable[[ChildSpec], ChildSpec] | None = None
        self._stopped: set[Role] = set()
        self._failure: PerfkitError | None = None

    def begin(self, spec: ChildSpec) -> Child:
        """Start a child and watch it.

        Raises:
            StackError: it could not be started.
        """
        child = Child(spec, self._guard)
        child.start()
        self.adopt(child)
        return child

    def adopt(self, child: Child) -> None:
        """Watch a child that somebody else has started."""
        with self._lock:
            self._children.append(child)
            self._started_ns[child.spec.name] = time.monotonic_ns()
            self._processes[child.spec.name] = Process(child.pid, child.spec.role, child.spec.pool)
        self._watch.add(child.pid, lambda: self._ended(child))

    def admit(self, worker: Named) -> None:
        """Watch a worker process that a supervisor of somebody else's has started."""
        process = Process(worker.pid, "worker", worker.pool)
        with self._lock:
            if self._processes.get(worker.name) == process:
                return
            self._processes[worker.name] = process
        self._watch.add(worker.pid, lambda: self._record(worker.name, process, None))

    def replace_with(self, replacement: Callable[[ChildSpec], ChildSpec]) -> None:
        """From now on, start a replacement for every worker that dies."""
        with self._lock:
            self._replacement = replacement

    def processes(self) -> Mapping[str, Process]:
        """Every process so far by name, in the order of their start."""
        with self._lock:
            return dict(self._processes)

    def deaths(self) -> list[Death]:
        """In the order in which they were seen."""
        with self._lock:
            return list(self._deaths)

    def children(self, *roles: Role) -> list[Child]:
        """Those of these roles, or all."""
        with self._lock:
            return [child for child in self._children if not roles or child.spec.role in roles]

    def leased(self) -> tuple[LeasedChild, ...]:
        """Those that are not over, as a lease lists them."""
        return tuple(
            LeasedChild(
                name=child.spec.name,
                pid=child.pid,
                start=child.start_ticks,
                role=child.spec.role,
                pool=child.spec.pool,
            )
            for child in self.children()
            if child.state not in (State.ENDED, State.DIED)
        )

    def check(self) -> None:
        """See `Stack.check`."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
            replacing = self._replacement is not None
        for child in self.children("redis", "gateway", "ingest"):
            if child.state is State.DIED:
                raise ChildDied(
                    f"{child.spec.name} {describe_status(child.poll() or 0)} while it was needed",
                    f"its log: {child.spec.log}",
                )
        workers = self.children(*_WORKING)
        if not replacing and workers and all(child.state is State.DIED for child in workers):
            raise ChildDied("no worker is left", f"their logs: {workers[0].spec.log.parent}")

    def stop(self, *roles: Role, grace_s: float, hurry: threading.Event | None = None) -> None:
        """Stop all of these roles together; their ends are no deaths, and nobody is replaced."""
        with self._lock:
            self._stopped.update(roles)
            timers = self._timers if self._stopped.intersection(_WORKING) else []
        for timer in timers:
            timer.cancel()
            timer.join()  # one that has fired may be starting a worker just now
        stop_all(self.children(*roles), grace_s, hurry)

    def _ended(self, child: Child) -> None:
        status = child.poll()
        if child.state is not State.DIED:
            return
        spec = child.spec
        process = Process(child.pid, spec.role, spec.pool)
        self._record(spec.name, process, status, child.ended_ns)
        with self._lock:
            if spec.role not in _WORKING or self._replacement is None:
                return
            lived_s = (time.monotonic_ns() - self._started_ns[spec.name]) / 1e9
            timer = threading.Timer(
                max(0.0, _RESTART_NOT_BEFORE_S - lived_s), self._restart, [spec]
            )
            timer.daemon = True
            self._timers.append(timer)
            if spec.role not in self._stopped:
                timer.start()

    def _record(
        self, name: str, process: Process, status: int | None, at_ns: int | None = None
    ) -> None:
        with self._lock:
            if process.role not in self._stopped or at_ns is not None:
                self._deaths.append(
                    Death(name, at_ns or time.monotonic_ns(), status, process.role, process.pool)
                )

    def _restart(self, died: ChildSpec) -> None:
        with self._lock:
            if died.role in self._stopped or self._replacement is None:
                return
            replacement = self._replacement
        try:
            self.begin(replacement(died))
            self._changed()
        except PerfkitError as error:
            with self._lock:
                self._failure = error
