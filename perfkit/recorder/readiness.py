"""Saying that a worker is ready: when its consumers have polled, not when its threads exist."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import dramatiq
from dramatiq import Broker, ConsumerThread, Worker

__all__ = ["announce", "describe", "is_polling", "ready_path"]


def ready_path(directory: Path, name: str) -> Path:
    """Where the worker of that name says that it is ready."""
    return Path(directory) / f"{name}.ready"


def is_polling(worker: Worker) -> bool:
    """Every consumer of the worker has asked its queue for messages and got an answer."""
    return all(_has_polled(thread) for thread in worker.consumers.values())


def _has_polled(thread: ConsumerThread) -> bool:
    consumer: Any = thread.consumer
    if consumer is None:
        return False
    # A Redis consumer counts polls that brought nothing, and keeps the ids of what it handed out.
    return bool(getattr(consumer, "misses", 1) or getattr(consumer, "queued_message_ids", ()))


def describe(broker: Broker) -> dict[str, Any]:
    """Queues (sorted), actors by name with their queue, namespace (null where there is none)."""
    return {
        "queues": sorted(broker.get_declared_queues()),
        "actors": {name: actor.queue_name for name, actor in sorted(broker.actors.items())},
        "namespace": getattr(broker, "namespace", None),
    }


def announce(path: Path, worker: Worker, *, name: str, rebound: bool) -> None:
    """Write the ready file of a worker in one step.

    JSON: pid, name, broker_id, namespace, queues (those consumed), actors, dramatiq_version,
    rebound (the broker was moved to REDIS_URL).
    """
    broker = worker.broker
    delayed = broker.get_declared_delay_queues()
    contents = {
        "pid": os.getpid(),
        "name": name,
        "broker_id": getattr(broker, "broker_id", None),
        **describe(broker),
        "queues": sorted(queue for queue in worker.consumers if queue not in delayed),
        "dramatiq_version": dramatiq.__version__,
        "rebound": rebound,
    }
    partial = path.with_name(f"{path.name}.{os.getpid()}")
    partial.write_text(json.dumps(contents))
    partial.replace(path)
