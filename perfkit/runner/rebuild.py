"""The tables of a trial that was killed, from the files its processes left."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow.compute as pc

from perfkit.runner.collect import Tables, collect, read_json
from perfkit.runner.specs import until
from perfkit.store import TrialWriter

__all__ = ["rebuild"]


def rebuild(folder: Path) -> None:
    """Write the tables and ``trial.json`` of a partial trial folder.

    What Redis held is not known any more: jobs that were not done are then unexplained, and the
    trial says that it is partial.

    Raises:
        ValueError: it was killed before its load began; there is nothing to tell.
    """
    facts = read_json(folder / "trial.json")
    if "instants_ns" not in facts:
        raise ValueError("it was killed before its load began")
    writer = TrialWriter(folder.parent, int(facts["trial"]))
    tables, recorder = collect(folder, int(facts["trial"]))
    for kind, table in tables.items():
        writer.write_table(kind, table)
    writer.write_facts(
        facts
        | {
            "instants_ns": until(facts["instants_ns"], _last_ns(tables, facts["instants_ns"])),
            "generator": read_json(folder / "generator.json"),
            "recorder": recorder.document(),
            "outcome": "partial",
            "reason": "killed while measuring",
        }
    )


def _last_ns(tables: Tables, instants_ns: Mapping[str, int]) -> int:
    """The last sign of life: when the trial was killed, to the period of the sampler."""
    signs = [("samples", "at_ns"), ("requests", "sent_ns"), ("jobs", "finished_ns")]
    found = [pc.max(tables[kind][column]).as_py() for kind, column in signs]
    return max((stamp for stamp in found if stamp is not None), default=instants_ns["load_start"])
