"""History: a day in bounded memory, peaks kept, each moment once."""

from __future__ import annotations

import pytest

from perfkit.monitor.history import History, values_of
from perfkit.monitor.snapshot import Queue, Snapshot


def _filled(seconds: int) -> History:
    history = History()
    for second in range(seconds):
        peak = 1000.0 if second == 100 else 1.0
        history.add(1e6 + second, {"queues/q/waiting": peak, "queues/q/rate_in": second % 2})
    return history


def test_what_was_added_lately_is_told_by_the_second() -> None:
    columns = _filled(50).columns()
    assert columns["at_s"] == [1e6 + second for second in range(50)]
    assert columns["series"]["queues/q/waiting"] == [1.0] * 50


def test_a_peak_of_hours_ago_is_still_as_high_and_a_rate_is_averaged() -> None:
    columns = _filled(20_000).columns(points=10_000)
    assert max(columns["series"]["queues/q/waiting"]) == 1000.0
    assert columns["series"]["queues/q/rate_in"][5] == pytest.approx(0.5)
    times = columns["at_s"]
    assert times == sorted(set(times)), "each moment once, in order"
    assert times[-1] == 1e6 + 19_999
    assert times[0] <= 1e6 + 60


def test_no_more_points_than_asked_for_and_the_newest_among_them() -> None:
    columns = _filled(3000).columns(span_s=1000, points=100)
    assert 50 <= len(columns["at_s"]) <= 100
    assert columns["at_s"][0] >= 1e6 + 1999
    assert columns["at_s"][-1] == 1e6 + 2999


@pytest.mark.parametrize("points", [10, 60, 600])
def test_a_peak_survives_any_thinning_and_a_rate_keeps_its_mean(points: int) -> None:
    columns = _filled(20_000).columns(points=points)
    assert len(columns["at_s"]) <= points
    assert max(columns["series"]["queues/q/waiting"]) == 1000.0
    rates = columns["series"]["queues/q/rate_in"]
    assert sum(rates) / len(rates) == pytest.approx(0.5, abs=0.02)


def test_a_clock_that_is_set_back_begins_anew() -> None:
    history = _filled(100)
    for second in range(10):
        history.add(5e5 + second, {"queues/q/waiting": 7.0})
    columns = history.columns()
    assert columns["at_s"] == [5e5 + second for second in range(10)]
    assert set(columns["series"]["queues/q/waiting"]) == {7.0}


def test_memory_is_bounded_by_the_number_of_series() -> None:
    history = History()
    for second in range(30):
        history.add(second, {f"queues/q{second}-{n}/waiting": 1.0 for n in range(100)})
    assert len(history.columns()["series"]) <= 900


def test_time_that_goes_back_is_passed_over() -> None:
    history = _filled(10)
    history.add(1e6 + 3, {"queues/q/waiting": 77.0})
    assert 77.0 not in history.columns()["series"]["queues/q/waiting"]


def test_what_is_unknown_is_no_value_and_very_many_queues_are_not_all_kept() -> None:
    queues = tuple(Queue(name=f"q{n}", waiting=n) for n in range(200))
    values = values_of(Snapshot(seq=1, at_s=1.0, queues=queues))
    assert values["queues/q3/waiting"] == 3
    assert "queues/q3/rate_in" not in values
    assert len([name for name in values if name.startswith("queues/")]) == 64
