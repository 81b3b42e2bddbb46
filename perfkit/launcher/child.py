"""One supervised child process.

    state      means                                   leaves for
    NEW        not started                             STARTING  start()
    STARTING   runs; its probe has not said yes        READY     wait_ready() · DIED · STOPPING
    READY      does its work                           STOPPING  begin_stop() · DIED
    STOPPING   was told to end                         ENDED
    ENDED      has ended, as it was told
    DIED       has ended although nobody told it to

Every child leads a session of its own: Ctrl-C in the terminal does not reach it, and what it
starts can be killed with it. What it leaves behind in its process group is killed the moment its
end is seen, *before* its number is given back to the kernel (`tests/launcher/test_child.py`).

What is broken on purpose (`strike`) is no order to end: who ends by it has died. A master that is
struck with ``orphaning`` leaves its children alive, and they are found by its session.
"""

from __future__ import annotations

import contextlib
import enum
import math
import os
import resource
import signal
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from perfkit.errors import ChildDied, NotReady, StackError
from perfkit.launcher.guard import Guard
from perfkit.launcher.interrupts import deferred
from perfkit.launcher.keeper import members, start_ticks
from perfkit.redaction import redact

__all__ = ["Child", "ChildSpec", "Role", "State", "describe_status", "stop_all"]

Role = Literal["redis", "gateway", "relay", "ingest", "worker", "supervisor"]

_TICK_S = 0.01
_TAIL_LINES = 12


class State(enum.Enum):
    """See the table above."""

    NEW = "new"
    STARTING = "starting"
    READY = "ready"
    STOPPING = "stopping"
    ENDED = "ended"
    DIED = "died"


