"""The verbs, shared by the command line and notebooks. Lazy, like `perfkit` itself."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from perfkit.api.batch import benchmark, conclude
    from perfkit.api.calibrating import Calibration, calibrate
    from perfkit.api.compared import Compared, open_comparison
    from perfkit.api.comparing import compare
    from perfkit.api.comparing_batch import comparison
    from perfkit.api.exploring import Explored, compare_runs
    from perfkit.api.exporting import Export, export_run
    from perfkit.api.history import example_run, list_runs, resolve_run
    from perfkit.api.importing import Imported, import_run
    from perfkit.api.matrix import Reliability, reliability
    from perfkit.api.measure import plan, resume, run, sweep
    from perfkit.api.notebook import calibrate_async, compare_async, run_async, sweep_async
    from perfkit.api.planning import scenarios
    from perfkit.api.rendering import report
    from perfkit.api.runs import Run, open_run

__all__ = [
    "Calibration",
    "Compared",
    "Explored",
    "Export",
    "Imported",
    "Reliability",
    "Run",
    "benchmark",
    "calibrate",
    "calibrate_async",
    "compare",
    "compare_async",
    "compare_runs",
    "comparison",
    "conclude",
    "example_run",
    "export_run",
    "import_run",
    "list_runs",
    "open_comparison",
    "open_run",
    "plan",
    "reliability",
    "report",
    "resolve_run",
    "resume",
    "run",
    "run_async",
    "scenarios",
    "sweep",
    "sweep_async",
]

_HOMES: Final = {
    "Calibration": "calibrating",
    "Compared": "compared",
    "Explored": "exploring",
    "Export": "exporting",
    "Imported": "importing",
    "Reliability": "matrix",
    "Run": "runs",
    "benchmark": "batch",
    "calibrate": "calibrating",
    "calibrate_async": "notebook",
    "compare": "comparing",
    "compare_async": "notebook",
    "compare_runs": "exploring",
    "comparison": "comparing_batch",
    "conclude": "batch",
    "example_run": "history",
    "export_run": "exporting",
    "import_run": "importing",
    "list_runs": "history",
    "open_comparison": "compared",
    "open_run": "runs",
    "plan": "measure",
    "reliability": "matrix",
    "report": "rendering",
    "resolve_run": "history",
    "resume": "measure",
    "run": "measure",
    "run_async": "notebook",
    "scenarios": "planning",
    "sweep": "measure",
    "sweep_async": "notebook",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"perfkit.api.{_HOMES[name]}"), name)
    raise AttributeError(f"perfkit.api has no name {name!r}")
