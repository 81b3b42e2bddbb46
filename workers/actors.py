"""What the workers do: one actor per queue, each with one call to the gateway per attempt.

A job is a JSON object (`job`); its ``key`` is data of the application like any other. A call that
fails raises `GatewayError`, and Dramatiq's Retries middleware enqueues the next attempt.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from typing import Any, Final

import dramatiq
from dramatiq.middleware import CurrentMessage

from .broker import broker
from .client import GatewayClient, GatewayError
from .ledger import Ledger
from .settings import SETTINGS

__all__ = ["ACTORS", "notifications", "payments", "webhooks"]

Job = dict[str, Any]


@functools.cache
def _gateway() -> GatewayClient:
    return GatewayClient(SETTINGS.gateway_url)


# A child must not talk over its parent's sockets.
os.register_at_fork(after_in_child=_gateway.cache_clear)


def _message() -> dramatiq.MessageProxy | dramatiq.Message[Any]:
    message = CurrentMessage.get_current_message()
    if message is None:
        raise RuntimeError("this actor needs a message: send() it, and let a worker run it")
    return message


def _call(queue: str, job: Job) -> Mapping[str, Any]:
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
