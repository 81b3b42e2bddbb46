"""What a trial breaks on purpose: carried out on time, mended on time, and told as it happened.

One thread waits for the next fault; each fault that is due has a thread of its own from then on,
because a frozen server must not keep another fault from being mended on time.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from typing import Any, Final

import redis

from perfkit.clock import Clock
from perfkit.errors import Problem, ScenarioError, StackError
from perfkit.faults import Breaker, Broken, Due, FaultPlan, Site, memory_limit, refusals
from perfkit.launcher.foreign import connect
from perfkit.launcher.stack import Stack
from perfkit.plan import Trial
from perfkit.redaction import redact
from perfkit.runner.elsewhere import System
from perfkit.runner.options import Options
from perfkit.scenario import Fault, Scenario, settings_of

__all__ = ["Breakage", "refuse_faults"]

_HOLD_EVERY_S: Final = 0.1
_PATIENCE_S: Final = 120.0  # for what can't be cut short, such as a paused server
_HURRIED_S: Final = 3.0


def refuse_faults(name: str, trials: Sequence[Trial], options: Options) -> None:
    """Refuse faults that can't be carried out on the Redis that is going to be used.

    Raises:
        ScenarioError: of the plan of this name, with every one of them.
    """
    limit_bytes = None
    if options.redis_url is not None and any(
        fault.action == "fill" for trial in trials for fault in trial.scenario.fault
    ):
        with contextlib.suppress(redis.RedisError), connect(options.redis_url) as client:
            limit_bytes, _ = memory_limit(client)
    problems: dict[Problem, None] = {}
    for trial in trials:
        found = refusals(
            trial.scenario,
            options.redis_url,
            allow_destructive=options.allow_destructive,
            limit_bytes=limit_bytes,
        )
        problems |= dict.fromkeys(found)
    if problems:
        raise ScenarioError(name, list(problems))


class _Course:
    """What has become of one fault so far."""

    def __init__(self, fault: Fault, at_ns: int) -> None:
        self.fault = fault
        self.at_ns = at_ns
        self.done_ns: int | None = None
        self.ended_ns: int | None = None
        self.victim: str | None = None
        self.done = False
        self.error: str | None = None

    def fact(self) -> dict[str, Any]:
        return {
            "action": self.fault.action,
            "target": self.fault.target,
            "at_ns": self.at_ns,
            "done_ns": self.done_ns,
            "ended_ns": self.ended_ns,
            "victim": self.victim,
            "done": self.done,
            "error": self.error,
        }


def _breaker(scenario: Scenario, stack: Stack) -> Breaker:
    site = Site(
        disruption=stack.disruption,
        redis_url=stack.redis_url,
        ingest_url=stack.ingest_url,
        gateway_url=stack.gateway_url,
        queues=scenario.queues,
        pools={pool.name: pool.queues for pool in settings_of(scenario).pools},
    )
    return Breaker(site, scenario.seed)


class Breakage:
    """The faults of one trial. `begin` when its instants are known; `close` mends all there is."""

    def __init__(self, scenario: Scenario, stack: System, clock: Clock) -> None:
        self._stack = stack
        self._clock = clock
        self._faults = scenario.fault
        self._plan = FaultPlan(scenario.fault)
        self._breaker = _breaker(scenario, stack) if isinstance(stack, Stack) else None
        self._window_ns = 0
        self._courses: list[_Course] = []
        self._over = threading.Event()
        self._closed = False
        self._threads: list[threading.Thread] = []
        self._waiting: threading.Thread | None = None

    def begin(self, window_ns: int) -> None:
        """The window begins then; from now on faults happen."""
        self._window_ns = window_ns
        self._courses = [_Course(fault, window_ns + fault.at_ns) for fault in self._faults]
        if self._courses:
            self._waiting = threading.Thread(target=self._wait, name="perfkit-faults", daemon=True)
            self._waiting.start()

    def close(self, *, hurry: bool = False) -> None:
        """Nothing is broken any more from now on, and what can be mended is. Twice does nothing.

        ``hurry``: what can't be mended within seconds is left to its own end.
        """
        self._over.set()
        if self._closed:
            return
        self._closed = True
        if self._waiting is not None:
            self._waiting.join()
        patience_ns = round((_HURRIED_S if hurry else _PATIENCE_S) * 1e9)
        deadline_ns = self._clock.now_ns() + patience_ns
        for thread in self._threads:
            thread.join(max(0.0, (deadline_ns - self._clock.now_ns()) / 1e9))
        for course in self._courses:
            if course.done_ns is None and course.error is None:
                course.error = "the trial ended before it was due"

    def revive(self) -> None:
        """Start again what was killed for good, so that its books can be read.

        The workers are to have ended before: they would work on.
        """
        if isinstance(self._stack, Stack) and any(each.action == "kill" for each in self._faults):
            self._stack.disruption.revive()

    def facts(self) -> list[dict[str, Any]]:
        """Every fault of the scenario, in its order, with what has become of it so far."""
        return [course.fact() for course in self._courses]

    def _wait(self) -> None:
        while (next_ns := self._plan.next_ns) is not None:
            rest_ns = self._window_ns + next_ns - self._clock.now_ns()
            if self._over.wait(max(0.0, rest_ns / 1e9)):
                return
            for due in self._plan.due(self._clock.now_ns() - self._window_ns):
                thread = threading.Thread(
                    target=self._carry_out,
                    args=(due, self._courses[due.index]),
                    name=f"perfkit-fault-{due.index}",
                    daemon=True,
                )
                self._threads.append(thread)
                thread.start()

    def _carry_out(self, due: Due, course: _Course) -> None:
        assert self._breaker is not None, "a target elsewhere has no faults"
        try:
            broken = self._breaker.carry_out(due)
        except StackError as error:
            course.error = redact(error.what)
            return
        course.victim, course.done_ns = broken.victim, self._clock.now_ns()
        course.done = True
        if due.fault.for_ns is not None or due.fault.action in ("restart", "fill"):
            self._end(course, broken)

    def _end(self, course: _Course, broken: Broken) -> None:
        """Mend it when its time is over, or the trial is, and say how that went."""
        try:
            self._hold(course, broken)
        except StackError as error:
            course.error = f"it did not last: {redact(error.what)}"
        try:
            broken.mend()
        except StackError as error:
            course.error = f"it was not mended: {redact(error.what)}"
            # Half of a restart is none.
            course.done = course.fault.action != "restart"
        else:
            course.ended_ns = self._clock.now_ns()

    def _hold(self, course: _Course, broken: Broken) -> None:
        """Keep it broken: for its time, without one as long as the trial lasts; a restart not."""
        length_ns = course.fault.for_ns
        if length_ns is None and course.fault.action == "restart":
            return
        ends_ns = None if length_ns is None else (course.done_ns or 0) + length_ns
        while True:
            left_s = _HOLD_EVERY_S
            if ends_ns is not None:
                left_s = min(left_s, (ends_ns - self._clock.now_ns()) / 1e9)
            if left_s <= 0 or self._over.wait(left_s):
                return
            broken.hold()
