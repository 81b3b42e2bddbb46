"""Whom a fault hits."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from perfkit.errors import StackError
from perfkit.faults.victims import victims

WORKERS = ["worker-1", "worker-2", "worker-3", "worker-10"]


def living(role: str) -> Sequence[str]:
    there = {"worker": WORKERS, "redis": ["redis"], "ingest": ["ingest-1", "ingest-2"]}
    return there.get(role, [])


def test_the_same_draw_chooses_the_same_worker_whatever_the_order() -> None:
    (chosen,) = victims("worker", living, "7/fault/0")
    assert chosen in WORKERS
    assert victims("worker", lambda _: WORKERS[::-1], "7/fault/0") == [chosen]


def test_over_many_draws_every_worker_is_chosen() -> None:
    chosen = {victims("worker", living, f"{seed}/fault/0")[0] for seed in range(100)}
    assert chosen == set(WORKERS)


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("workers", WORKERS),
        ("worker:worker-3", ["worker-3"]),
        ("ingest", ["ingest-1", "ingest-2"]),
        ("redis", ["redis"]),
    ],
)
def test_other_targets_are_all_that_they_name(target: str, expected: list[str]) -> None:
    assert victims(target, living, "any") == expected


def test_nobody_to_hit_is_said_with_who_there_is() -> None:
    with pytest.raises(StackError, match="no supervisor lives"):
        victims("supervisor", living, "any")
    with pytest.raises(StackError, match="no worker worker-4 lives") as caught:
        victims("worker:worker-4", living, "any")
    assert caught.value.mend == "alive are: worker-1, worker-2, worker-3, worker-10"
