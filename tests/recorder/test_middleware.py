"""The recorder in a broker: the whole life of a job, as its events tell it."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dramatiq
import pytest
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker
from dramatiq.middleware import Retries, SkipMessage

from perfkit.recorder import Event, Kind, Recorder, install, read_spools
from tests.waiting import wait_until

Events = Callable[..., list[Event]]
RunWorker = Callable[..., dramatiq.Worker]


@pytest.fixture
def recorder(redis_broker: RedisBroker, tmp_path: Path) -> Recorder:
    return install(redis_broker, tmp_path / "spool", name="w1", role="worker")


def declare(broker: dramatiq.Broker, work: Callable[..., Any], **options: Any) -> Any:
    return dramatiq.actor(actor_name="pay", queue_name="payments", broker=broker, **options)(work)


def assert_in_order(*stamps: int | None) -> None:
    known = [stamp for stamp in stamps if stamp is not None]
    assert len(known) == len(stamps), f"a stamp is missing in {stamps}"
    assert known == sorted(known)


def work(number: int) -> None:
    if number < 0:
        raise ValueError("refused")


def test_a_job_is_enqueued_fetched_started_finished_and_acked_in_that_order(
    recorder: Recorder, redis_broker: RedisBroker, run_worker: RunWorker, events: Events
) -> None:
    message = declare(redis_broker, work).send(1)
    run_worker(redis_broker)
    wait_until(lambda: events(Kind.ACK), 5, "the job is acked")
    enq, start, end, ack = events()
    assert [event.kind for event in (enq, start, end, ack)] == [
        Kind.ENQ,
        Kind.START,
        Kind.END,
        Kind.ACK,
    ]
    assert enq.enqueued_ns == start.enqueued_ns == message.options["pk_t"]
    assert_in_order(
        start.enqueued_ns,
        start.fetched_ns,
        start.started_ns,
        end.finished_ns,
        ack.t1_ns,
        ack.acked_ns,
    )
    assert_in_order(enq.enqueued_ns, enq.enqueue_done_ns, start.fetched_ns)
    for event in (enq, start, end, ack):
        assert event.message_id == message.message_id
        assert event.redis_message_id == message.options["redis_message_id"]
        assert (event.queue, event.delayed) == ("payments", False)
        assert (event.actor, event.attempt, event.error) == ("pay", 0, None)
    assert start.thread_id == end.thread_id == ack.thread_id > 0
    assert enq.thread_id == 0


def test_a_retry_keeps_its_message_id_and_gets_a_new_redis_id(
    recorder: Recorder, redis_broker: RedisBroker, run_worker: RunWorker, events: Events
) -> None:
    tries: list[int] = []

    def fail_once() -> None:
        tries.append(1)
        if len(tries) == 1:
            raise ValueError("first time")

    message = declare(redis_broker, fail_once, min_backoff=20, max_backoff=20).send()
    run_worker(redis_broker)
    wait_until(lambda: len(events(Kind.ACK)) == 3, 5, "both attempts and the hop are acked")
    first, second = events(Kind.START)
    assert first.message_id == second.message_id == message.message_id
    assert (first.attempt, second.attempt) == (0, 1)
    assert first.redis_message_id != second.redis_message_id
    assert [(end.attempt, end.error) for end in events(Kind.END)] == [(0, "ValueError"), (1, None)]
    failed = next(ack for ack in events(Kind.ACK) if ack.attempt == 0)
    assert failed.redis_message_id == first.redis_message_id, "failed but retried: acked"
    assert not events(Kind.NACK)
    enqueued = [(event.attempt, event.delayed) for event in events(Kind.ENQ)]
    assert enqueued == [(0, False), (1, True), (1, False)]
    assert second.enqueued_ns == events(Kind.ENQ)[2].enqueued_ns, "stamped anew at each hop"


def test_a_dead_letter_is_nacked(
    recorder: Recorder, redis_broker: RedisBroker, run_worker: RunWorker, events: Events
) -> None:
    message = declare(redis_broker, work, max_retries=0).send(-1)
    run_worker(redis_broker)
    wait_until(lambda: events(Kind.NACK), 5, "the job is dead")
    [nack] = events(Kind.NACK)
    [end] = events(Kind.END)
    assert (nack.message_id, nack.attempt, end.error) == (message.message_id, 0, "ValueError")
    assert_in_order(end.finished_ns, nack.acked_ns)
    assert not events(Kind.ACK)


def test_a_message_for_an_unknown_actor_is_nacked_without_a_start(
    recorder: Recorder, redis_broker: RedisBroker, run_worker: RunWorker, events: Events
) -> None:
    declare(redis_broker, work)
    redis_broker.enqueue(
        dramatiq.Message(queue_name="payments", actor_name="gone", args=(), kwargs={}, options={})
    )
    run_worker(redis_broker)
    wait_until(lambda: events(Kind.NACK), 5, "the message is dead")
    assert not events(Kind.START)
    assert events(Kind.NACK)[0].actor == "gone"


def test_a_delayed_job_is_put_aside_and_hops_to_its_queue(
    recorder: Recorder, redis_broker: RedisBroker, run_worker: RunWorker, events: Events
) -> None:
    message = declare(redis_broker, work).send_with_options(args=(1,), delay=30)
    run_worker(redis_broker)
    wait_until(lambda: len(events(Kind.ACK)) == 2, 5, "the job and its hop are acked")
    into_delay, into_queue = events(Kind.ENQ)
    [aside] = events(Kind.DELAY)
    [start] = events(Kind.START)
    assert (into_delay.delayed, into_queue.delayed) == (True, False)
    assert into_delay.queue == into_queue.queue == "payments"
    assert into_delay.redis_message_id == aside.redis_message_id
    assert into_queue.redis_message_id == start.redis_message_id != aside.redis_message_id
    assert into_delay.message_id == start.message_id == message.message_id
    assert into_delay.enqueued_ns == aside.enqueued_ns
    assert_in_order(aside.enqueued_ns, aside.fetched_ns, aside.t3_ns)
    assert {ack.delayed: ack.redis_message_id for ack in events(Kind.ACK)} == {
        True: aside.redis_message_id,
        False: start.redis_message_id,
    }


def test_a_skipped_job_is_told_from_one_that_ran(
    recorder: Recorder, redis_broker: RedisBroker, run_worker: RunWorker, events: Events
) -> None:
    class Skipper(dramatiq.Middleware):
        def before_process_message(self, broker: Any, message: Any) -> None:
            raise SkipMessage("not today")

    redis_broker.add_middleware(Skipper(), before=Retries)
    declare(redis_broker, work).send(1)
    run_worker(redis_broker)
    wait_until(lambda: events(Kind.ACK), 5, "the job is acked")
    assert [event.kind for event in events()] == [Kind.ENQ, Kind.SKIP, Kind.ACK]


def test_a_broker_without_redis_ids_is_recorded_too(
    tmp_path: Path, run_worker: RunWorker, events: Events
) -> None:
    broker = StubBroker()
    install(broker, tmp_path / "spool", name="w1", role="worker")
    message = declare(broker, work).send(1)
    run_worker(broker)
    wait_until(lambda: events(Kind.ACK), 5, "the job is acked")
    assert [event.kind for event in events()] == [Kind.ENQ, Kind.START, Kind.END, Kind.ACK]
    assert {event.redis_message_id for event in events()} == {None}
    assert {event.message_id for event in events()} == {message.message_id}
    [start] = events(Kind.START)
    assert start.fetched_ns is None
    assert_in_order(start.enqueued_ns, start.started_ns)


def test_a_message_from_a_producer_that_is_not_recorded_has_no_enqueue_stamp(
    redis_broker: RedisBroker, tmp_path: Path, run_worker: RunWorker, events: Events
) -> None:
    declare(redis_broker, work).send(1)
    install(redis_broker, tmp_path / "spool", name="w1", role="worker")
    run_worker(redis_broker)
    wait_until(lambda: events(Kind.ACK), 5, "the job is acked")
    assert events(Kind.START)[0].enqueued_ns is None


def test_what_cant_be_recorded_is_counted_and_harms_nobody(
    recorder: Recorder, redis_broker: RedisBroker, tmp_path: Path, run_worker: RunWorker
) -> None:
    done: list[int] = []
    declare(redis_broker, done.append).send_with_options(args=(1,), retries="many")
    run_worker(redis_broker)
    wait_until(lambda: done, 5, "the job is done")
    redis_broker.join("payments", interval=10, timeout=5000)
    [contents] = read_spools(tmp_path / "spool")
    assert contents.lost == 4  # ENQ, START, END, ACK
    assert contents.reason.startswith("TypeError")
    assert contents.events == []


def test_the_recorder_stands_last(recorder: Recorder, redis_broker: RedisBroker) -> None:
    assert redis_broker.middleware[-1] is recorder


def test_a_broker_is_recorded_once(
    recorder: Recorder, redis_broker: RedisBroker, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="recorded already"):
        install(redis_broker, tmp_path, name="w2", role="worker")


def test_a_producer_keeps_the_class_of_its_broker(
    redis_broker: RedisBroker, tmp_path: Path
) -> None:
    install(redis_broker, tmp_path, name="ingest", role="producer")
    assert type(redis_broker) is RedisBroker


def test_a_job_id_of_the_applications_own_making_is_kept(
    recorder: Recorder, redis_broker: RedisBroker, events: Events
) -> None:
    actor = declare(redis_broker, work)
    given = str(uuid.uuid5(uuid.NAMESPACE_URL, "order-17"))
    redis_broker.enqueue(actor.message(1).copy(message_id=given))
    redis_broker.enqueue(actor.message(1).copy(message_id="order-17"))
    assert [event.message_id for event in events(Kind.ENQ)] == [given, "order-17"]


def test_what_a_worker_took_ahead_and_gave_back_as_it_stopped_was_requeued(
    recorder: Recorder, redis_broker: RedisBroker, run_worker: RunWorker, events: Events
) -> None:
    begun, go_on = threading.Event(), threading.Event()

    def slow() -> None:
        begun.set()
        go_on.wait(10)

    actor = declare(redis_broker, slow)
    sent = [actor.send(), actor.send()]
    worker = run_worker(redis_broker, worker_threads=1)
    wait_until(begun.is_set, 5, "the first job runs")
    wait_until(lambda: worker.work_queue.qsize() == 1, 5, "one more was taken ahead")
    stopping = threading.Thread(target=worker.stop)
    stopping.start()
    go_on.set()
    stopping.join()
    [start] = events(Kind.START)
    back = events(Kind.REQUEUE)
    assert {event.message_id for event in (start, *back)} == {each.message_id for each in sent}
    for event in back:
        assert (event.queue, event.actor, event.attempt) == ("payments", "pay", 0)
        assert_in_order(event.enqueued_ns, event.fetched_ns, event.requeued_ns)
    run_worker(redis_broker)
    wait_until(lambda: len(events(Kind.ACK)) == 2, 5, "the other is done later")
    later = {event.redis_message_id for event in events(Kind.START)[1:]}
    assert later == {event.redis_message_id for event in back}, "the same id, started elsewhere"


def test_what_could_not_be_given_back_was_not_requeued(
    recorder: Recorder, redis_broker: RedisBroker, events: Events
) -> None:
    declare(redis_broker, work).send(1)
    consumer: Any = redis_broker.consume("payments", timeout=10)
    message = next(consumer)
    client, redis_broker.client = redis_broker.client, None
    scripts, redis_broker.scripts = redis_broker.scripts, {}
    with pytest.raises(KeyError):
        consumer.requeue([message])
    redis_broker.client, redis_broker.scripts = client, scripts
    assert not events(Kind.REQUEUE)
    consumer.requeue(each for each in [message])
    [back] = events(Kind.REQUEUE)
    assert back.message_id == message.message_id


def test_a_delayed_message_that_was_given_back_is_told_from_a_due_one(
    recorder: Recorder, redis_broker: RedisBroker, run_worker: RunWorker, events: Events
) -> None:
    declare(redis_broker, work).send_with_options(args=(1,), delay=60_000)
    worker = run_worker(redis_broker)
    wait_until(lambda: events(Kind.DELAY), 5, "the message is put aside")
    worker.stop()
    [back] = events(Kind.REQUEUE)
    assert (back.queue, back.delayed) == ("payments", True)
    assert back.redis_message_id == events(Kind.DELAY)[0].redis_message_id


def test_the_same_id_twice_in_a_list_is_two_deliveries_told_by_their_threads(
    recorder: Recorder, redis_broker: RedisBroker, run_worker: RunWorker, events: Events
) -> None:
    both = threading.Barrier(2, timeout=5)
    message = declare(redis_broker, lambda: both.wait() and None).send()
    rid = message.options["redis_message_id"]
    redis_broker.client.rpush("dramatiq:payments", rid)  # as a client that sends again does
    run_worker(redis_broker, worker_threads=2)
    wait_until(lambda: len(events(Kind.ACK)) == 2, 5, "both are acked")
    for kind in (Kind.START, Kind.END, Kind.ACK):
        assert [event.redis_message_id for event in events(kind)] == [rid, rid]
        assert len({event.thread_id for event in events(kind)}) == 2