_OVER = (State.NEW, State.ENDED, State.DIED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChildSpec:
    """What is started. ``argv`` must hold no secret; ``env`` may, and is never printed."""

    name: str
    role: Role
    argv: tuple[str, ...]
    env: Mapping[str, str] = field(repr=False)
    log: Path
    pool: str | None = None
    cpus: tuple[int, ...] | None = None  # None: those of the launcher
    pass_fds: tuple[int, ...] = ()
    cwd: Path | None = None
    secrets: tuple[str, ...] = field(default=(), repr=False)  # hidden in messages


class Child:
    """A process that is started, watched and stopped by us. Thread-safe."""

    def __init__(self, spec: ChildSpec, guard: Guard) -> None:
        self.spec = spec
        self._guard = guard
        self._lock = threading.RLock()
        self._state = State.NEW
        self._process: subprocess.Popen[bytes] | None = None
        self._status: int | None = None
        self._start = 0
        self._started_ns = 0
        self._ready_ns: int | None = None
        self._stop_ns: int | None = None
        self._ended_ns: int | None = None
        self._struck: set[signal.Signals] = set()
        self._orphaning = False

    @property
    def state(self) -> State:
        """The state, after a look at the process."""
        self.poll()
        return self._state

    @property
    def pid(self) -> int:
        """Process, and session, number."""
        if self._process is None:
            raise RuntimeError(f"{self.spec.name} was not started")
        return self._process.pid

    @property
    def start_ticks(self) -> int:
        """When it was started (clock ticks since boot): with the pid, its identity."""
        return self._start

    @property
    def over(self) -> bool:
        """Whether it runs no more, or not yet."""
        return self.state in _OVER

    @property
    def started_ns(self) -> int:
        """Monotonic time of its start."""
        return self._started_ns

    @property
    def ready_ns(self) -> int | None:
        """Monotonic time at which its probe was seen to say yes."""
        return self._ready_ns

    @property
    def stop_ns(self) -> int | None:
        """Monotonic time at which it was told to end."""
        return self._stop_ns

    @property
    def ended_ns(self) -> int | None:
        """Monotonic time at which its end was seen."""
        return self._ended_ns

    @property
    def struck(self) -> bool:
        """Whether it was struck on purpose, so that its end is no surprise."""
        return bool(self._struck)

    @property
    def halted(self) -> bool:
        """Whether it was stopped on purpose, and not told to go on."""
        return signal.SIGSTOP in self._struck

    def strike(self, number: signal.Signals, *, orphaning: bool = False) -> None:
        """Send a signal as an outsider would: an end by it is a death, and not a surprise.

        ``orphaning``: whatever it started outlives it.

        Raises:
            StackError: it does not run.
        """
        with self._lock:
            if self._process is None or self.poll() is not None:
                raise StackError(f"{self.spec.name} does not run")
            self._orphaning |= orphaning
            if number is signal.SIGCONT:
                self._struck.discard(signal.SIGSTOP)
            else:
                self._struck.add(number)
            self._process.send_signal(number)

    def orphans(self) -> list[int]:
        """Living processes that a master has left behind."""
        with self._lock:
            if not self._orphaning or self.poll() is None:
                return []
            return members(self.pid, self._start)

    def start(self) -> None:
        """Start it.

        Raises:
            StackError: the program could not be started at all.
        """
        spec = self.spec
        # Deferred: a Ctrl-C must not come between the start and the moment the guard knows of it.
        with deferred(), self._lock, _on_cpus(spec.cpus):
            self._started_ns = time.monotonic_ns()
            try:
                spec.log.parent.mkdir(parents=True, exist_ok=True)
                with spec.log.open("ab") as log:
                    self._process = subprocess.Popen(
                        spec.argv,
                        env=dict(spec.env),
                        cwd=spec.cwd,
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,
                        pass_fds=spec.pass_fds,
                    )
            except OSError as error:
                raise StackError(
                    f"{spec.name} could not be started: {error.strerror} ({error.filename})"
                ) from None
            pid = self._process.pid
            self._state = State.STARTING
            self._start = start_ticks(pid) or 0
            self._guard.watch(pid, self._start)
            _raise_open_files(pid)

    def poll(self) -> int | None:
        """Exit status (negative: the signal that ended it), or None while it runs."""
        with self._lock:
            if self._process is None or self._status is not None:
                return self._status
            pid = self._process.pid
            try:
                if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
                    return None
            except ChildProcessError:  # reaped by somebody else, so the number may be another's
                self._ended_ns = time.monotonic_ns()
            else:
                self._ended_ns = time.monotonic_ns()
                if not self._orphaning:
                    # Not reaped yet, so nobody else can have this number: the group is ours.
                    with contextlib.suppress(ProcessLookupError, PermissionError):
                        os.killpg(pid, signal.SIGKILL)
            self._status = self._process.wait()
            self._state = State.ENDED if self._state is State.STOPPING else State.DIED
            if not self._orphaning:
                self._guard.forget(pid)
            return self._status

    def wait_ready(self, probe: Callable[[], bool], timeout_s: float) -> None:
        """Return when ``probe()`` says yes.

        Raises:
            ChildDied: it ended before; the message has its last log lines, redacted.
            NotReady: it still runs after ``timeout_s``.
        """
        deadline = time.monotonic() + timeout_s
        while True:
            said_yes = self.look_ready(probe)
            if (status := self.poll()) is not None:
                raise ChildDied(
                    f"{self.spec.name} {describe_status(status)} before it was ready{self._tail()}",
                    f"the whole log: {self.spec.log}",
                )
            if said_yes:
                break
            if time.monotonic() > deadline:
                raise NotReady(
                    f"{self.spec.name} was not ready after {timeout_s:g} s{self._tail()}",
                    f"the whole log: {self.spec.log}",
                )
            time.sleep(_TICK_S)

    def look_ready(self, probe: Callable[[], bool]) -> bool:
        """Whether it is ready; asks the probe only as long as that is not known."""
        if self._ready_ns is not None:
            return True
        if not probe():
            return False
        with self._lock:
            if self.poll() is not None:
                return False
            self._ready_ns = time.monotonic_ns()
            if self._state is State.STARTING:
                self._state = State.READY
        return True

    def begin_stop(self) -> None:
        """TERM, once and to the child alone: a supervisor passes it on, and twice would mean "at

        once", to a worker too: it would not give back what it has fetched.
        """
        with self._lock:
            if self.poll() is None and self._process is not None:
                if self._state is not State.STOPPING:
                    self._stop_ns = time.monotonic_ns()
                    if signal.SIGTERM not in self._struck:
                        self._process.send_signal(signal.SIGTERM)
                self._state = State.STOPPING

    def kill(self) -> None:
        """KILL, to its whole group."""
        with self._lock:
            if self.poll() is None and self._process is not None:
                self._stop_ns = self._stop_ns or time.monotonic_ns()
                self._state = State.STOPPING
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(self._process.pid, signal.SIGKILL)

    def stop(self, grace_s: float) -> None:
        """Let it end by itself for ``grace_s`` seconds, then kill it."""
        stop_all([self], grace_s)

    def last_lines(self) -> list[str]:
        """The end of its log, redacted."""
        try:
            with self.spec.log.open(encoding="utf-8", errors="replace") as log:
                tail = deque(log, _TAIL_LINES)
        except OSError:
            return []
        return [redact(line.rstrip(), *self.spec.secrets) for line in tail]

    def _tail(self) -> str:
        lines = self.last_lines()
        if not lines:
            return "; it wrote nothing"
        return ". Its last lines:\n" + "\n".join(f"    {line}" for line in lines)


def stop_all(
    children: Sequence[Child], grace_s: float, hurry: threading.Event | None = None
) -> None:
    """Stop children and what they left, together: TERM, then KILL to those left after the grace.

    ``hurry``, once set, ends the patience.
    """
    for child in children:
        child.begin_stop()
        signal_orphans(child, signal.SIGTERM)

    def wait_until(deadline: float) -> None:
        while not all(child.over and not child.orphans() for child in children):
            if time.monotonic() > deadline or (hurry is not None and hurry.is_set()):
                break
            time.sleep(_TICK_S)

    wait_until(time.monotonic() + grace_s)
    for child in children:
        child.kill()
        signal_orphans(child, signal.SIGKILL)
    hurry = None
    wait_until(math.inf)


def signal_orphans(child: Child, number: signal.Signals) -> None:
    """Send a signal to each process that a master has left behind."""
    for pid in child.orphans():
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def describe_status(status: int) -> str:
    """An exit status in words: "ended with exit code 1", "was killed by SIGKILL"."""
    if status >= 0:
        return f"ended with exit code {status}"
    try:
        return f"was killed by {signal.Signals(-status).name}"
    except ValueError:
        return f"was killed by signal {-status}"


@contextlib.contextmanager
def _on_cpus(cpus: tuple[int, ...] | None) -> Iterator[None]:
    """Run the block on these CPUs. A child inherits the affinity of the *thread* that forks it,

    so it has it from its first instruction on, in every one of its threads.
    """
    if cpus is None:
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _raise_open_files(pid: int) -> None:
    """Soft limit to the hard one. It may have ended already, or (in some containers) not be ours
    to change: then it keeps what it has."""
    with contextlib.suppress(OSError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
