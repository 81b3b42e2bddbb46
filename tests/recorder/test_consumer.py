"""The fetch stamp is the time of the batch, whatever the broker's class."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns
from typing import Any

import dramatiq
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker

from perfkit.recorder import Event, Kind, install
from perfkit.recorder.consumer import FETCHED, stamp_fetches
from tests.waiting import wait_until


def test_messages_of_one_batch_share_the_time_of_its_arrival(redis_broker: RedisBroker) -> None:
    actor = dramatiq.actor(actor_name="pay", broker=redis_broker)(lambda: None)
    for _ in range(3):
        actor.send()
    stamp_fetches(redis_broker)
    consumer = redis_broker.consume("default", prefetch=3, timeout=10)
    before = monotonic_ns()
    first: Any = next(consumer)
    after = monotonic_ns()
    stamps = [getattr(message, FETCHED) for message in (first, next(consumer), next(consumer))]
    assert before <= stamps[0] <= after
    assert stamps == [stamps[0]] * 3
    actor.send()
    consumer.ack(first)
    second: Any = next(consumer)
    assert getattr(second, FETCHED) > after, "a new batch has a stamp of its own"


def test_an_application_may_have_its_own_broker_and_consumer(
    clean_redis: str,
    tmp_path: Path,
    run_worker: Callable[..., dramatiq.Worker],
    events: Callable[..., list[Event]],
) -> None:
    stock: Any = RedisBroker.consumer_class.fget  # type: ignore[attr-defined]

    class OwnBroker(RedisBroker):
        @property
        def consumer_class(self) -> Any:
            return type("OwnConsumer", (stock(self),), {"mark": "own"})

    own: Any = OwnBroker
    broker = own(url=clean_redis)
    other = own(client=broker.client)
    install(broker, tmp_path / "spool", name="w1", role="worker")
    dramatiq.actor(actor_name="pay", broker=broker)(lambda: None).send()
    worker = run_worker(broker)
    wait_until(lambda: events(Kind.ACK), 5, "the job is acked")
    consumer: Any = worker.consumers["default"].consumer
    assert consumer.mark == "own"
    assert isinstance(broker, OwnBroker)
    assert type(other) is OwnBroker, "another broker of the process is left alone"
    [start] = events(Kind.START)
    assert start.fetched_ns is not None
    worker.stop()
    broker.client.connection_pool.disconnect()


def test_a_consumer_without_a_cache_is_stamped_when_it_hands_over() -> None:
    class Consumer(dramatiq.Consumer):
        def __next__(self) -> Any:
            return dramatiq.MessageProxy(dramatiq.Message("q", "a", (), {}, {}))

    class OwnBroker(StubBroker):
        consumer_class = Consumer

    broker: Any = OwnBroker()
    assert stamp_fetches(broker)
    before = monotonic_ns()
    message: Any = next(broker.consumer_class())
    assert before <= getattr(message, FETCHED) <= monotonic_ns()


def test_a_broker_without_a_consumer_class_is_left_alone() -> None:
    broker = StubBroker()
    assert not stamp_fetches(broker)
    assert type(broker) is StubBroker
