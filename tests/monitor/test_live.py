"""A feed that looks: whatever becomes of the server, the next snapshot comes and says so."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from perfkit.errors import UsageError
from perfkit.monitor.attachment import Attached, Attachment
from perfkit.monitor.live import LiveFeed
from perfkit.monitor.opening import attach
from perfkit.recorder import Kind, SpoolWriter
from tests.conftest import free_port, private_redis
from tests.monitor.apps import broker_of, feed_of, send
from tests.waiting import wait_until


def test_a_server_that_goes_away_is_broken_and_comes_back() -> None:
    with private_redis() as server, broker_of(server.url) as broker:
        send(broker, 7)
        feed = feed_of(server.url, "payments")
        try:
            assert feed.look().broken == ()
            os.kill(server.pid, signal.SIGSTOP)
            try:
                seen = feed.look()
                assert seen.broken == ("redis",)
                assert "does not answer in time" in seen.sources["redis"].detail
                queue = seen.queue("payments")
                assert queue is not None
                assert queue.waiting is None, "unknown, and not nought"
                assert seen.redis is not None
                assert seen.redis.ops is None
            finally:
                os.kill(server.pid, signal.SIGCONT)
            wait_until(lambda: not feed.look().broken, 20, "it is back")
            queue = feed.look().queue("payments")
            assert queue is not None
            assert queue.waiting == 7
        finally:
            feed.close()


def test_a_wrong_password_is_told_and_no_secret(clean_redis: str) -> None:
    parts = urlsplit(clean_redis)
    url = urlunsplit(parts._replace(netloc=f":wrong-secret@{parts.hostname}:{parts.port}"))
    feed = feed_of(url, "payments")
    try:
        seen = feed.look()
    finally:
        feed.close()
    assert "refuses the user or the password" in seen.sources["redis"].detail
    assert "wrong-secret" not in str(seen.document())


def test_no_server_at_all_is_broken_and_looked_for_ever_less_often() -> None:
    feed = feed_of(f"redis://127.0.0.1:{free_port()}/0", "payments")
    try:
        first, second = feed.look(), feed.look()
    finally:
        feed.close()
    assert first.broken == second.broken == ("redis",)
    assert second.sources["redis"].since_s >= 0
    assert second.sources["redis"].age_s is None


def test_its_thread_looks_and_ends(clean_redis: str) -> None:
    with feed_of(clean_redis, "payments") as feed:
        wait_until(lambda: feed.snapshot is not None, 20, "a first look")
    wait_until(lambda: not feed._thread.is_alive(), 10, "it ended")  # type: ignore[union-attr]


@pytest.mark.parametrize("url", ["nonsense", "redis://:p@ss:word@x:port/0", "http://x"])
def test_a_url_that_can_not_be_read_is_refused_at_once(url: str) -> None:
    with pytest.raises(UsageError, match="URL"):
        attach(url)


@pytest.mark.parametrize("name", ["", "a b", "<script>", "x" * 300, "é"])
def test_a_queue_that_can_not_be_called_so_is_refused(name: str) -> None:
    with pytest.raises(UsageError, match="queue"):
        attach("redis://127.0.0.1/0", queues=[name])


def test_a_threshold_that_can_not_be_read_is_refused() -> None:
    with pytest.raises(UsageError, match="is no threshold"):
        attach("redis://127.0.0.1/0", thresholds=["queue.depth max<3"])


def _record(spool: SpoolWriter, number: int, now_ns: int, error: str = "") -> str:
    """A job that waited 0.2 s and ran for 0.1 s, and ended now."""
    job = f"order-{number}"
    identity = spool.identity(job, f"r{number}", "payments", "charge", 0)
    started = now_ns - 100_000_000
    enqueued = started - 200_000_000
    spool.record(identity, Kind.ENQ, enqueued, enqueued + 1)
    spool.record(identity, Kind.START, enqueued, enqueued + 1000, started)
    spool.record(identity, Kind.END, now_ns, 0, 0, spool.index(error) if error else 0)
    spool.record(identity, Kind.ACK, now_ns, now_ns + 1000)
    return job


def test_with_a_recorder_waits_runs_errors_and_timelines_are_known(
    clean_redis: str, tmp_path: Path
) -> None:
    spool = SpoolWriter(tmp_path, name="w", role="worker", broker_id="broker-1")
    now_ns = time.monotonic_ns()
    jobs = [_record(spool, number, now_ns) for number in range(20)]
    _record(spool, 20, now_ns, "GatewayError")
    attached = Attached(
        attachment=Attachment(
            servers={"": clean_redis}, queues=("payments",), spool=tmp_path, subject="test"
        )
    )
    feed = LiveFeed(lambda: attached)
    try:
        seen = feed.look()
        job = feed.job(jobs[3])
        assert feed.job("nobody") is None
        spool.close()
        after = feed.look()
    finally:
        feed.close()
    queue = seen.queue("payments")
    assert queue is not None
    assert queue.wait_p95_s == pytest.approx(0.2, abs=0.01)
    assert queue.run_p50_s == pytest.approx(0.1, abs=0.01)
    assert queue.latency_p99_s == pytest.approx(0.3, abs=0.01)
    assert (queue.done, queue.failed) == (20, 1)
    assert [(each.type, each.count) for each in seen.errors] == [("GatewayError", 1)]
    assert seen.slow_jobs[0].latency_s == pytest.approx(0.3, abs=0.01)
    assert job is not None
    [attempt] = job["attempts"]
    assert attempt["outcome"] == "done"
    assert attempt["enqueued_ns"] < attempt["fetched_ns"] < attempt["started_ns"]
    [worker] = seen.workers
    assert (worker.name, worker.role, worker.alive, worker.pid) == (
        "w",
        "worker",
        True,
        os.getpid(),
    )
    assert after.broken == ("recorder",), "nobody records any more"


def test_a_spool_that_vanishes_is_told(clean_redis: str, tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    attached = Attached(attachment=Attachment(servers={"": clean_redis}, queues=(), spool=folder))
    feed = LiveFeed(lambda: attached)
    try:
        seen = feed.look()
    finally:
        feed.close()
    assert "is gone" in seen.sources["recorder"].detail
