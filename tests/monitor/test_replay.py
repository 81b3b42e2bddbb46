"""A recorded run shown again: the same snapshots, at any moment."""

from __future__ import annotations

import pyarrow.compute as pc
import pytest

from perfkit.errors import UsageError
from perfkit.monitor.replay import ReplayFeed
from perfkit.monitor.serving import serve
from perfkit.monitor.snapshot import Snapshot
from perfkit.paths import example_data
from perfkit.store import open_run
from tests.monitor.apps import Events, document


@pytest.fixture(scope="module")
def feed() -> ReplayFeed:
    return ReplayFeed(example_data() / "good")


def test_the_last_moment_counts_every_job_of_the_run(feed: ReplayFeed) -> None:
    jobs = open_run(example_data() / "good").table("jobs", feed.trial)
    done = pc.sum(pc.equal(jobs["outcome"], "done")).as_py()
    assert sum(each.done or 0 for each in feed.snapshot.queues) == done
    assert done > 0


def test_a_moment_in_the_middle_has_load_rates_and_durations(feed: ReplayFeed) -> None:
    seen = feed.at(feed.length_s / 2)
    assert seen.mode == "replay"
    assert seen.load is not None
    assert seen.load.offered is not None
    assert seen.load.offered > 0
    assert seen.totals.rate_out is not None
    assert seen.totals.rate_out > 0
    assert any(each.wait_p95_s is not None for each in seen.queues)
    assert seen.replay is not None
    assert seen.replay.position_s == pytest.approx(feed.length_s / 2)
    assert Snapshot.from_document(seen.document()).queues[0].name == seen.queues[0].name


def test_positions_beyond_the_run_are_its_ends(feed: ReplayFeed) -> None:
    assert feed.at(-5).replay == feed.at(0).replay
    assert feed.at(1e9).replay == feed.at(feed.length_s).replay


def test_every_job_has_its_timeline(feed: ReplayFeed) -> None:
    job = feed.snapshot.slow_jobs[0]
    told = feed.job(job.id)
    assert told is not None
    assert told["queue"] == job.queue
    assert told["attempts"][0]["started_ns"] is not None
    assert feed.job("nobody") is None


def test_a_page_seeks_and_is_paused_by_its_address_alone(feed: ReplayFeed) -> None:
    with serve(feed) as served:
        events = Events(served, "/events?from=2&paused=1")
        assert events.next()[0] == "history"
        name, _, told = events.next()
        assert (name, told["replay"]["position_s"], told["replay"]["playing"]) == (
            "snapshot", 2.0, False,
        )  # fmt: skip
        events.close()
        assert document(served, "/snapshot?at=3")["replay"]["position_s"] == 3.0


def test_a_page_plays_faster_than_it_was(feed: ReplayFeed) -> None:
    with serve(feed) as served:
        events = Events(served, "/events?from=0&speed=4")
        events.next()
        first, second = events.next()[2], events.next()[2]
        assert first["replay"]["playing"]
        assert second["replay"]["position_s"] - first["replay"]["position_s"] == 4.0
        events.close()


def test_who_was_told_to_stop_is_not_lost(feed: ReplayFeed) -> None:
    workers = feed.snapshot.workers
    assert workers
    assert not [each for each in workers if each.lost]
    assert feed.snapshot.totals.workers_lost == 0


def test_what_a_run_did_not_record_is_no_source_of_it(feed: ReplayFeed) -> None:
    for name, source in feed.snapshot.sources.items():
        assert source.ok, name
    assert ("redis" in feed.snapshot.sources) == (feed.snapshot.redis is not None)


def test_a_bad_run_is_shown_with_its_troubles() -> None:
    run = ReplayFeed(example_data() / "bad")
    assert run.snapshot.errors
    with pytest.raises(UsageError, match="has no trial"):
        ReplayFeed(example_data() / "bad", 99)
