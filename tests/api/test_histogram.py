"""HdrHistogram's formats, against its Python library and against exact quantiles."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.api.exporting_histogram import Histogram, histogram_of, log_text, percentile_text

_VALUES = st.lists(st.integers(0, 10**13), min_size=1, max_size=200)


@settings(deadline=None)
@given(_VALUES)
def test_every_value_keeps_three_digits_and_none_is_lost(values: list[int]) -> None:
    found = histogram_of(values)
    assert found.total == len(values)
    ordered = np.sort(np.array(values))
    told = np.repeat(found.highest, found.count)
    assert (told >= ordered).all()
    assert (told - ordered <= np.maximum(ordered / 1000, 0)).all()
    assert found.most == max(values)


@settings(deadline=None)
@given(_VALUES)
def test_the_library_reads_what_was_encoded(values: list[int]) -> None:
    hdrh = pytest.importorskip("hdrh.histogram")
    decoded = hdrh.HdrHistogram.decode(histogram_of(values).encode())
    own = hdrh.HdrHistogram(1, max(2048, *values), 3)
    for value in values:
        own.record_value(value)
    assert decoded.get_total_count() == len(values)
    for p in (0, 25, 50, 90, 99, 99.9, 100):
        assert decoded.get_value_at_percentile(p) == own.get_value_at_percentile(p)


def test_a_log_is_read_line_by_line_with_its_tags(tmp_path: Path) -> None:
    reading = pytest.importorskip("hdrh.log")
    kinds = pytest.importorskip("hdrh.histogram")
    lines = [("0000.a", 0.0, 1.0, histogram_of([5, 7])), ("0001.b", 1.0, 1.0, histogram_of([9]))]
    (tmp_path / "run.hlog").write_text(log_text(1_700_000_000.0, lines, ["a comment"]))
    reader = reading.HistogramLogReader(
        str(tmp_path / "run.hlog"), kinds.HdrHistogram(1, 10**13, 3)
    )
    found = [reader.get_next_interval_histogram() for _ in lines]
    assert [(each.get_tag(), each.get_total_count()) for each in found] == [
        ("0000.a", 2),
        ("0001.b", 1),
    ]
    assert reader.get_next_interval_histogram() is None
    reader.close()


def _levels(text: str) -> list[tuple[float, float, int]]:
    """Value, percentile and count of each line that is neither a comment nor the heading."""
    rows = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [(float(row[0]), float(row[1]), int(row[2])) for row in rows if row[0] != "Value"]


def test_percentiles_agree_with_exact_ones_within_the_precision() -> None:
    values = np.random.default_rng(7).lognormal(17, 1.5, 5_000)
    ordered = np.sort(values)
    for value_us, level, count in _levels(percentile_text(histogram_of(values), 0, [])):
        exact = ordered[max(1, math.ceil(level * len(ordered) - 1e-9)) - 1]
        assert value_us * 1000 == pytest.approx(exact, rel=1.1e-3)
        assert count >= level * len(ordered) - 1e-6


def test_what_never_ended_counts_in_every_percentile_and_ends_the_list() -> None:
    known = histogram_of(np.full(90, 1_000_000))
    text = percentile_text(known, 10, ["about"])
    levels = _levels(text)
    assert max(level for _, level, _ in levels) <= 0.9
    assert all(value == pytest.approx(1000, rel=1e-3) for value, _, _ in levels)
    assert "10 of 100 never ended" in text
    assert "Max     =          inf" in text


def test_where_nothing_ended_no_percentile_is_listed() -> None:
    assert _levels(percentile_text(histogram_of([]), 4, [])) == []


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_what_is_no_duration_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="durations that ended"):
        histogram_of([value])


def test_an_empty_histogram_can_be_written() -> None:
    found: Histogram = histogram_of([])
    assert (found.total, found.most) == (0, 0)
    assert found.encode().startswith("HISTFA")
