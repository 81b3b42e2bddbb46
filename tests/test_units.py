"""Durations, rates and bytes as people write them."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.units import (
    format_bytes,
    format_count,
    format_duration,
    format_ms,
    format_percent,
    format_rate,
    parse_bytes,
    parse_duration_ns,
    parse_rate,
)


@pytest.mark.parametrize(
    ("text", "ns"),
    [
        ("250ms", 250_000_000),
        ("1.5s", 1_500_000_000),
        ("2m30s", 150_000_000_000),
        ("2min", 120_000_000_000),
        ("1h", 3_600_000_000_000),
        ("7d", 604_800_000_000_000),
        ("1w", 604_800_000_000_000),
        ("10us", 10_000),
        ("10µs", 10_000),
        ("7ns", 7),
        ("0", 0),
        ("-5s", -5_000_000_000),
    ],
)
def test_a_duration_is_read_as_people_write_it(text: str, ns: int) -> None:
    assert parse_duration_ns(text) == ns


@pytest.mark.parametrize("text", ["", "-", "5", "5 parsecs", "s", "1s2", "1..5s", "ms5", "1e3s"])
def test_what_is_no_duration_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="250ms"):
        parse_duration_ns(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [("80MB", 80_000_000), ("4GiB", 4 * 2**30), ("1.5 KiB", 1536), ("7B", 7), (" 1TB ", 10**12)],
)
def test_a_size_is_decimal_or_binary_by_its_unit(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "5", "MB", "-1MB", "5mb", "5 parsecs", "1e3MB", "1..2MB"])
def test_what_is_no_size_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="80MB"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("150/s", 150.0), ("2.5 / s", 2.5), ("7", 7.0), ("6/min", 0.1), ("9 / h", 0.0025)],
)
def test_a_rate_is_read_with_or_without_its_unit(text: str, rate: float) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize("text", ["", "-5/s", "5/day", "nan", "/s", "fast"])
def test_what_is_no_rate_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="150/s"):
        parse_rate(text)


@given(st.text(max_size=12))
def test_no_text_makes_the_parser_do_anything_but_answer_or_refuse(text: str) -> None:
    try:
        assert isinstance(parse_duration_ns(text), int)
    except ValueError as error:
        assert "duration" in str(error)


@given(st.integers(0, 10**6))
def test_whole_milliseconds_survive(ms: int) -> None:
    assert parse_duration_ns(f"{ms}ms") == ms * 1_000_000


def test_a_duration_is_printed_in_the_unit_that_suits_it() -> None:
    shown = [
        format_duration(ns) for ns in (500, 1_500, 12_340_000, 1.5e9, 120e9, 150e9, 3_720e9, -2e6)
    ]
    assert shown == [
        "500 ns", "1.50 µs", "12.3 ms", "1.50 s", "2 m", "2 m 30 s", "1 h 02 m", "-2.00 ms",
    ]  # fmt: skip


def test_what_was_not_measured_is_not_a_number() -> None:
    nan = math.nan
    assert {f(nan) for f in (format_duration, format_ms, format_rate, format_bytes)} == {"n/a"}
    assert format_percent(nan) == "n/a"


def test_an_unfinished_job_is_infinite() -> None:
    assert format_duration(math.inf) == "∞"
    assert format_ms(math.inf) == "∞"


def test_rates_shares_counts_and_bytes_are_printed_for_people() -> None:
    assert format_rate(145.2) == "145/s"
    assert format_rate(0.25) == "0.25/s"
    assert format_percent(0.1234) == "12.3 %"
    assert format_count(1234567) == "1\u202f234\u202f567"
    assert format_bytes(512) == "512 B"
    assert format_bytes(1.5 * 1024**2) == "1.50 MiB"
    assert format_bytes(3 * 1024**3) == "3.00 GiB"
