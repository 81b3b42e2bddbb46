"""The breaker before the gateway: when calls are made, when they are refused, and for how long."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from dramatiq import Retry
from dramatiq.middleware.retries import DEFAULT_MAX_BACKOFF

from tests.waiting import wait_until
from workers.breaker import GatewayUnavailable, GuardedGateway
from workers.client import GatewayClient, GatewayError

JOB = {"key": "1/0"}
FOR_GOOD_MS = 60_000
NO_TIME_MS = 1


class Endpoint(GatewayClient):
    """Counts its calls, and answers as it is told."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:9")
        self.calls: list[str] = []
        self.answer: Callable[[str], dict[str, Any]] = lambda queue: {"accepted": True}

    def post(
        self, queue: str, job: Mapping[str, Any], *, job_id: str, attempt: int
    ) -> dict[str, Any]:
        self.calls.append(queue)
        return self.answer(queue)


def fails(queue: str) -> dict[str, Any]:
    raise GatewayError(f"{queue} answered 503")


def guard(endpoint: Endpoint, failures: int = 3, reset_ms: int = FOR_GOOD_MS) -> GuardedGateway:
    return GuardedGateway(endpoint, failures=failures, reset_ms=reset_ms, min_backoff_ms=1000)


def post(gateway: GuardedGateway, queue: str = "payments", attempt: int = 0) -> str:
    """What became of an attempt: called, failed, or refused by the breaker."""
    try:
        gateway.post(queue, JOB, job_id="a", attempt=attempt)
    except GatewayUnavailable:
        return "refused"
    except GatewayError:
        return "failed"
    return "called"


def opened(endpoint: Endpoint, gateway: GuardedGateway, failures: int = 3) -> GuardedGateway:
    endpoint.answer = fails
    assert [post(gateway) for _ in range(failures)] == ["failed"] * failures
    return gateway


def test_so_many_failures_in_a_row_open_it_and_then_no_call_is_made() -> None:
    endpoint = Endpoint()
    gateway = opened(endpoint, guard(endpoint))
    assert [post(gateway) for _ in range(20)] == ["refused"] * 20
    assert len(endpoint.calls) == 3


def test_a_success_between_starts_the_count_again() -> None:
    endpoint = Endpoint()
    gateway = guard(endpoint)
    for _ in range(5):
        endpoint.answer = fails
        assert [post(gateway), post(gateway)] == ["failed", "failed"]
        endpoint.answer = lambda queue: {}
        assert post(gateway) == "called"


def test_each_queue_has_its_own() -> None:
    endpoint = Endpoint()
    gateway = opened(endpoint, guard(endpoint))
    endpoint.answer = lambda queue: {}
    assert [post(gateway, queue) for queue in ("payments", "webhooks")] == ["refused", "called"]


def test_after_the_reset_time_one_success_closes_it() -> None:
    endpoint = Endpoint()
    gateway = opened(endpoint, guard(endpoint, reset_ms=NO_TIME_MS))
    endpoint.answer = lambda queue: {}
    wait_until(lambda: post(gateway) == "called", 5, "the breaker lets a call through")
    endpoint.answer = fails
    assert [post(gateway), post(gateway)] == ["failed", "failed"]  # the third would open it


def test_after_the_reset_time_one_failure_opens_it_again() -> None:
    endpoint = Endpoint()
    gateway = opened(endpoint, guard(endpoint, reset_ms=50))
    wait_until(lambda: post(gateway) == "failed", 5, "the breaker lets a call through")
    assert post(gateway) == "refused"
    assert len(endpoint.calls) == 4


