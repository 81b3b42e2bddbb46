"""Outages of the gateway as JSON: read into frozen records, or refused as a whole."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from workers.behaviour import DEFAULTS, Behaviour, ConfigError, load
from workers.outages import Outage, OutagesError, document, parse, parse_all

SAID = "outage 1 of q must be"


def test_an_outage_refuses_unless_it_says_that_it_hangs() -> None:
    assert parse("q", [[10, 20], [30, 40, "hang"], [50, 60, "refuse"]]) == (
        Outage(10, 20, "refuse"),
        Outage(30, 40, "hang"),
        Outage(50, 60, "refuse"),
    )


def test_an_outage_covers_its_first_instant_and_not_its_last() -> None:
    outage = Outage(10, 20)
    assert [outage.covers(instant) for instant in (9, 10, 19, 20)] == [False, True, True, False]


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (7, "outages of q must be a list"),
        ({}, "outages of q must be a list"),
        ([[1, 2]] * 1001, "outages of q must be a list of at most 1000"),
        ([7], SAID),
        ([[]], SAID),
        ([[1]], SAID),
        ([[1, 2, "hang", 4]], SAID),
        ([[2, 1]], SAID),
        ([[1, 1]], SAID),
        ([[-1, 1]], SAID),
        ([[1.5, 2]], SAID),
        ([[True, 2]], SAID),
        ([["1", "2"]], SAID),
        ([[1, 2, "slow"]], SAID),
        ([[1, 2, ["hang"]]], SAID),
    ],
)
def test_what_is_no_outage_is_refused_by_its_place(given: object, said: str) -> None:
    with pytest.raises(OutagesError, match=said):
        parse("q", given)


def test_every_problem_of_every_queue_is_told_at_once() -> None:
    with pytest.raises(OutagesError) as refused:
        parse_all({"a": [[1, 2], [2, 1], [3]], "b": 7, "c": []}, {"a": 0, "b": 0})
    for said in ("outage 2 of a", "outage 3 of a", "outages of b", "no queue 'c'; there is a, b"):
        assert said in str(refused.value)


def test_outages_come_back_as_they_were_told() -> None:
    told = {"a": [[1, 2, "hang"]], "b": [[3, 4, "refuse"], [5, 6, "hang"]]}
    assert document(parse_all({**told, "c": []}, dict.fromkeys("abc"))) == told


def test_a_configuration_file_may_hold_outages(tmp_path: Path) -> None:
    path = tmp_path / "gateway.json"
    numbers = {"median_ms": 1, "sigma": 0, "errors": 0}
    path.write_text(json.dumps({"payments": {**numbers, "outages": [[1, 2, "hang"]]}}))
    assert load(path) == {**DEFAULTS, "payments": Behaviour(1, 0, 0, (Outage(1, 2, "hang"),))}
    path.write_text(json.dumps({"payments": {**numbers, "errors": 2, "outages": [[2, 1]]}}))
    with pytest.raises(ConfigError, match=r"payments.errors must be .*outage 1 of payments"):
        load(path)
