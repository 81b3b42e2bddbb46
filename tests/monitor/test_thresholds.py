"""Targets as they stand now: judged where they can be, and why not where they can't."""

from __future__ import annotations

import dataclasses

import pytest

from perfkit.monitor.snapshot import Load, Redis, ThresholdState
from perfkit.monitor.thresholds import ThresholdWatch, parse_threshold
from perfkit.scenario import Threshold
from tests.monitor import plant


def _state(threshold: Threshold, offered: float | None = 100.0) -> ThresholdState:
    seen = dataclasses.replace(plant.snapshot(60), load=Load(offered=offered))
    [state] = ThresholdWatch([threshold]).states(seen, None)
    return state


@pytest.mark.parametrize(
    ("offered", "state"), [(100.0, "unsure"), (None, "unsure"), (300.0, "fail")]
)
def test_a_target_that_needs_more_load_is_not_failed_at_less(
    offered: float | None, state: str
) -> None:
    target = Threshold(metric="throughput", expr="avg>1000/s", needs_offered="150/s")  # type: ignore[call-arg]
    found = _state(target, offered)
    assert found.state == state
    assert ("needs more than 150/s" in found.note) is (state == "unsure")
    assert found.observed == pytest.approx(150.0)


def test_what_user_code_keeps_is_not_known_live_and_does_no_harm() -> None:
    found = _state(Threshold(metric="own.basket", expr="avg<5"))
    assert (found.state, found.observed) == ("unsure", None)


def test_a_share_of_memory_needs_a_limit() -> None:
    target = parse_threshold("redis.memory.used_ratio max<80%")
    seen = dataclasses.replace(plant.snapshot(60), redis=Redis(memory_used_bytes=1000))
    [found] = ThresholdWatch([target]).states(seen, None)
    assert (found.state, found.note) == ("unsure", "Redis has no limit of memory")
    assert _state(target).state == "pass"


def test_the_same_target_twice_is_told_once() -> None:
    target = parse_threshold("queue.age:payments max<30s")
    states = ThresholdWatch([target, target]).states(plant.snapshot(60), None)
    assert [each.name for each in states] == ["queue.age of payments max<30s"]
