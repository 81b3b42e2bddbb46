"""perfkit: how fast is a Dramatiq-on-Redis stack, where does the time go, and what breaks?

The package is lazy: importing it imports nothing, so that a measured process (which needs
``perfkit.recorder`` and nothing else of ours) pays nothing for it. ``perfkit.run`` and the other
public names load on first use.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from perfkit import figures, monitor, stats
    from perfkit.api import (
        Run,
        calibrate,
        calibrate_async,
        compare,
        compare_runs,
        example_run,
        export_run,
        import_run,
        list_runs,
        open_comparison,
        open_run,
        report,
        resume,
        run,
        run_async,
        scenarios,
        sweep,
        sweep_async,
    )
    from perfkit.api.history import history
    from perfkit.api.recorded import recorded
    from perfkit.errors import PerfkitError

__version__: Final = "0.1.0"

__all__ = [
    "PerfkitError",
    "Run",
    "__version__",
    "calibrate",
    "calibrate_async",
    "compare",
    "compare_runs",
    "example_run",
    "export_run",
    "figures",
    "history",
    "import_run",
    "list_runs",
    "monitor",
    "open_comparison",
    "open_run",
    "recorded",
    "report",
    "resume",
    "run",
    "run_async",
    "scenarios",
    "stats",
    "sweep",
    "sweep_async",
]

_HOMES: Final = {
    "PerfkitError": "perfkit.errors",
    "history": "perfkit.api.history",  # of that name `perfkit.api` has the module
    "recorded": "perfkit.api.recorded",  # likewise
}
_SUBPACKAGES: Final = ("figures", "monitor", "stats")


def __getattr__(name: str) -> Any:
    if name in _SUBPACKAGES:
        return importlib.import_module(f"perfkit.{name}")
    if name in __all__:
        return getattr(importlib.import_module(_HOMES.get(name, "perfkit.api")), name)
    raise AttributeError(f"perfkit has no public name {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
