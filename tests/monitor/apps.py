"""A real broker that is looked at, and small conveniences to talk to a served monitor."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import dramatiq
from dramatiq.brokers.redis import RedisBroker

from perfkit.monitor.attachment import DEFAULT_HEARTBEAT_NS
from perfkit.monitor.feed import ManualFeed
from perfkit.monitor.finders import fixed
from perfkit.monitor.live import LiveFeed
from perfkit.monitor.serving import Served
from perfkit.monitor.snapshot import Queue, Snapshot, Totals


@contextmanager
def broker_of(url: str) -> Iterator[RedisBroker]:
    """A stock broker that never runs maintenance."""
    broker = RedisBroker(url=url, maintenance_chance=0)  # type: ignore[no-untyped-call]
    try:
        yield broker
    finally:
        broker.client.connection_pool.disconnect()


def send(broker: RedisBroker, count: int, queue: str = "payments", **options: Any) -> None:
    """Enqueue so many messages."""
    broker.declare_queue(queue)
    for _ in range(count):
        message = dramatiq.Message[None](
            queue_name=queue, actor_name="charge", args=(), kwargs={}, options={}
        )
        broker.enqueue(message, **options)


def fetch(broker: RedisBroker, count: int, queue: str = "payments") -> Any:
    """Take so many messages, and keep them."""
    consumer = broker.consume(queue, prefetch=count, timeout=10)
    assert all(next(consumer) is not None for _ in range(count))
    return consumer


def feed_of(url: str, *queues: str, timeout_ns: int = DEFAULT_HEARTBEAT_NS) -> LiveFeed:
    """A feed that looks when it is told to (`LiveFeed.look`)."""
    return LiveFeed(fixed(url, queues=queues or None, heartbeat_timeout_ns=timeout_ns))


def manual(*seqs: int) -> ManualFeed:
    """A feed with snapshots of these numbers."""
    feed = ManualFeed(jobs={"job-1": {"id": "job-1", "attempts": []}})
    for seq in seqs:
        feed.push(snapshot(seq))
    return feed


def snapshot(seq: int, **more: Any) -> Snapshot:
    """One with a queue."""
    queue = Queue(name="payments", waiting=seq, rate_out=5.0, errors_rate=1.0, done=seq)
    totals = Totals(waiting=seq, queues=1)
    return Snapshot(seq=seq, at_s=1_700_000_000.0 + seq, queues=(queue,), totals=totals, **more)


def get(
    served: Served, path: str, headers: Mapping[str, str] | None = None, method: str = "GET"
) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body."""
    parts = urlsplit(served.url)
    with closing(
        http.client.HTTPConnection(parts.hostname or "", served.port, timeout=10)
    ) as http_:
        http_.request(method, path, headers=dict(headers or {}))
        answer = http_.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return answer.status, told, answer.read()


def document(served: Served, path: str) -> Any:
    """The JSON of an answer that is fine."""
    status, _, body = get(served, path)
    assert status == 200, body
    return json.loads(body)


class Events:
    """A client of server-sent events."""

    def __init__(self, served: Served, path: str = "/events", last: str | None = None) -> None:
        parts = urlsplit(served.url)
        self._http = http.client.HTTPConnection(parts.hostname or "", served.port, timeout=10)
        self._http.request("GET", path, headers={"Last-Event-ID": last} if last else {})
        self._answer = self._http.getresponse()
        assert self._answer.status == 200

    def next(self) -> tuple[str, str | None, Any]:
        """Name, id and data of the next event."""
        fields: dict[str, str] = {}
        while True:
            line = self._answer.readline().decode()
            if not line:
                raise EOFError
            if line == "\n":
                if "data" in fields:
                    return fields["event"], fields.get("id"), json.loads(fields["data"])
                fields = {}
            elif not line.startswith(":"):
                name, _, value = line.rstrip("\n").partition(": ")
                fields[name] = value

    def close(self) -> None:
        """Hang up."""
        self._answer.close()
        self._http.close()
