"""What the workers do: one actor per queue, each with one call to the gateway per attempt.

A job is a JSON object (`job`); its ``key`` is data of the application like any other. A call that
fails raises `GatewayError`, and Dramatiq's Retries middleware enqueues the next attempt. Where a
circuit breaker is on, an attempt may also fail without a call (`breaker`).

Where ``SAMPLE_POISON=1``, a job with ``"poison": true`` kills the process that runs it, as one that
drives a native library into the wall would: without a word, and again wherever it comes up next.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

import dramatiq
from dramatiq.middleware import CurrentMessage

from .broker import broker
from .client import GatewayClient, GatewayError
from .ledger import Ledger
from .settings import SETTINGS

if TYPE_CHECKING:
    from .breaker import GuardedGateway

__all__ = ["ACTORS", "notifications", "payments", "webhooks"]

Job = dict[str, Any]


_shared: dict[str, GatewayClient | GuardedGateway] = {}
# A child must not talk over its parent's sockets.
os.register_at_fork(after_in_child=_shared.clear)


def _gateway() -> GatewayClient | GuardedGateway:
    """The one of this process: a breaker has to see every call."""
    if (gateway := _shared.get("gateway")) is None:
        # Threads that come first together make one each, and all get the same.
        gateway = _shared.setdefault("gateway", _new_gateway())
    return gateway


def _new_gateway() -> GatewayClient | GuardedGateway:
    client = GatewayClient(SETTINGS.gateway_url, timeout_s=SETTINGS.gateway_timeout_ms / 1000)
    if not SETTINGS.gateway_breaker:
        return client
    # Whoever has it off does not pay for its import.
    from .breaker import GuardedGateway

    return GuardedGateway(
        client,
        failures=SETTINGS.gateway_breaker_failures,
        reset_ms=SETTINGS.gateway_breaker_reset_ms,
        min_backoff_ms=SETTINGS.retry_min_backoff_ms,
    )


def _message() -> dramatiq.MessageProxy | dramatiq.Message[Any]:
    message = CurrentMessage.get_current_message()
    if message is None:
        raise RuntimeError("this actor needs a message: send() it, and let a worker run it")
    return message


def _call(queue: str, job: Job) -> Mapping[str, Any]:
    if SETTINGS.poison and job.get("poison") is True:
        os.kill(os.getpid(), signal.SIGKILL)
    message = _message()
    return _gateway().post(
        queue, job, job_id=message.message_id, attempt=message.options.get("retries", 0)
    )


@dramatiq.actor(broker=broker, queue_name="payments")
def payments(job: Job) -> None:
    """Charge ``job["amount"]`` cents, once per job however often it is run."""

    def charge() -> str:
        answer = _call("payments", job)
        if not isinstance(made := answer.get("charge"), str):
            raise GatewayError("payments answered without a charge")
        return made

    # The client is looked up each time: whoever runs the worker may have replaced it.
    Ledger(broker.client).settle(_message().message_id, charge)


@dramatiq.actor(broker=broker, queue_name="notifications")
def notifications(job: Job) -> None:
    """Hand one notification to the provider."""
    _call("notifications", job)


@dramatiq.actor(broker=broker, queue_name="webhooks")
def webhooks(job: Job) -> None:
    """Post one event to a subscriber's endpoint."""
    _call("webhooks", job)


ACTORS: Final = {actor.queue_name: actor for actor in (payments, notifications, webhooks)}
"""The actors by the name of their queue."""
