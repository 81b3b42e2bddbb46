"""The parameters of 20_compare: all that is wrong is said at once, before anything starts."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from perfkit.api import comparison, notebook
from perfkit.errors import NotARun, UsageError
from perfkit.paths import example_data
from tests.comparisons import seal_comparison


def called(**given: Any) -> Any:
    return asyncio.run(comparison(**given))


def test_as_it_stands_it_reads_the_committed_comparison() -> None:
    assert called().candidate == "checkout 1.5.0"


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A comparison of two pairs."""
    return seal_comparison(tmp_path_factory.mktemp("small"), pairs=2).path


def test_it_reads_a_comparison_by_its_folder_and_refuses_another_run(small: Path) -> None:
    assert called(run_dir=str(small)).path == small
    with pytest.raises(NotARun):
        called(run_dir=str(example_data() / "good"))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"live": "maybe"}, "live is true or false"),
        ({"live": True, "run_dir": "x"}, "give one of them"),
        ({"a": ""}, "a names no scenario"),
        ({"b": 3}, "b is text"),
        ({"set_b": "redis.server"}, "set_b has settings such as"),
        ({"set_a": 4}, "set_a is text such as"),
        ({"pairs": "many"}, "pairs is a whole number"),
        ({"pairs": 0}, "pairs is a whole number"),
        ({"duration": "20"}, "duration is text with a unit"),
    ],
)
def test_a_parameter_that_does_not_fit_is_refused(given: Mapping[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        called(**given)


def test_all_that_is_wrong_is_said_at_once() -> None:
    with pytest.raises(UsageError, match=r"a names no scenario.*pairs is a whole number"):
        called(live=True, a=" ", pairs=-1)


def test_live_it_asks_the_verb_for_both_arms_and_opens_what_that_sealed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, small: Path
) -> None:
    asked: list[str] = []

    async def watched(arguments: list[str], show: object) -> dict[str, str]:
        asked.extend(arguments)
        return {"run_dir": str(small)}

    monkeypatch.setattr(notebook, "_watched", watched)
    found = called(
        live="true",
        a="smoke",
        set_a="redis.server=redis",
        set_b="redis.server=valkey, stack.threads=4",
        set_both="stack.workers=2",
        pairs="6",
        duration="2s",
        margin="5%",
        results=str(tmp_path),
    )
    assert found.path == small
    assert asked == [
        *("compare", "smoke", "--pairs", "6"),
        *("--set-a", "redis.server=redis"),
        *("--set-b", "redis.server=valkey", "--set-b", "stack.threads=4"),
        *("--margin", "5%"),
        *("--json", "--progress", "json", "--while-stdin", "--results", str(tmp_path)),
        *("--set", "stack.workers=2", "--set", 'window.duration="2s"'),
    ]
