"""Snapshots: what is unknown stays unknown on the way through JSON."""

from __future__ import annotations

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.monitor.snapshot import Load, Queue, Snapshot, Source, Worker

_NUMBER = st.none() | st.integers(0, 2**40)


@given(st.text(max_size=50), _NUMBER, st.none() | st.floats(0, 1e6))
def test_a_snapshot_survives_json(name: str, count: int | None, rate: float | None) -> None:
    before = Snapshot(
        seq=3,
        at_s=1_700_000_000.25,
        sources={"redis": Source(ok=False, detail=name, since_s=1.5)},
        queues=(Queue(name=name, waiting=count, rate_in=rate),),
        workers=(Worker(name=name, broker_id="b", role="worker", alive=True),),
        load=Load(offered=rate),
    )
    after = Snapshot.from_document(json.loads(json.dumps(before.document())))
    assert after.queues[0].waiting == count
    assert (after.sources, after.workers, after.at_s) == (
        before.sources,
        before.workers,
        before.at_s,
    )
    assert (after.queues[0].rate_in is None) == (rate is None)


def test_what_is_no_number_is_unknown_and_not_nought() -> None:
    document = Snapshot(seq=1, at_s=0.0, queues=(Queue(name="q", rate_in=math.nan),)).document()
    assert document["queues"][0]["rate_in"] is None
    assert document["queues"][0]["waiting"] is None


@pytest.mark.parametrize("document", [{}, {"version": 0}, {"version": 1}, {"version": 1, "seq": 1}])
def test_what_is_no_snapshot_is_refused(document: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="snapshot"):
        Snapshot.from_document(document)


def test_sources_that_fail_are_named() -> None:
    sources = {
        "redis": Source(ok=False, detail="gone", since_s=1.0),
        "recorder": Source(ok=True, detail="", since_s=1.0),
    }
    assert Snapshot(seq=1, at_s=0.0, sources=sources).broken == ("redis",)
