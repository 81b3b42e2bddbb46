"""The sampler on a clock that stands still unless told: instants, lateness, failures, stopping."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pytest

from perfkit.clock import Clock, ManualClock, SystemClock
from perfkit.telemetry.reading import Probe, Reading
from perfkit.telemetry.sampler import Sampler
from perfkit.telemetry.sink import SampleSink, read_samples
from tests.waiting import wait_until

_MS = 1_000_000
_PERIOD = 200 * _MS


class _Probe:
    """Takes as long as it is told to, on the clock it is given."""

    def __init__(self, name: str = "fake", costs_ns: Iterable[int] = ()) -> None:
        self.name = name
        self.errors: dict[str, int] = {}
        self.taken_ns: list[int] = []
        self.closed = 0
        self._costs_ns = iter(costs_ns)

    def take(self, clock: Clock) -> list[Reading]:
        self.taken_ns.append(clock.now_ns())
        if isinstance(clock, ManualClock):
            clock.advance(next(self._costs_ns, 0))
        return [Reading(f"{self.name}.value", "", 1.0, clock.now_ns())]

    def close(self) -> None:
        self.closed += 1


class _Broken(_Probe):
    def take(self, clock: Clock) -> list[Reading]:
        super().take(clock)
        raise ZeroDivisionError("by design")


class _Memory:
    """A sink that keeps all."""

    def __init__(self) -> None:
        self.errors: Mapping[str, int] = {}
        self.readings: list[Reading] = []
        self.closed = 0

    def append(self, readings: Iterable[Reading]) -> None:
        self.readings.extend(readings)

    def close(self) -> None:
        self.closed += 1

    def values(self, metric: str) -> list[float]:
        return [reading.value for reading in self.readings if reading.metric == metric]


def _sampler(
    *probes: Probe, start_ns: int = 1_000, period_ns: int = _PERIOD
) -> tuple[Sampler, ManualClock, _Memory]:
    clock, sink = ManualClock(start_ns), _Memory()
    return Sampler(probes, clock=clock, sink=sink, period_ns=period_ns), clock, sink


def test_ticks_come_at_start_plus_k_periods() -> None:
    probe = _Probe()
    sampler, _, sink = _sampler(probe)
    sampler.run_until(1_000 + 4 * _PERIOD)
    assert probe.taken_ns == [1_000 + k * _PERIOD for k in range(5)]
    assert sink.values("sampler.lag_ns") == [0] * 5
    summary = sampler.summary()
    assert (summary.ticks, summary.skipped, summary.late, summary.max_lag_ns) == (5, 0, 0, 0)


def test_slow_ticks_do_not_drift() -> None:
    probe = _Probe(costs_ns=[70 * _MS] * 50)
    sampler, _, sink = _sampler(probe)
    sampler.run_until(1_000 + 49 * _PERIOD)
    assert probe.taken_ns == [1_000 + k * _PERIOD for k in range(50)]
    assert max(sink.values("sampler.lag_ns")) == 0


def test_running_on_continues_the_same_grid() -> None:
    probe = _Probe()
    sampler, clock, _ = _sampler(probe)
    sampler.run_until(1_000 + _PERIOD)
    clock.advance(30 * _MS)
    sampler.run_until(1_000 + 3 * _PERIOD)
    assert probe.taken_ns == [1_000 + k * _PERIOD for k in range(4)]


def test_lateness_is_recorded_with_each_tick() -> None:
    probe = _Probe(costs_ns=[0, 205 * _MS, 250 * _MS, 0])
    sampler, _, sink = _sampler(probe)
    sampler.run_until(1_000 + 4 * _PERIOD)
    assert sink.values("sampler.lag_ns") == [0, 0, 5 * _MS, 55 * _MS, 0]
    summary = sampler.summary()
    assert (summary.ticks, summary.late, summary.skipped) == (5, 1, 0)
    assert summary.max_lag_ns == 55 * _MS


def test_missed_instants_are_skipped_and_counted() -> None:
    probe = _Probe(costs_ns=[0, 440 * _MS])
    sampler, _, sink = _sampler(probe)
    sampler.run_until(1_000 + 5 * _PERIOD)
    # Tick 1 takes 2.2 periods: instant 2 passes, 3 is late by 0.2, then all is as before.
    assert probe.taken_ns == [1_000 + int(k * _PERIOD) for k in (0, 1, 3.2, 4, 5)]
    assert sink.values("sampler.lag_ns") == [0, 0, 240 * _MS, 0, 0]
    summary = sampler.summary()
    assert (summary.ticks, summary.skipped, summary.late) == (5, 1, 1)
    assert summary.max_lag_ns == 240 * _MS


def test_a_probe_that_fails_is_counted_by_name_and_the_rest_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    before, broken, after = _Probe("before"), _Broken("broken"), _Probe("after")
    sampler, _, sink = _sampler(before, broken, after)
    with caplog.at_level(logging.WARNING):
        sampler.run_until(1_000 + 2 * _PERIOD)
    assert sampler.summary().errors == {"broken.ZeroDivisionError": 3}
    assert len(sink.values("before.value")) == len(sink.values("after.value")) == 3
    assert [record.message for record in caplog.records] == ["probe broken failed"]


def test_what_probes_and_sink_lived_with_is_in_the_summary() -> None:
    probe = _Probe("redis")
    probe.errors = {"TimeoutError": 2}
    sampler, _, sink = _sampler(probe)
    sink.errors = {"OSError": 1}
    sampler.run_until(1_000)
    assert sampler.summary().errors == {"redis.TimeoutError": 2, "sink.OSError": 1}


def test_the_snapshot_is_that_of_the_last_tick() -> None:
    sampler, _, _ = _sampler(_Probe("queue"))
    before = sampler.snapshot
    sampler.run_until(1_000 + 2 * _PERIOD)
    snapshot = sampler.snapshot
    assert before is None
    assert snapshot is not None
    assert (snapshot.tick, snapshot.at_ns) == (3, 1_000 + 2 * _PERIOD)
    assert snapshot.value("queue.value") == 1


def test_a_period_must_be_above_zero() -> None:
    with pytest.raises(ValueError, match="above zero"):
        _sampler(period_ns=0)


def test_stopping_closes_everything_also_when_asked_twice() -> None:
    probe = _Probe()
    sampler, _, sink = _sampler(probe)
    sampler.run_until(1_000)
    assert sampler.stop() == sampler.summary()
    sampler.stop()
    assert probe.closed == sink.closed == 2
    with pytest.raises(RuntimeError):
        sampler.start()


def test_the_sink_is_closed_even_if_a_probe_can_not_be() -> None:
    class Stubborn(_Probe):
        def close(self) -> None:
            raise OSError("no")

    sampler, _, sink = _sampler(Stubborn())
    with pytest.raises(OSError, match="no"):
        sampler.stop()
    assert sink.closed == 1


def _ticks_of(sampler: Sampler, count: int) -> Callable[[], bool]:
    return lambda: sampler.summary().ticks >= count


def test_a_running_sampler_loses_no_reading_when_it_stops(tmp_path: Path) -> None:
    path = tmp_path / "samples.arrow"
    probe = _Probe()
    sampler = Sampler([probe], clock=SystemClock(), sink=SampleSink(path, 3), period_ns=2_000_000)
    with sampler:
        with pytest.raises(RuntimeError):
            sampler.start()
        wait_until(_ticks_of(sampler, 20), 10, "twenty ticks were taken")
    summary = sampler.summary()
    rows = read_samples(path).to_pylist()
    assert summary.ticks == len(probe.taken_ns)
    assert len(rows) == 2 * summary.ticks
    assert {row["trial"] for row in rows} == {3}
    assert summary.cpu_ns > 0
    assert not [thread for thread in threading.enumerate() if "sampler" in thread.name]


def test_stopping_does_not_wait_for_a_long_period(tmp_path: Path) -> None:
    sampler = Sampler([], clock=SystemClock(), sink=_Memory(), period_ns=3_600_000_000_000)
    sampler.start()
    wait_until(_ticks_of(sampler, 1), 10, "the first tick was taken at once")
    assert sampler.stop().ticks == 1


def test_a_probe_that_hangs_does_not_keep_the_readings_from_the_sink(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("perfkit.telemetry.sampler._STOP_TIMEOUT_S", 0.05)
    entered, released = threading.Event(), threading.Event()

    class Hanging(_Probe):
        def take(self, clock: Clock) -> list[Reading]:
            if len(self.taken_ns) == 1:
                entered.set()
                released.wait(30)
            return super().take(clock)

    sink = _Memory()
    sampler = Sampler([Hanging("slow")], clock=SystemClock(), sink=sink, period_ns=_MS)
    sampler.start()
    assert entered.wait(10)
    summary = sampler.stop()
    assert summary.errors == {"sampler.Stuck": 1}
    assert len(sink.values("slow.value")) == 1
    assert sink.closed == 1
    released.set()
    wait_until(
        lambda: not [thread for thread in threading.enumerate() if "sampler" in thread.name],
        10,
        "the thread ended",
    )


def test_a_sink_that_breaks_is_told_to_who_stops() -> None:
    class Leaky(_Memory):
        def append(self, readings: Iterable[Reading]) -> None:
            raise MemoryError("by design")

    sink = Leaky()
    sampler = Sampler([], clock=SystemClock(), sink=sink, period_ns=_MS)
    sampler.start()
    wait_until(
        lambda: not [thread for thread in threading.enumerate() if "sampler" in thread.name],
        10,
        "the thread ended",
    )
    with pytest.raises(MemoryError):
        sampler.stop()
    assert sink.closed == 1
