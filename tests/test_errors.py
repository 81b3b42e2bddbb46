"""The exception tree: drawn completely, each error with its exit code."""

from __future__ import annotations

import pytest

from perfkit import errors
from perfkit.errors import PerfkitError, Problem, ScenarioError, UsageError


def tree() -> list[type[PerfkitError]]:
    found = [getattr(errors, name) for name in errors.__all__]
    return [each for each in found if isinstance(each, type) and issubclass(each, PerfkitError)]


def test_every_error_is_drawn_in_the_docstring() -> None:
    assert errors.__doc__ is not None
    for each in tree():
        assert each.__name__ in errors.__doc__


@pytest.mark.parametrize("kind", tree())
def test_a_usage_error_exits_with_two_and_nothing_else_does(kind: type[PerfkitError]) -> None:
    assert (kind.exit_code == 2) == issubclass(kind, UsageError)


def test_an_error_says_how_to_mend_it() -> None:
    assert str(UsageError("it is broken", "mend it")) == "it is broken\n  mend: mend it"
    assert str(UsageError("it is broken")) == "it is broken"


def test_a_scenario_error_lists_all_problems() -> None:
    error = ScenarioError(
        "x.toml", [Problem("a.b", "is odd", "make it even"), Problem("c", "gone")]
    )
    assert str(error) == "x.toml: 2 problems\n  a.b: is odd (make it even)\n  c: gone"
