"""A circuit breaker before the gateway: after some failures in a row, stop calling for a while.

    closed      calls go through; ``failures`` in a row open it
    open        for ``reset_ms`` every attempt fails at once, without a call
    half-open   then one call is let through: its success closes the breaker, its failure opens it
                again; whoever comes meanwhile is refused as if it were open

One breaker per queue and process. It spares a broken gateway the calls, and a hanging one no longer
holds every thread of the worker until its calls time out, so that the other queues go on. It learns
of a hanging gateway by timeouts alone: one that is longer than the outage (GATEWAY_TIMEOUT_MS)
makes a breaker useless.

A refused attempt raises `GatewayUnavailable`, a `dramatiq.Retry` with its own delay: at least what
Retries would have waited after this attempt, and at least the breaker's reset time, so that it does
not come back to a breaker that is known to be open. It counts as an attempt. (Dramatiq knows no
retry that does not count, but by ``retry_when``; and with that, a job for a gateway that is gone
for good would never become a dead letter.)

So attempts are used up no faster than by a gateway that fails at once, and the last one comes no
earlier than the sum of the shortest backoffs: 31 s with the defaults. It still finds the breaker
open if a trial failed less than a reset time before. No job dies of an outage shorter than the
difference, 26 s. See ``tests/workers/test_outage.py``.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from circuitbreaker import STATE_CLOSED, STATE_OPEN, CircuitBreaker
from dramatiq import Retry
from dramatiq.common import compute_backoff
from dramatiq.middleware.retries import DEFAULT_MAX_BACKOFF

from .client import GatewayClient, GatewayError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["GatewayUnavailable", "GuardedGateway"]


class GatewayUnavailable(GatewayError, Retry):
    """The breaker is open: no call was made, and the job is to come back after ``delay`` ms."""


class GuardedGateway:
    """A `GatewayClient` with a breaker for each queue. Thread-safe."""

    def __init__(
        self, client: GatewayClient, *, failures: int, reset_ms: int, min_backoff_ms: int
    ) -> None:
        self._client = client
        self._failures = failures
        self._reset_ms = reset_ms
        self._min_backoff_ms = min_backoff_ms
        self._circuits: dict[str, _Circuit] = {}

    def post(
        self, queue: str, job: Mapping[str, Any], *, job_id: str, attempt: int
    ) -> dict[str, Any]:
        """As `GatewayClient.post`, if the queue's breaker lets the call through.

        Raises:
            GatewayUnavailable: it does not.
            GatewayError: as there.
        """
        with self._circuit(queue).call() as is_let_through:
            if is_let_through:
                return self._client.post(queue, job, job_id=job_id, attempt=attempt)
        _, backoff_ms = compute_backoff(
            attempt, factor=self._min_backoff_ms, max_backoff=DEFAULT_MAX_BACKOFF
        )
        # Spread, or all that were refused would come back in the same moment.
        reset_ms = int(self._reset_ms * random.uniform(1, 2))
        raise GatewayUnavailable(
            f"{queue} was not called: its breaker is open", delay=max(backoff_ms, reset_ms)
        )

    def close(self) -> None:
        """Close the client."""
        self._client.close()

    def _circuit(self, queue: str) -> _Circuit:
        if (circuit := self._circuits.get(queue)) is None:
            # Threads that come first together make one each, and all get the same.
            circuit = self._circuits.setdefault(
                queue, _Circuit(queue, self._failures, self._reset_ms / 1000)
            )
        return circuit


class _Circuit:
    """The library's breaker, made fit for threads.

    `circuitbreaker` locks nothing, and lets every thread through at once when it is half-open. So
    its books are kept under a lock, which is never held during a call, and one call is the trial.
    (Its peer pybreaker holds its lock during the call: then a worker makes one call at a time.)
    """

    def __init__(self, queue: str, failures: int, reset_s: float) -> None:
        self._breaker = CircuitBreaker(
            failure_threshold=failures,
            recovery_timeout=reset_s,
            # Anything that ends a call but an answer: also a time limit.
            expected_exception=(BaseException,),
            name=queue,
        )
        self._lock = threading.Lock()
        self._trying = False

    @contextmanager
    def call(self) -> Iterator[bool]:
        """Whether a call may be made; what the block raises is the call's failure."""
        with self._lock:
            state = self._breaker.state
            if state == STATE_OPEN or (state != STATE_CLOSED and self._trying):
                may, is_trial = False, False
            else:
                may, is_trial = True, state != STATE_CLOSED
                self._trying = is_trial
        if not may:
            yield False
            return
        try:
            yield True
        except BaseException as error:
            self._settle(error, is_trial)
            raise
        self._settle(None, is_trial)

    def _settle(self, error: BaseException | None, is_trial: bool) -> None:
        with self._lock:
            # A call from before it opened tells of then: only the trial tells of now.
            if is_trial or self._breaker.state == STATE_CLOSED:
                self._breaker.__exit__(type(error) if error else None, error, None)
            if is_trial:
                self._trying = False
