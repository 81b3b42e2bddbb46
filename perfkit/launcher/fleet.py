"""The children of one stack: who they are, who died, who replaced whom."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from perfkit.errors import ChildDied, PerfkitError, StackError
from perfkit.launcher.child import Child, ChildSpec, Role, State, describe_status, stop_all
from perfkit.launcher.guard import Guard
from perfkit.launcher.keeper import start_ticks
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
    process is not our child (a worker of the stock command line). ``planned``: it was broken on
    purpose, or ended because another was.
    """

    name: str
    at_ns: int
    status: int | None
    role: Role
    pool: str | None
    planned: bool = False

    def __str__(self) -> str:
        return f"{self.name} {'died' if self.status is None else describe_status(self.status)}"


class Fleet:
    """Starts, watches, replaces and stops children. Thread-safe.

    ``changed()`` is called, in any thread, after a replacement was started. ``staffing`` is held
    by whoever counts workers in order to start or to stop some.
    """

    def __init__(self, guard: Guard, watch: Watch, changed: Callable[[], None]) -> None:
        self._guard = guard
        self._watch = watch
        self._changed = changed
        self.staffing = threading.RLock()
        self._lock = threading.RLock()  # never held when anything else is waited for
        self._children: list[Child] = []
        self._processes: dict[str, Process] = {}
        self._admitted_ns: dict[str, int] = {}
        self._gone_ns: dict[str, int] = {}  # of those that were admitted
        self._struck: set[int] = set()  # pids of admitted ones
        self._halted: set[int] = set()
        self._expected: set[str] = set()  # pools in which a violent end is no surprise
        self._deaths: list[Death] = []
        self._timers: list[threading.Timer] = []
        self._replacement: Callable[[ChildSpec], ChildSpec | None] | None = None
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
            self._processes[child.spec.name] = Process(child.pid, child.spec.role, child.spec.pool)
        self._watch.add(child.pid, lambda: self._ended(child))

    def admit(self, worker: Named) -> None:
        """Watch a worker process that a supervisor of somebody else's has started."""
        process = Process(worker.pid, "worker", worker.pool)
        with self._lock:
            if self._processes.get(worker.name) == process:
                return
            self._processes[worker.name] = process
            self._admitted_ns[worker.name] = time.monotonic_ns()
        self._watch.add(worker.pid, lambda: self._gone(worker.name, process))

    def strike(self, name: str, number: signal.Signals, *, orphaning: bool = False) -> int:
        """Break a process on purpose, by a signal; its death is then a planned one.

        Returns: its pid.

        Raises:
            StackError: nobody of this name lives.
        """
        for child in reversed(self.children()):
            if child.spec.name == name:
                child.strike(number, orphaning=orphaning)
                return child.pid
        with self._lock:
            process = self._processes.get(name)
            if process is None or start_ticks(process.pid) is None:
                raise StackError(f"{name} does not run")
            if number is signal.SIGSTOP:
                self._halted.add(process.pid)
            elif number is signal.SIGCONT:
                self._halted.discard(process.pid)
            else:
                self._struck.add(process.pid)
                # Its master ends all the others, and itself.
                self._expected.add(process.pool or "")
        os.kill(process.pid, number)
        return process.pid

    def expect_deaths(self, pools: Iterable[str]) -> None:
        """From now on, whoever is killed in these pools is a planned victim."""
        with self._lock:
            self._expected.update(pools)

    def planned(self, child: Child) -> bool:
        """Whether a child's death is one that was planned."""
        with self._lock:
            return child.struck or self._is_expected(child.spec.role, child.spec.pool, child.poll())

    def replace_with(self, replacement: Callable[[ChildSpec], ChildSpec | None]) -> None:
        """From now on, start a replacement for every worker that dies; None: it needs none.

        It is called with ``staffing`` held.
        """
        with self._lock:
            self._replacement = replacement

    def fail(self, error: PerfkitError) -> None:
        """Something went wrong in a thread of ours: `check` tells it."""
        with self._lock:
            self._failure = error

    def stopping(self, role: Role) -> bool:
        """Whether all of a role were told to stop, so that nobody of it may be started."""
        with self._lock:
            return role in self._stopped

    def processes(self) -> Mapping[str, Process]:
        """Every process so far by name, in the order of their start."""
        with self._lock:
            return dict(self._processes)

    def admitted_ns(self) -> Mapping[str, int]:
        """When each of those that were admitted was."""
        with self._lock:
            return dict(self._admitted_ns)

    def gone_ns(self) -> Mapping[str, int]:
        """When each of those that were admitted has ended, of those that have."""
        with self._lock:
            return dict(self._gone_ns)

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
            if not child.over or child.orphans()
        )

    def check(self) -> None:
        """Whether what everything needs still lives; see `Stack.check`."""
        with self._lock:
            if self._failure is not None:
                raise self._failure
        for child in self.children("redis", "gateway", "relay", "ingest"):
            if child.state is State.DIED and not self.planned(child):
                raise ChildDied(
                    f"{child.spec.name} {describe_status(child.poll() or 0)} while it was needed",
                    f"its log: {child.spec.log}",
                )

    def stop(self, *roles: Role, grace_s: float, hurry: threading.Event | None = None) -> None:
        """Stop all of these roles together; their ends are no deaths, and nobody is replaced."""
        with self._lock:
            self._stopped.update(roles)
            timers = self._timers if self._stopped.intersection(_WORKING) else []
        for timer in timers:
            timer.cancel()
            timer.join()  # one that has fired may be starting a worker just now
        with self.staffing:
            pass  # so may somebody else, who has not seen that these are stopped
        self._wake()
        stop_all(self.children(*roles), grace_s, hurry)

    def _ended(self, child: Child) -> None:
        status = child.poll()
        if child.state is not State.DIED:
            return
        spec = child.spec
        process = Process(child.pid, spec.role, spec.pool)
        self._record(spec.name, process, status, child.ended_ns, struck=child.struck)
        with self._lock:
            if spec.role not in _WORKING or self._replacement is None:
                return
            lived_s = (time.monotonic_ns() - child.started_ns) / 1e9
            timer = threading.Timer(
                max(0.0, _RESTART_NOT_BEFORE_S - lived_s), self._restart, [spec]
            )
            timer.daemon = True
            self._timers.append(timer)
            if spec.role not in self._stopped:
                timer.start()

    def _wake(self) -> None:
        """Who is to stop has to hear of it, and may need the others for it."""
        for child in self.children():
            if child.halted:
                with contextlib.suppress(StackError):
                    child.strike(signal.SIGCONT)
        with self._lock:
            halted, self._halted = self._halted, set()
        for pid in halted:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def _gone(self, name: str, process: Process) -> None:
        with self._lock:
            self._gone_ns[name] = time.monotonic_ns()
        self._record(name, process, None)

    def _is_expected(self, role: Role, pool: str | None, status: int | None) -> bool:
        violent = role == "supervisor" or status in (None, -signal.SIGKILL)
        return role in _WORKING and violent and (pool or "") in self._expected

    def _record(
        self,
        name: str,
        process: Process,
        status: int | None,
        at_ns: int | None = None,
        *,
        struck: bool = False,
    ) -> None:
        pid, role, pool = process
        with self._lock:
            if role not in self._stopped or at_ns is not None:
                planned = struck or pid in self._struck or self._is_expected(role, pool, status)
                at_ns = at_ns or time.monotonic_ns()
                self._deaths.append(Death(name, at_ns, status, role, pool, planned))

    def _restart(self, died: ChildSpec) -> None:
        with self.staffing:
            with self._lock:
                replacement = self._replacement
            if replacement is None or self.stopping(died.role):
                return
            try:
                if (spec := replacement(died)) is None:
                    return
                self.begin(spec)
            except PerfkitError as error:
                self.fail(error)
                return
        try:
            self._changed()
        except PerfkitError as error:
            self.fail(error)
