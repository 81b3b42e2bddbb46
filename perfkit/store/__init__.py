"""Run directories: create, append, seal by atomic rename, open, list, verify, repair.

    results/<name>/<run_id>/
        manifest.partial.json     while measuring; replaced by manifest.json when sealed
        trial=0000.partial/       while measuring; renamed to trial=0000/ when whole
        trial=0000/               requests, jobs, samples, calls, leftovers (.parquet), trial.json
        lost/                     what `repair` could not read

A file is flushed to the disk before the rename that makes it visible, so what has its final name
is whole. A folder without ``manifest.json`` is not sealed and is never read as a run.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from perfkit.store.archive import inspect, pack, unpack
    from perfkit.store.entries import RunEntry, TrialEntry
    from perfkit.store.facts import Instants, TrialFacts
    from perfkit.store.integrity import verify
    from perfkit.store.layout import check_name, new_run_id, trial_folder
    from perfkit.store.listing import list_runs
    from perfkit.store.repairing import RepairReport, repair
    from perfkit.store.stored import StoredRun, open_run
    from perfkit.store.tables import read_table
    from perfkit.store.writer import RunWriter, TrialWriter

__all__ = [
    "Instants",
    "RepairReport",
    "RunEntry",
    "RunWriter",
    "StoredRun",
    "TrialEntry",
    "TrialFacts",
    "TrialWriter",
    "check_name",
    "inspect",
    "list_runs",
    "new_run_id",
    "open_run",
    "pack",
    "read_table",
    "repair",
    "trial_folder",
    "unpack",
    "verify",
]

# Lazy: tables need pyarrow, and who only lists runs does not.
_HOMES: Final = {
    "Instants": "facts",
    "RepairReport": "repairing",
    "RunEntry": "entries",
    "RunWriter": "writer",
    "StoredRun": "stored",
    "TrialEntry": "entries",
    "TrialFacts": "facts",
    "TrialWriter": "writer",
    "check_name": "layout",
    "inspect": "archive",
    "list_runs": "listing",
    "new_run_id": "layout",
    "open_run": "stored",
    "pack": "archive",
    "read_table": "tables",
    "repair": "repairing",
    "trial_folder": "layout",
    "unpack": "archive",
    "verify": "integrity",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"perfkit.store.{_HOMES[name]}"), name)
    raise AttributeError(f"perfkit.store has no name {name!r}")
