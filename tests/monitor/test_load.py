"""The generator's rows, read while it writes them."""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from pathlib import Path

import pytest

from perfkit.clock import ManualClock
from perfkit.monitor.load_source import LoadSource
from perfkit.recorder.ledger import Ledger

SECOND = 1_000_000_000
START = 1000 * SECOND


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """Room for 100 requests, ten a second from START on."""
    header = {"version": 1, "queues": ["q"]}
    none = array("q", [-1] * 100)
    made = Ledger(tmp_path / "requests.ledger", header, array("q", [0] * 100), none, none)
    made.begin(array("q", [START + place * SECOND // 10 for place in range(100)]))
    yield made
    made.close()


def _come_due(ledger: Ledger, upto: int) -> None:
    for row in range(upto):
        ledger.due(row)


def _intended(row: int) -> int:
    return START + row * SECOND // 10


def test_before_the_first_request_nothing_is_known(tmp_path: Path, ledger: Ledger) -> None:
    assert LoadSource(tmp_path).look(ManualClock(START)) is None


def test_rates_are_of_the_last_five_seconds_and_lag_leaves_blocking_out(
    tmp_path: Path, ledger: Ledger
) -> None:
    _come_due(ledger, 100)
    for row in range(100):
        # Each waited 40 ms for a connection, and was 2 ms late beside that.
        ledger.sent(row, _intended(row) + 42_000_000, 40_000_000)
    seen = LoadSource(tmp_path).look(ManualClock(START + 10 * SECOND))
    assert seen is not None
    assert seen.offered == pytest.approx(10, abs=0.3)
    assert seen.achieved == pytest.approx(10, abs=0.3)
    assert seen.lag_p99_s == pytest.approx(0.002)
    assert (seen.sent, seen.dropped) == (100, 0)


def test_what_waits_long_is_not_dropped_once_it_is_sent(tmp_path: Path, ledger: Ledger) -> None:
    source = LoadSource(tmp_path)
    _come_due(ledger, 50)
    seen = source.look(ManualClock(START + 10 * SECOND))
    assert seen is not None
    assert (seen.sent, seen.dropped, seen.achieved) == (0, 50, 0.0)
    for row in range(50):
        ledger.sent(row, START + 11 * SECOND, 11 * SECOND - (_intended(row) - START))
    seen = source.look(ManualClock(START + 12 * SECOND))
    assert seen is not None
    assert (seen.sent, seen.dropped) == (50, 0)
    assert seen.achieved == pytest.approx(10), "sent now, although they came due long ago"
    assert seen.lag_p99_s == pytest.approx(0.0)


def test_a_ledger_that_is_made_into_tables_ends_the_figures_not_the_monitor(
    tmp_path: Path, ledger: Ledger
) -> None:
    source = LoadSource(tmp_path)
    _come_due(ledger, 10)
    assert source.look(ManualClock(START + SECOND)) is not None
    (tmp_path / "requests.ledger").unlink()
    seen = source.look(ManualClock(START + 20 * SECOND))
    assert seen is not None
    assert seen.sent == 0
