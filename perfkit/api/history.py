"""Runs that were measured before: lists, the history of a scenario, and finding one again."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from perfkit.api.selection import Selection, named, nearest
from perfkit.clock import Clock, SystemClock
from perfkit.errors import NotARun, UsageError
from perfkit.paths import example_data, is_folder, results_root
from perfkit.store import RunEntry, TrialEntry
from perfkit.store import list_runs as list_entries
from perfkit.store.entries import LEVELS

if TYPE_CHECKING:
    import pandas as pd

    from perfkit.api.runs import Run

__all__ = [
    "PastTrial",
    "example_run",
    "history",
    "list_runs",
    "past_trials",
    "resolve",
    "resolve_run",
]

Results = str | os.PathLike[str] | None


@dataclass(frozen=True, slots=True)
class PastTrial:
    """One trial in the history of its scenario."""

    run: RunEntry
    trial: TrialEntry
    change: float
    """P95 by that of the trial before it that measured the same on the same host, less 1; NaN for
    the first of a series, and where either of them is cut short, INVALID or not summed up."""

    @property
    def basis(self) -> tuple[str | None, str | None, bool]:
        """Host, scenario (the stack and the seed included) and whether it was simulated: what two
        trials must share before their figures may be compared."""
        return (self.run.host, self.trial.digest, self.run.synthetic)

    def figure(self, name: str) -> float:
        """One of `perfkit.store.entries.FIGURES`; NaN where no summary says."""
        return self.trial.figures.get(name, math.nan)

    def document(self) -> dict[str, Any]:
        """The columns of `history`, with plain types."""
        trial, run = self.trial, self.run
        return {
            "created": None if run.created is None else run.created.isoformat(timespec="seconds"),
            "run": f"{run.name}/{run.run_id}",
            "trial": trial.trial,
            "label": trial.label,
            "repetition": trial.repetition,
            "outcome": trial.outcome,
            "status": trial.verdict,
            "saturated": trial.saturated,
            **{name: self.figure(name) for name in LEVELS},
            "p95_change": self.change,
            "worst_queue": trial.worst_queue,
            "worst_queue_p95_ns": self.figure("worst_queue_p95_ns"),
            "errors": self.figure("errors"),
            "host": run.host,
            "digest": trial.digest,
            "workload_digest": trial.workload_digest,
            "commit": run.commit,
            "perfkit_version": run.perfkit_version,
            "synthetic": run.synthetic,
            "path": str(run.path),
        }


_COLUMNS: Final = (
    "created",
    "run",
    "trial",
    "label",
    "repetition",
    "outcome",
    "status",
    "saturated",
    *LEVELS,
    "p95_change",
    "worst_queue",
    "worst_queue_p95_ns",
    "errors",
    "host",
    "digest",
    "workload_digest",
    "commit",
    "perfkit_version",
    "synthetic",
    "path",
)


def list_runs(
    name: str | None = None,
    *,
    results: Results = None,
    status: str | Sequence[str] = (),
    verdict: str | Sequence[str] = (),
    since: str | datetime | None = None,
    axes: Mapping[str, Any] | None = None,
    limit: int | None = None,
    clock: Clock | None = None,
) -> list[RunEntry]:
    """Runs under the results folder, newest first; unsealed ones say so.

    Args:
        name: of the run or of a scenario in it; ``*``, ``?`` and ``[ab]`` may be used.
        results: folder for runs.
        status: one or several of complete, partial, measuring, unsealed, unreadable.
        verdict: one or several of PASS, FAIL, INCONCLUSIVE, INVALID, NONE (no summary says).
        since: "7d" (ago) or a date; UTC where it has no zone.
        axes: values that a trial of the run must have, such as ``{"workers": 4}``.
        limit: so many at most.
        clock: what "ago" is measured from.

    Raises:
        UsageError: there is no run of that name, or no such folder, status, time or axis.
    """
    now_ns = (clock or SystemClock()).wall_ns()
    selection = Selection.of(status=status, verdict=verdict, since=since, axes=axes, now_ns=now_ns)
    entries = _entries(results)
    if name is not None:
        entries = named(entries, name)
    selection.check_axes(entries)
    return [entry for entry in entries if selection.takes(entry)][:limit]


def past_trials(
    scenario: str,
    *,
    results: Results = None,
    verdict: str | Sequence[str] = (),
    since: str | datetime | None = None,
    axes: Mapping[str, Any] | None = None,
    limit: int | None = None,
    clock: Clock | None = None,
) -> list[PastTrial]:
    """The trials of a scenario in all sealed runs, oldest first; the newest ``limit`` of them.

    Arguments as `list_runs`; ``scenario`` is a name or the path of its file, and ``verdict`` is
    that of the trial.

    Raises:
        UsageError: as `list_runs`; also where no sealed run measured the scenario.
    """
    now_ns = (clock or SystemClock()).wall_ns()
    selection = Selection.of(verdict=verdict, since=since, axes=axes, now_ns=now_ns)
    name = _scenario_name(scenario)
    entries = _entries(results)
    found = [entry for entry in entries if entry.sealed and name in entry.scenarios]
    if not found:
        raise _unmeasured(name, entries, results_root(results))
    selection.check_axes(found)
    wanted = [
        each
        for each in _with_changes(name, reversed(found))
        if (selection.since_ns is None or (each.run.created_ns or 0) >= selection.since_ns)
        and (not selection.verdict or (each.trial.verdict or "NONE") in selection.verdict)
        and selection.has_axes(each.trial)
    ]
    return wanted[-limit:] if limit else wanted


def history(
    scenario: str,
    *,
    results: Results = None,
    verdict: str | Sequence[str] = (),
    since: str | datetime | None = None,
    axes: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> pd.DataFrame:
    """A scenario's trials over time, one row each, oldest first.

    Columns: created (UTC), run (NAME/RUN_ID), trial, label, repetition, outcome, status (verdict of
    the trial), saturated; offered_per_s, due_per_s, throughput_per_s, n, p50_ns, p95_ns, p99_ns
    (see `Run.trials`); p95_change (to the trial before it with the same host and digest, as a
    share); worst_queue, worst_queue_p95_ns, errors (see `perfkit.api.measured`); host
    (fingerprint), digest (of the scenario with its stack and seed), workload_digest, commit (with
    "+" where files differed from it), perfkit_version, synthetic, path. One column per axis under
    its short name where trials have any. All figures are as the runs' summaries have them; NaN
    where there is none.

    Arguments and errors as `past_trials`.
    """
    import pandas as pd

    found = past_trials(
        scenario, results=results, verdict=verdict, since=since, axes=axes, limit=limit
    )
    frame = pd.DataFrame([each.document() for each in found], columns=_COLUMNS)
    frame["created"] = pd.to_datetime(frame["created"], utc=True)
    for axis in dict.fromkeys(axis for each in found for axis in each.trial.axes):
        short = axis.rpartition(".")[2]
        values = [each.trial.axes.get(axis) for each in found]
        frame[axis if short in frame else short] = values
    return frame


def _with_changes(scenario: str, oldest_first: Iterator[RunEntry]) -> Iterator[PastTrial]:
    before: dict[tuple[str | None, str | None, bool], float] = {}
    for run in oldest_first:
        for trial in run.planned:
            if trial.scenario != scenario:
                continue
            past = PastTrial(run, trial, math.nan)
            host, digest, _ = past.basis
            p95_ns = past.figure("p95_ns")
            whole = trial.outcome == "complete" and trial.verdict not in (None, "INVALID")
            if whole and host and digest and p95_ns > 0 and math.isfinite(p95_ns):
                change = p95_ns / before.get(past.basis, math.nan) - 1
                past = PastTrial(run, trial, change)
                before[past.basis] = p95_ns
            yield past


def _entries(results: Results) -> list[RunEntry]:
    root = results_root(results)
    named_folder = results is not None or "PERFKIT_RESULTS" in os.environ
    if named_folder and not root.is_dir():
        raise NotARun(
            f"there is no results folder {root}",
            "name another with --results DIR or PERFKIT_RESULTS; the first run makes it",
        )
    return list_entries(root)


def _unmeasured(name: str, entries: Sequence[RunEntry], root: Path) -> UsageError:
    what = f"no sealed run under {root} measured a scenario {name!r}"
    if any(name in entry.scenarios for entry in entries if entry.state == "unsealed"):
        return UsageError(what, "a killed run did: `perfkit repair` keeps what it measured")
    from perfkit.scenario import builtins

    measured = {each for entry in entries if entry.sealed for each in entry.scenarios}
    if name in (known := builtins()):
        return UsageError(what, f"measure it: perfkit run {name}")
    there = f"measured were {', '.join(sorted(measured))}" if measured else "none was measured yet"
    return UsageError(what, f"{nearest(name, {*measured, *known})}{there}")


def _scenario_name(given: str) -> str:
    """The name a scenario's file gives it; any other text is the name itself."""
    if not given.endswith(".toml") and os.sep not in given:
        return given
    from perfkit.scenario import load_document

    document, _ = load_document(given)
    return str(document.get("name") or Path(given).stem)


def resolve(given: str | None, *, results: Results = None) -> Path:
    """The folder of a run: by path, run id, name (its newest), NAME/RUN_ID, or None (the newest).

    Raises:
        NotARun: nothing of that name.
    """
    root = results_root(results)
    if given is not None and is_folder(given):
        return Path(given)
    entries = list_entries(root)
    for entry in entries:
        if given is None:
            if entry.sealed:
                return entry.path
        elif given in (entry.run_id, entry.name, f"{entry.name}/{entry.run_id}"):
            return entry.path
    if given is None:
        raise NotARun(f"there is no run yet under {root}", "make one: perfkit run smoke")
    known = [each for entry in entries for each in (entry.name, entry.run_id)]
    raise NotARun(
        f"there is no run {given!r} under {root}",
        f"{nearest(given, known)}`perfkit list` shows what is there",
    )


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
