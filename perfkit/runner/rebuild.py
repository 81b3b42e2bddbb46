"""Closing a trial: tables from the files its processes left, then its final name.

The same way for a trial that went well, one that was interrupted, one whose stack failed, and one
that was killed and is repaired later: what was measured is kept.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from perfkit import errors
from perfkit.errors import PerfkitError
from perfkit.load.happenings import FILES as HAPPENINGS
from perfkit.runner.collect import read_json
from perfkit.runner.scheduling import TIMES
from perfkit.runner.specs import until
from perfkit.runner.tabulate import LEFTOVERS
from perfkit.store import TrialWriter
from perfkit.store.durable import writable

__all__ = ["rebuild", "store_trial"]

_RAW = (
    "requests.arrow", "samples.arrow", "gateway.log", "load.json", "gateway.json",
    "generator.json", "enqueue.json", "enqueue.plan", LEFTOVERS, TIMES,
    *HAPPENINGS,
)  # fmt: skip


def store_trial(
    writer: TrialWriter,
    facts: Mapping[str, Any],
    leftovers: Sequence[Mapping[str, Any]] = (),
    reason: str | None = None,
) -> None:
    """Write the tables and ``trial.json``, and drop what they were made from.

    Args:
        writer: of the trial's folder.
        facts: what is known of the trial.
        leftovers: what Redis still held.
        reason: why the trial is partial; None: it is complete.
    """
    folder = writer.path
    with writable(folder):
        (folder / LEFTOVERS).write_text(json.dumps(list(leftovers)), encoding="utf-8")
    recorder = _tabulate(folder, int(facts["trial"]))
    writer.write_facts(
        {
            **facts,
            "generator": read_json(folder / "generator.json"),
            "recorder": recorder,
            "outcome": "complete" if reason is None else "partial",
            "reason": reason,
        }
    )
    _tidy(folder)


def rebuild(folder: Path, reason: str = "killed while measuring") -> None:
    """Make a whole, partial trial of what one left that did not end in order.

    What Redis held is not known any more: jobs that were not done are then unexplained, and the
    trial says that it is partial.

    Raises:
        ValueError: its load never began; there is nothing to tell.
        PerfkitError: what it left can't be read, or nothing can be written.
    """
    facts = read_json(folder / "trial.json")
    if "instants_ns" not in facts:
        raise ValueError("its load never began")
    writer = TrialWriter(folder.parent, int(facts["trial"]))
    store_trial(writer, facts, reason=reason)
    planned = facts["instants_ns"]
    ended_ns = _last_ns(folder, planned["load_start"])
    writer.write_facts(
        {**read_json(folder / "trial.json"), "instants_ns": until(planned, ended_ns)}
    )


def _tabulate(folder: Path, trial: int) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-m", "perfkit.runner.tabulate", str(folder), str(trial)],
        capture_output=True,
        text=True,
        start_new_session=True,  # a Ctrl-C in the terminal must not break it off
    )
    try:
        said: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        tail = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise PerfkitError(f"the tables of trial {trial} could not be made: {tail[0]}") from None
    if "error" in said:
        kind = getattr(errors, said["error"], PerfkitError)
        raise kind(said["what"], said["mend"])
    return said


def _last_ns(folder: Path, load_start_ns: int) -> int:
    """The last sign of life: when the trial ended, to the period of the sampler."""
    signs = (("samples", "at_ns"), ("requests", "sent_ns"), ("jobs", "finished_ns"))
    found = (
        pc.max(pq.read_table(folder / f"{kind}.parquet", columns=[column])[column]).as_py()
        for kind, column in signs
    )
    return max((stamp for stamp in found if stamp is not None), default=load_start_ns)


def _tidy(folder: Path) -> None:
    """Remove what the tables were made from, and move the logs to where those of the run are."""
    if (folder / "logs").is_dir():
        logs = folder.parent / "logs" / folder.name.removesuffix(".partial")
        logs.parent.mkdir(exist_ok=True)
        (folder / "logs").rename(logs)
    for path in (folder / "spool").glob("*"):
        path.unlink()
    if (folder / "spool").is_dir():
        (folder / "spool").rmdir()
    for name in _RAW:
        (folder / name).unlink(missing_ok=True)
