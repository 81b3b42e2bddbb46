"""Sealing what a killed run left behind."""

from __future__ import annotations

import os

from perfkit.api.history import resolve
from perfkit.launcher.lease import sweep
from perfkit.paths import results_root
from perfkit.runner.rebuild import rebuild
from perfkit.store import RepairReport, list_runs
from perfkit.store import repair as repair_run

__all__ = ["repair"]


def repair(
    run: str | None = None, *, results: str | os.PathLike[str] | None = None
) -> list[RepairReport]:
    """Seal one run, or every unsealed run whose owner is gone.

    Raises:
        NotARun: there is no such run.
        RunNotSealed: the run that was named is still being measured.
    """
    # The keeper clears within seconds of a death; this is for when it was killed too.
    sweep(results_root(results) / ".leases")
    if run is not None:
        return [repair_run(resolve(run, results=results), rebuild)]
    entries = list_runs(results_root(results))
    return [repair_run(entry.path, rebuild) for entry in entries if entry.state == "unsealed"]
