"""Rendering a run's report."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from perfkit.api.document import outcome
from perfkit.api.runs import Run, open_run
from perfkit.errors import ResultsNotWritable
from perfkit.paths import report_notebook
from perfkit.reporting import render
from perfkit.verdict.answering import only_requests

OF_JOBS: Final = (
    "Workers while running",
    "Faults and recovery",
    "Backlog",
    "Where the time goes",
    "Redis",
)
"""Sections that would speak of a stack that nobody watched, where only requests are known."""

COMPARED: Final = "Trials compared"
"""The section that one trial on a server elsewhere has no use for: it has no workers to vary."""

OF_INSTRUMENT: Final = (
    COMPARED,
    "Phases of the load",
    "Resources",
    "What the instrument cost",
)
"""Those on what perfkit knows of its own measurements, and not of an import."""

__all__ = [
    "COMPARED",
    "OF_INSTRUMENT",
    "OF_JOBS",
    "OF_USER_CODE",
    "report",
    "summarise",
    "write_summary",
]


OF_USER_CODE: Final = "Journeys"
"""The section on what user code did."""


def report(run: Run | str | Path) -> Path:
    """Render ``report.ipynb`` and ``report.html`` beside a sealed run; returns the HTML's path.

    ``summary.json`` and ``summary.md`` are written as well. The report of a run that recorded no
    jobs, such as an import, lacks the sections on them and on the stack; that on user code is only
    there where user code made the requests. A comparison is shown by a notebook of its own.

    Raises:
        NotARun, RunNotSealed: nothing to report on.
        ResultsNotWritable: the run's folder is read-only, or the disk is full.
        ReportFailed: the notebook did not run to its end; the HTML is there, marked FAILED.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    write_summary(opened)
    parameters = {"run_dir": str(opened.path)}
    if "comparison" in opened.manifest:
        return render(report_notebook("20_compare"), parameters, opened.path, stem="report")
    notebook = report_notebook("10_run_report")
    dropped = [*(OF_JOBS if only_requests(opened.stored) else ())]
    if any(opened.stored.facts(trial).imported for trial in opened.stored.trials):
        dropped += OF_INSTRUMENT
    elif only_requests(opened.stored) and len(opened.stored.trials) == 1:
        dropped.append(COMPARED)
    if not any(_has_user_code(opened, trial) for trial in opened.stored.trials):
        dropped.append(OF_USER_CODE)
    return render(notebook, parameters, opened.path, stem="report", dropped=dropped)


def _has_user_code(run: Run, trial: int) -> bool:
    """Whether somebody's code made the requests, and not a template."""
    document = run.stored.trial_facts(trial).get("document") or {}
    return bool((document.get("load") or {}).get("user"))


def summarise(run: Run) -> tuple[dict[str, Any], str]:
    """What ``summary.json`` and ``summary.md`` hold: the latter of a gate what it decided."""
    asked = run.manifest.get("comparison")
    if isinstance(asked, Mapping) and asked.get("gate"):
        from perfkit.api.gating import summary_again

        return outcome(run), summary_again(run)
    headline = run.headline()
    lines = "\n".join(f"- {line}" for line in headline.lines)
    return outcome(run), f"**{headline.sentence}**\n\n{lines}\n"


def write_summary(run: Run) -> None:
    """Write ``summary.json`` and ``summary.md`` beside a sealed run: lists read the former.

    Raises:
        ResultsNotWritable: the run's folder is read-only, or the disk is full.
    """
    document, text = summarise(run)
    try:
        (run.path / "summary.json").write_text(json.dumps(document, indent=2) + "\n")
        (run.path / "summary.md").write_text(text)
    except OSError as error:
        raise ResultsNotWritable(
            f"{run.path} can't take the report: {error.strerror}",
            "free some space, or copy the run to a folder that can be written",
        ) from None
