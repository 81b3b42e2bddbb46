"""What can be broken in a stack that is up, by name, and how it is mended.

Whoever is struck here ends as a planned victim: `Stack.deaths` lists it as such, and
`Stack.check` takes no offence.
"""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterable
from typing import Final

from perfkit.errors import StackError
from perfkit.launcher.child import Child, Role, State
from perfkit.launcher.fleet import Fleet
from perfkit.launcher.ingest import Ingests
from perfkit.launcher.keeper import start_ticks
from perfkit.launcher.links import Links
from perfkit.launcher.probe import answers_ok
from perfkit.launcher.servers import Servers

__all__ = ["Disruption"]

_TICK_S: Final = 0.01
_END_S: Final = 5.0  # that a process takes to be gone once it was told


class Disruption:
    """Breaks and mends the parts of one stack. Thread-safe.

    ``changed()`` is called after a process was started.
    """

    def __init__(
        self,
        fleet: Fleet,
        redis: Servers,
        ingests: Ingests | None,
        links: Links | None,
        changed: Callable[[], None],
        *,
        start_timeout_s: float,
    ) -> None:
        self._fleet = fleet
        self._redis = redis
        self._ingests = ingests
        self._links = links
        self._changed = changed
        self._timeout_s = start_timeout_s

    def living(self, role: Role) -> list[str]:
        """Processes of a role that are at work, by name, in the order of their start."""
        own = [child for child in self._fleet.children(role) if child.state is State.READY]
        names = [child.spec.name for child in own]
        # Workers of the stock command line are nobody's children of ours.
        for name in self._fleet.admitted_ns():
            process = self._fleet.processes()[name]
            if process.role == role and start_ticks(process.pid) is not None:
                names.append(name)
        return names

    def strike(self, name: str, number: signal.Signals, *, orphaning: bool = False) -> int:
        """Send a process a signal; its end by it is planned. SIGCONT takes a SIGSTOP back.

        ``orphaning``: whatever a master has started outlives it.

        Returns: the pid.

        Raises:
            StackError: it does not live.
        """
        return self._fleet.strike(name, number, orphaning=orphaning)

    def expect_deaths(self, pools: Iterable[str]) -> None:
        """Whoever is killed in these pools from now on is a planned victim, known or not."""
        self._fleet.expect_deaths(pools)

    def set_link(self, name: str, *, cut: bool = False, delay_ns: int = 0) -> int:
        """Cut a link, slow it down, or put it back; returns the connections through it.

        Raises:
            StackError: the stack has no such link (`StackSpec.links`), or its relay is gone.
        """
        if self._links is None or name not in self._links.names:
            raise StackError(f"no relay is between the two ends of {name}")
        return self._links.set(name, cut=cut, delay_ns=delay_ns)

    def end(self, role: Role) -> None:
        """Return when no process of a role is left that was told, or made, to end.

        One that does not end in time is killed, as a planned victim too.
        """
        deadline = time.monotonic() + _END_S
        while left := [child for child in self._fleet.children(role) if not child.over]:
            if time.monotonic() > deadline:
                for child in left:
                    child.strike(signal.SIGKILL)
            time.sleep(_TICK_S)

    def start_again(self, role: Role) -> list[int]:
        """Start Redis, or the ingest, again where it was; returns the pids when it answers.

        Raises:
            StackError: it is still there, was never there, or does not come up.
        """
        if any(not child.over for child in self._fleet.children(role)):
            raise StackError(f"{role} runs")
        if self._fleet.stopping(role):
            raise StackError("the stack is being stopped")
        if role == "redis":
            return [self._start_redis().pid]
        return [child.pid for child in self._start_ingest()]

    def revive(self) -> list[str]:
        """Start again what was killed for good, so that what is left can be read at the end.

        Returns: what could not be started, in words.
        """
        problems = []
        for role in ("redis", "ingest"):
            children = self._fleet.children(role)
            if children and all(child.over for child in children) and children[-1].struck:
                try:
                    self.start_again(role)
                except StackError as error:
                    problems.append(f"{role}: {error.what}")
        return problems

    def _start_redis(self) -> Child:
        server = self._redis.private("redis")
        child = server.start_again()
        self._fleet.adopt(child)
        self._changed()
        child.wait_ready(server.answers, self._timeout_s)
        return child

    def _start_ingest(self) -> list[Child]:
        if self._ingests is None:
            raise StackError("this stack has no ingest")
        port = self._ingests.port
        children = self._ingests.start(self._fleet.begin)
        self._changed()
        for child in children:
            child.wait_ready(lambda: answers_ok(port, "/healthz"), self._timeout_s)
        return children
