"""Time as a parameter."""

from __future__ import annotations

import pytest

from perfkit.clock import Anchor, ManualClock, SystemClock


def test_a_manual_clock_moves_only_when_told_to() -> None:
    clock = ManualClock(now_ns=100, wall_ns=1_000)
    assert (clock.now_ns(), clock.wall_ns()) == (100, 1_000)
    clock.advance(50)
    assert (clock.now_ns(), clock.wall_ns()) == (150, 1_050)


def test_sleeping_on_a_manual_clock_moves_it_and_never_back() -> None:
    clock = ManualClock(now_ns=100)
    clock.sleep_until(500)
    clock.sleep_until(200)
    assert clock.now_ns() == 500


def test_time_never_runs_backwards() -> None:
    with pytest.raises(ValueError, match="can't move back"):
        ManualClock().advance(-1)


def test_the_system_clock_sleeps_until_the_instant_and_not_less() -> None:
    clock = SystemClock()
    instant = clock.now_ns() + 2_000_000
    clock.sleep_until(instant)
    assert clock.now_ns() >= instant


def test_an_anchor_is_one_instant_on_both_clocks() -> None:
    anchor = Anchor.take(ManualClock(now_ns=10, wall_ns=1_000))
    assert (anchor.mono_ns, anchor.wall_ns) == (10, 1_000)
