"""A verb in a notebook takes what it takes in a script; the README promises that much."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any

import pytest

import perfkit
from perfkit.api import notebook
from perfkit.api.calibrating import Calibration, Spread
from perfkit.errors import UsageError

ONLY_HERE = {"progress"}  # a cell has a panel of its own
ONLY_IN_NOTEBOOKS = {"live", "example"}  # a notebook that is only shown opens an example


def parameters(verb: Callable[..., Any]) -> dict[str, tuple[Any, Any, Any]]:
    return {
        each.name: (each.kind, each.default, each.annotation)
        for each in inspect.signature(verb).parameters.values()
    }


@pytest.mark.parametrize("name", ["run", "sweep", "calibrate"])
def test_both_forms_of_a_verb_take_the_same(name: str) -> None:
    plain, other = parameters(getattr(perfkit, name)), parameters(getattr(perfkit, f"{name}_async"))
    for only in ONLY_HERE:
        plain.pop(only, None)
    for only in ONLY_IN_NOTEBOOKS:
        other.pop(only, None)
    assert other == plain


def carried(monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any]) -> list[str]:
    """The command line that a call in a notebook comes to."""
    found: list[str] = []

    class Asked(Exception):
        pass

    async def watched(arguments: list[str], _show: object) -> None:
        found.extend(arguments)
        raise Asked

    monkeypatch.setattr(notebook, "_watched", watched)
    monkeypatch.setattr(notebook, "_panel", lambda: None)
    with pytest.raises(Asked):
        asyncio.run(call())
    return found


def test_what_is_said_of_redis_reaches_the_process_that_measures(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    said = carried(
        monkeypatch,
        lambda: perfkit.run_async("smoke", redis="redis://h/1", allow_destructive=True, workers=2),
    )
    assert said[:5] == ["run", "smoke", "--redis", "redis://h/1", "--allow-destructive"]
    assert "workers=2" in said
    said = carried(monkeypatch, lambda: perfkit.sweep_async(suite=True, redis_server="/opt/valkey"))
    assert said[:6] == ["sweep", "--repeat", "1", "--suite", "--redis-server", "/opt/valkey"]


def test_the_suite_has_no_other_scenarios_beside_it() -> None:
    with pytest.raises(UsageError, match="light can't be named beside it"):
        asyncio.run(perfkit.sweep_async("light", suite=True))


def test_a_calibration_comes_back_from_its_document() -> None:
    found = Calibration(
        requests_per_s=9.5, requests=3, errors=1, error_kinds={"reset": 1}, cpu_us_per_request=None,
        intended=Spread(1.0, 2.0, 3.0, 4.0), sent=Spread(), send_lag=Spread(0.1, 0.2, 0.3, 0.4),
    )  # fmt: skip
    assert Calibration.of(found.document()) == found


def test_a_calibration_from_another_process_is_a_whole_one() -> None:
    found = asyncio.run(perfkit.calibrate_async(rate=50.0, connections=4, duration="300ms"))
    assert (found.requests, found.errors) == (15, 0)
    assert found.send_lag.max is not None
