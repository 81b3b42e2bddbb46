"""The verbs, shared by the command line and notebooks. Lazy, like `perfkit` itself."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from perfkit.api.history import example_run, list_runs, resolve_run
    from perfkit.api.measure import plan, run, sweep
    from perfkit.api.notebook import run_async
    from perfkit.api.planning import scenarios
    from perfkit.api.rendering import report
    from perfkit.api.runs import Run, open_run

__all__ = [
    "Run",
    "example_run",
    "list_runs",
    "open_run",
    "plan",
    "report",
    "resolve_run",
    "run",
    "run_async",
    "scenarios",
    "sweep",
]

_HOMES: Final = {
    "Run": "runs",
    "example_run": "history",
    "list_runs": "history",
    "open_run": "runs",
    "plan": "measure",
    "report": "rendering",
    "resolve_run": "history",
    "run": "measure",
    "run_async": "notebook",
    "scenarios": "planning",
    "sweep": "measure",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"perfkit.api.{_HOMES[name]}"), name)
    raise AttributeError(f"perfkit.api has no name {name!r}")