def test_while_its_trial_is_on_the_way_every_other_is_refused() -> None:
    endpoint = Endpoint()
    gateway = opened(endpoint, guard(endpoint, reset_ms=NO_TIME_MS))
    under_way, go_on = threading.Event(), threading.Event()

    def answers_late(queue: str) -> dict[str, Any]:
        under_way.set()
        assert go_on.wait(10)
        return {}

    endpoint.answer = answers_late

    def trial() -> str:
        wait_until(lambda: (said := post(gateway)) != "refused" and said, 5, "a trial is made")
        return "tried"

    with ThreadPoolExecutor(1) as threads:
        tried = threads.submit(trial)
        assert under_way.wait(10)
        assert [post(gateway) for _ in range(5)] == ["refused"] * 5
        go_on.set()
        assert tried.result() == "tried"
    assert len(endpoint.calls) == 4
    endpoint.answer = lambda queue: {}
    assert [post(gateway) for _ in range(5)] == ["called"] * 5


def test_calls_of_several_threads_are_made_at_the_same_time() -> None:
    endpoint = Endpoint()
    gateway = guard(endpoint)
    together = threading.Barrier(4, timeout=10)

    def answers(queue: str) -> dict[str, Any]:
        together.wait()
        return {}

    endpoint.answer = answers
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(lambda _: post(gateway), range(4))) == {"called"}


@pytest.mark.parametrize("late_answer", ["success", "failure"])
def test_a_call_from_before_it_opened_does_not_move_it(late_answer: str) -> None:
    endpoint = Endpoint()
    gateway = guard(endpoint, reset_ms=NO_TIME_MS)
    under_way, go_on = threading.Event(), threading.Event()

    def answers_late(queue: str) -> dict[str, Any]:
        under_way.set()
        assert go_on.wait(10)
        return {} if late_answer == "success" else fails(queue)

    endpoint.answer = answers_late
    with ThreadPoolExecutor(1) as threads:
        late = threads.submit(post, gateway)
        assert under_way.wait(10)
        opened(endpoint, gateway)
        # The reset time is over soon: the state in which any answer could move it.
        circuit = gateway._circuit("payments")
        wait_until(lambda: circuit._breaker.state == "half_open", 5, "it is half-open")
        go_on.set()
        assert late.result() == ("called" if late_answer == "success" else "failed")
    assert circuit._breaker.state == "half_open"


def test_many_threads_open_it_once_and_lose_no_failure() -> None:
    endpoint = Endpoint()
    endpoint.answer = fails
    gateway = guard(endpoint, failures=400)
    switch = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as threads:
            said = list(threads.map(lambda _: post(gateway), range(1000)))
    finally:
        sys.setswitchinterval(switch)
    # Seven may have been let through before the 400th failure was counted.
    assert 400 <= said.count("failed") <= 407
    assert said.count("refused") == 1000 - said.count("failed")


def test_whatever_ends_a_call_but_an_answer_is_a_failure() -> None:
    endpoint = Endpoint()
    gateway = guard(endpoint, failures=1)

    def breaks_off(queue: str) -> dict[str, Any]:
        raise KeyboardInterrupt

    endpoint.answer = breaks_off
    with pytest.raises(KeyboardInterrupt):
        gateway.post("payments", JOB, job_id="a", attempt=0)
    assert post(gateway) == "refused"


@pytest.mark.parametrize("attempt", [0, 2, 3, 5, 40])
def test_a_refused_attempt_waits_as_long_as_any_other_and_for_the_reset(attempt: int) -> None:
    endpoint = Endpoint()
    gateway = opened(endpoint, guard(endpoint, reset_ms=5000))
    random.seed(attempt)
    delays = []
    for _ in range(200):
        with pytest.raises(GatewayUnavailable, match="payments was not called") as refused:
            gateway.post("payments", JOB, job_id="a", attempt=attempt)
        assert isinstance(refused.value, Retry)
        assert refused.value.delay is not None
        delays.append(refused.value.delay)
    backoff = 1000 * 2 ** min(attempt, 32)
    assert min(delays) >= min(max(backoff, 5000), DEFAULT_MAX_BACKOFF // 2)
    assert max(delays) <= min(2 * max(backoff, 5000), DEFAULT_MAX_BACKOFF)
    assert len(set(delays)) > 150  # they do not come back all at once


def test_closing_it_closes_the_client() -> None:
    endpoint = Endpoint()
    guard(endpoint).close()
    assert endpoint._pool.pool is None
