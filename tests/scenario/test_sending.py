"""By how many processes a load is sent, and when a rate that is missed ends a trial."""

from __future__ import annotations

from typing import Any

import pytest

from perfkit.scenario import digest, workload_digest
from tests.scenario.documents import changed, parsed, problems


def test_unless_told_perfkit_decides_how_many_processes_send() -> None:
    assert parsed("smoke", {}).load.shards == "auto"
    assert parsed("smoke", {"shards": 3}).load.shards == 3
    assert parsed("smoke", {"load.shards": "auto"}).load.shards == "auto"


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "two", "2"])
def test_what_is_no_number_of_processes_is_one_problem(value: Any) -> None:
    found = problems(changed("smoke", {"load.shards": value}))
    assert list(found) == ["load.shards"]
    assert 'from 1 up, or "auto"' in found["load.shards"]


@pytest.mark.parametrize("key", ["connections", "max_in_flight"])
def test_each_process_needs_its_part_of_what_is_divided(key: str) -> None:
    asked = {"load.shards": 4, f"load.{key}": 3}
    assert f"4 shards can't divide {key} = 3" in problems(changed("smoke", asked))["load.shards"]
    parsed("smoke", {"load.shards": 3, f"load.{key}": 3})


def test_a_rate_is_given_up_where_a_tenth_of_it_is_missing_for_five_seconds() -> None:
    assert parsed("smoke", {}).load.abort_below is None
    found = parsed("smoke", {"load.abort_below": {}}).load.abort_below
    assert found is not None
    assert (found.rate, found.after_ns) == (0.9, 5_000_000_000)
    other = parsed("smoke", {"load.abort_below": {"rate": 0.5, "after": "2s"}}).load.abort_below
    assert other is not None
    assert (other.rate, other.after_ns) == (0.5, 2_000_000_000)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("rate", 0, "greater than 0"),
        ("rate", 1.1, "less than or equal to 1"),
        ("after", "900ms", 'must be "1s" or longer'),
        ("after", 5, "with its unit"),
        ("afer", "5s", "did you mean 'after'?"),
    ],
)
def test_what_can_not_be_judged_is_refused(key: str, value: Any, words: str) -> None:
    found = problems(changed("smoke", {"load.abort_below": {key: value}}))
    assert words in found[f"load.abort_below.{key}"]


def test_users_who_wait_for_replies_have_no_rate_to_miss() -> None:
    found = problems(changed("light", {"load.abort_below": {}}))
    assert "no meaning in a closed model" in found["load.abort_below"]


def test_who_sends_the_work_and_when_it_is_given_up_is_not_the_work() -> None:
    base = parsed("smoke", {})
    changes: list[dict[str, Any]] = [{"load.shards": 2}, {"load.abort_below": {}}]
    for values in changes:
        other = parsed("smoke", values)
        assert workload_digest(other) == workload_digest(base)
        assert digest(other) != digest(base)
