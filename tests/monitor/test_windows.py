"""Seconds of events that come in any order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from perfkit.monitor.windows import SPAN_S, Window

NOW = 10_000


@given(st.lists(st.integers(NOW - 200, NOW), min_size=1, max_size=100))
def test_whatever_the_order_each_event_counts_in_its_own_second(seconds: list[int]) -> None:
    window = Window()
    window.at(NOW)  # somebody has been heard of now, as in the spool that is read first
    for second in seconds:
        window.at(second + 0.5).took(1.0, float(second))
    kept = [second for second in seconds if second > NOW - SPAN_S]
    assert sorted(window.values(NOW, "runs_s")) == sorted(map(float, kept))


def test_what_is_old_does_not_colour_the_last_minute() -> None:
    window = Window()
    window.at(NOW).took(0.001, 0.001)
    window.at(NOW - 3600).took(900.0, 900.0)
    assert window.quantiles(NOW, "waits_s", 0.5, 0.99) == (0.001, 0.001)


def test_a_rate_is_of_the_five_seconds_that_are_over() -> None:
    window = Window()
    for second in range(NOW - 20, NOW + 1):
        window.at(second).left += 3
    assert window.rate(NOW + 0.9, "left") == 3.0
