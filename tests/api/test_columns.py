"""Text in columns."""

from __future__ import annotations

from perfkit.api.columns import aligned


def test_columns_stand_under_each_other_and_an_empty_one_takes_no_room() -> None:
    rows = [("run", "", "P95 ms", "state"), ("a", "", "5", ""), ("long name", "", "120", "good")]
    assert aligned(rows, right=(2,), indent="  ") == [
        "  run        P95 ms  state",
        "  a               5",
        "  long name     120  good",
    ]
    assert aligned([]) == []
