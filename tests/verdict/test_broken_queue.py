"""Whatever breaks, the accounting finds what truly became of each job."""

from __future__ import annotations

import tempfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit import frames, verdict
from perfkit.verdict.counters import disagreements
from tests.sealed import seal
from tests.verdict.broken_queue import EVICTED, UNRETRIED, WIPED, World

FAULTS = ("kill", "stop", "wipe", "evict", "cut")


def _compare(seed: int, faults: list[str]) -> None:
    sketch, truth = World(seed, faults).run()
    with tempfile.TemporaryDirectory() as folder:
        run = seal(Path(folder), sketch)
        table = verdict.accounts(run, 0)
        counted = verdict.accounting(run, 0)
        with frames.session(run, 0) as sql:
            again = frames.redeliveries(sql, frames.incidents_of(run, 0))
        assert disagreements(run, 0) == []
        recovered = verdict.recovery(run)
    found = dict(zip(table["job_id"], table["class"], strict=True))
    assert found == truth.classes
    counts = Counter(truth.classes.values())
    for name in ("done", "done_unacked", "dead", "pending", "stranded", "lost"):
        assert getattr(counted, name) == counts[name], name
    assert counted.unexplained == 0
    assert counted.phantom == counts["phantom"]
    assert counted.ambiguous == counts["ambiguous"]
    assert set(table.loc[table["duplicated"], "job_id"]) == truth.repeated
    assert "no cause is known" not in counted.causes
    assert counted.redelivered == len(truth.redelivered)
    # What was fetched ahead by the dead is inferred: perhaps not all, but nothing else.
    assert {each.redis_message_id for each in again} <= truth.reclaimed
    assert truth.redelivered <= {each.redis_message_id for each in again}
    lost = table[table["class"] == "lost"].set_index("job_id")["mechanism"].to_dict()
    if len(set(faults) & {"wipe", "evict", "cut"}) < 2 and faults.count("wipe") < 2:
        assert lost == truth.mechanisms
    else:  # which of two that came after it took a job can't be known
        assert set(lost.values()) <= {WIPED, EVICTED, UNRETRIED}
    assert recovered["lost"].sum() == (counts["lost"] if len(recovered) else 0)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), faults=st.lists(st.sampled_from(FAULTS), max_size=3))
def test_every_job_is_in_the_class_in_which_it_truly_is(seed: int, faults: list[str]) -> None:
    _compare(seed, faults)


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_alone_is_told_by_its_mechanism(fault: str) -> None:
    _compare(7, [fault])
