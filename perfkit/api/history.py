"""Runs that were measured before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from perfkit.errors import NotARun
from perfkit.paths import example_data, results_root
from perfkit.store import RunEntry
from perfkit.store import list_runs as list_entries

if TYPE_CHECKING:
    from perfkit.api.runs import Run

__all__ = ["example_run", "list_runs", "resolve", "resolve_run"]


def list_runs(
    name: str | None = None, *, results: str | os.PathLike[str] | None = None
) -> list[RunEntry]:
    """Runs under the results folder, newest first; unsealed ones say so."""
    return list_entries(results_root(results), name)


def resolve(given: str | None, *, results: str | os.PathLike[str] | None = None) -> Path:
    """The folder of a run: by path, run id, name (its newest), NAME/RUN_ID, or None (the newest).

    Raises:
        NotARun: nothing of that name.
    """
    root = results_root(results)
    if given is not None and Path(given).is_dir():
        return Path(given)
    for entry in list_entries(root, None):
        if given is None:
            if entry.sealed:
                return entry.path
        elif given in (entry.run_id, entry.name, f"{entry.name}/{entry.run_id}"):
            return entry.path
    what = "there is no run yet" if given is None else f"there is no run {given!r}"
    raise NotARun(f"{what} under {root}", "`perfkit list` shows what is there")


def resolve_run(given: str = "") -> Run:
    """What a report notebook opens: the named run, or the committed example when none is named."""
    from perfkit.api.runs import open_run

    return open_run(resolve(given)) if given else example_run("good")


def example_run(name: str = "good") -> Run:
    """One of the committed example runs: ``good`` or ``bad``. They are simulated, and say so."""
    from perfkit.api.runs import open_run

    folder = example_data() / name
    if not folder.is_dir():
        raise NotARun(f"there is no example {name!r}", "use good or bad, from a source checkout")
    return open_run(folder)
