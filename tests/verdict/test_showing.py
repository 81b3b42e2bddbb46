"""Values and levels in words."""

from __future__ import annotations

import math

import pytest

from perfkit.verdict.showing import level_words, shown


@pytest.mark.parametrize(
    ("unit", "value", "words"),
    [
        ("duration", 1.5e6, "1.50 ms"),
        ("share", 0.0512, "5.1 %"),
        ("rate", 145.2, "145/s"),
        ("count", 12_345.0, "12\u202f345"),
        ("bytes", 80e6, "76.3 MiB"),
        ("count", math.nan, "n/a"),
        ("bytes", math.nan, "n/a"),
        ("duration", math.inf, "∞"),
    ],
)
def test_a_value_is_shown_in_the_unit_of_its_metric(unit: str, value: float, words: str) -> None:
    assert shown(unit, value) == words


def test_a_level_is_users_or_a_rate() -> None:
    assert level_words(2000, "users") == "2\u202f000 users"
    assert level_words(1, "users") == "1 user"
    assert level_words(40, "jobs/s") == "40.0/s"
