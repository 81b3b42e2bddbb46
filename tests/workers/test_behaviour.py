"""Delays and errors of the gateway: keyed, at the rates asked for, from a checked file."""

from __future__ import annotations

import json
import random
import statistics
from pathlib import Path

import pytest

from workers.behaviour import DEFAULTS, Behaviour, ConfigError, load


def test_the_defaults_are_the_work_the_sample_promises() -> None:
    assert {
        "payments": Behaviour(40, 0.5, 0.01),
        "notifications": Behaviour(15, 0.4, 0),
        "webhooks": Behaviour(80, 0.9, 0.02),
    } == DEFAULTS


def test_delays_and_errors_do_not_depend_on_the_order_of_calls() -> None:
    behaviour = DEFAULTS["webhooks"]
    calls = [(f"1/{seq}", "webhooks", attempt) for seq in range(500) for attempt in range(2)]
    drawn = {call: (behaviour.delay_ns(*call), behaviour.fails(*call)) for call in calls}
    random.Random(1).shuffle(calls)
    assert {c: (behaviour.delay_ns(*c), behaviour.fails(*c)) for c in calls} == drawn


def test_each_attempt_of_a_job_draws_anew() -> None:
    half = Behaviour(40, 0.5, 0.5)
    assert len({half.delay_ns("1/0", "payments", attempt) for attempt in range(10)}) == 10
    assert {half.fails("1/0", "payments", attempt) for attempt in range(20)} == {True, False}


def test_the_drawn_delays_have_the_median_and_the_errors_the_rate() -> None:
    behaviour = DEFAULTS["webhooks"]
    keys = [f"1/{seq}" for seq in range(5000)]
    delays = [behaviour.delay_ns(key, "webhooks", 0) for key in keys]
    assert statistics.median(delays) == pytest.approx(80e6, rel=0.05)
    failed = sum(behaviour.fails(key, "webhooks", 0) for key in keys)
    assert failed / len(keys) == pytest.approx(0.02, abs=0.006)


@pytest.mark.parametrize(("errors", "fails"), [(0, False), (1, True)])
def test_a_rate_of_0_never_fails_and_a_rate_of_1_always(errors: int, fails: bool) -> None:
    behaviour = Behaviour(1, 0.1, errors)
    assert {behaviour.fails(f"1/{seq}", "q", 0) for seq in range(1000)} == {fails}


def test_a_file_adds_to_the_defaults(tmp_path: Path) -> None:
    path = tmp_path / "gateway.json"
    quick = {"median_ms": 1, "sigma": 0.0, "errors": 0.5}
    path.write_text(json.dumps({"payments": quick, "emails": quick}))
    assert load(path) == {
        **DEFAULTS,
        "payments": Behaviour(1, 0.0, 0.5),
        "emails": Behaviour(1, 0.0, 0.5),
    }


def test_every_problem_of_a_file_is_told_at_once(tmp_path: Path) -> None:
    path = tmp_path / "gateway.json"
    good = {"median_ms": 1, "sigma": 1, "errors": 0}
    path.write_text(
        json.dumps(
            {
                "a": {"median_ms": 1},
                "b": {**good, "errors": 2},
                "c": {**good, "sigma": "wide"},
                "d": {**good, "median_ms": -1},
                "e": {**good, "median_ms": True},
                "f": 7,
            }
        )
    )
    with pytest.raises(ConfigError) as refused:
        load(path)
    said = str(refused.value)
    assert str(path) in said
    for problem in (
        "a must be an object with median_ms, sigma, errors",
        "b.errors must be a number from 0 to 1",
        "c.sigma",
        "d.median_ms",
        "e.median_ms",
        "f must be an object",
    ):
        assert problem in said


@pytest.mark.parametrize("text", ["", "{", "[]", '{"a": {"median_ms": NaN}}'])
def test_a_file_that_holds_no_configuration_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "gateway.json"
    path.write_text(text)
    with pytest.raises(ConfigError, match=r"gateway\.json"):
        load(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        load(tmp_path / "none.json")
