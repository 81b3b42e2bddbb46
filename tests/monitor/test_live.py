"""A feed that looks: whatever becomes of the server, the next snapshot comes and says so."""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import pytest

from perfkit.clock import ManualClock, SystemClock
from perfkit.errors import UsageError
from perfkit.monitor.attachment import Attached, Attachment
from perfkit.monitor.live import LiveFeed
from perfkit.monitor.opening import attach
from perfkit.monitor.recorder_source import RecorderSource
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
    assert second.mode == "live"
    totals = second.totals
    assert (totals.workers, totals.workers_alive, totals.workers_lost) == (None, None, None)


def test_between_two_trials_it_waits_and_at_the_end_it_has_ended() -> None:
    found = [Attached(attachment=None, waiting="the next trial has not begun")]
    feed = LiveFeed(lambda: found[-1])
    seen = feed.look()
    assert (seen.mode, seen.sources["redis"].ok) == ("waiting", False)
    found.append(Attached(attachment=None, waiting="the run is over", ended=True))
    assert feed.look().mode == "ended"
    assert feed.ended
    assert feed.silent_s is None, "nothing more is to come"


def test_a_server_whose_password_nobody_knows_is_trouble_and_no_waiting() -> None:
    def finder() -> Attached:
        raise UsageError("the password of redis://:***@h:1 is not known here", "name it")

    seen = LiveFeed(finder).look()
    assert seen.mode == "live"
    assert "is not known here" in seen.sources["redis"].detail


def test_a_look_that_fails_is_told_as_what_it_is_and_logged_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    calls: list[None] = []

    def finder() -> Attached:
        calls.append(None)
        if len(calls) < 3:
            raise RuntimeError("a mistake of ours")
        return Attached(attachment=None, waiting="the stack is down", ended=True)

    seen = []
    feed = LiveFeed(finder)
    feed.listen(lambda: seen.append(feed.snapshot))
    with feed:
        wait_until(lambda: len(seen) == 3, 20, "it goes on looking")
    assert seen[0] is not None
    assert seen[0].mode == "live"
    assert "the monitor can't look: RuntimeError" in seen[0].sources["redis"].detail
    assert caplog.text.count("a look failed") == 1
    assert "a mistake of ours" in caplog.text


def test_a_feed_that_hangs_is_known_to_be_silent() -> None:
    clock = ManualClock(0)
    over = threading.Event()

    def finder() -> Attached:
        over.wait()
        return Attached(attachment=None, waiting="", ended=True)

    feed = LiveFeed(finder, clock=clock)
    assert feed.silent_s is None
    with feed:
        clock.advance(30_000_000_000)
        assert feed.silent_s == 30.0
        over.set()


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
    queue = after.queue("payments")
    assert queue is not None
    assert (queue.done, queue.failed) == (20, 1)
    assert queue.wait_p95_s is None
    assert after.totals.rates_from != "recorder", "who records nothing tells no rates"


def test_queues_that_were_named_are_not_joined_by_others_that_the_recorder_knows(
    clean_redis: str, tmp_path: Path
) -> None:
    spool = SpoolWriter(tmp_path, name="w", role="worker", broker_id="broker-1")
    _record(spool, 1, time.monotonic_ns())
    named, searched = (
        LiveFeed(
            lambda queues=queues: Attached(
                attachment=Attachment(servers={"": clean_redis}, queues=queues, spool=tmp_path)
            )
        )
        for queues in (("mail",), None)
    )
    try:
        assert [each.name for each in named.look().queues] == ["mail"]
        assert [each.name for each in searched.look().queues] == ["payments"]
    finally:
        named.close()
        searched.close()
        spool.close()


@pytest.mark.parametrize("line", ["[1]", "5", '{"spool": 2}', '{"id": "zz", "text": "x"}', "\xff"])
def test_a_spool_that_somebody_else_wrote_is_told_and_redis_is_still_seen(
    clean_redis: str, tmp_path: Path, line: str
) -> None:
    (tmp_path / "w.1.jsonl").write_bytes(line.encode("latin-1") + b"\n")
    attachment = Attachment(servers={"": clean_redis}, queues=("mail",), spool=tmp_path)
    feed = LiveFeed(lambda: Attached(attachment=attachment))
    try:
        seen = feed.look()
    finally:
        feed.close()
    assert seen.broken == ("recorder",)
    assert seen.queue("mail").waiting == 0  # type: ignore[union-attr]


def test_timelines_are_kept_of_the_last_jobs_whatever_they_do(tmp_path: Path) -> None:
    spool = SpoolWriter(tmp_path, name="w", role="worker", broker_id="broker-1")
    source = RecorderSource(tmp_path)
    for round_ in range(3):
        for number in range(3000):
            _record(spool, round_ * 3000 + number, time.monotonic_ns())
        source.look(SystemClock())
    spool.close()
    assert source.job("order-8999") is not None
    assert source.job("order-0") is None
    assert len(source._jobs) <= 5000
    assert source._events == sum(len(each) for each in source._jobs.values()) <= 60_000


def test_a_spool_that_vanishes_is_told(clean_redis: str, tmp_path: Path) -> None:
    folder = tmp_path / "spool"
    attached = Attached(attachment=Attachment(servers={"": clean_redis}, queues=(), spool=folder))
    feed = LiveFeed(lambda: attached)
    try:
        seen = feed.look()
    finally:
        feed.close()
    assert "is not there" in seen.sources["recorder"].detail
    SpoolWriter(folder, name="w", role="worker", broker_id="broker-1").close()
    feed = LiveFeed(lambda: attached)
    try:
        feed.look()
        shutil.rmtree(folder)
        seen = feed.look()
    finally:
        feed.close()
    assert "is gone" in seen.sources["recorder"].detail
