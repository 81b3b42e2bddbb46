"""Documents that a test changes in one place, and what the parser says of them."""

from __future__ import annotations

from typing import Any

import pytest

from perfkit.errors import ScenarioError
from perfkit.scenario import Scenario, load_document, parse, with_values


def changed(name: str, values: dict[str, Any]) -> dict[str, Any]:
    """A built-in scenario's document with dotted keys set."""
    document, _ = load_document(name)
    return with_values(document, values)


def parsed(name: str, values: dict[str, Any]) -> Scenario:
    """The scenario of such a document."""
    return parse(changed(name, values), "case.toml")


def problems(document: dict[str, Any]) -> dict[str, str]:
    """Every problem of a document by its key."""
    with pytest.raises(ScenarioError) as caught:
        parse(document, "case.toml")
    return {problem.key: str(problem) for problem in caught.value.problems}
