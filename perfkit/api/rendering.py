"""Rendering a run's report."""

from __future__ import annotations

import json
from pathlib import Path

from perfkit.api.document import outcome
from perfkit.api.runs import Run, open_run
from perfkit.errors import ResultsNotWritable
from perfkit.paths import report_notebook
from perfkit.reporting import render

__all__ = ["report"]


def report(run: Run | str | Path) -> Path:
    """Render ``report.ipynb`` and ``report.html`` beside a sealed run; returns the HTML's path.

    ``summary.json`` and ``summary.md`` are written as well.

    Raises:
        NotARun, RunNotSealed: nothing to report on.
        ResultsNotWritable: the run's folder is read-only, or the disk is full.
        ReportFailed: the notebook did not run to its end; the HTML is there, marked FAILED.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    document = outcome(opened)
    headline = opened.headline()
    lines = "\n".join(f"- {line}" for line in headline.lines)
    try:
        (opened.path / "summary.json").write_text(json.dumps(document, indent=2) + "\n")
        (opened.path / "summary.md").write_text(f"**{headline.sentence}**\n\n{lines}\n")
    except OSError as error:
        raise ResultsNotWritable(
            f"{opened.path} can't take the report: {error.strerror}",
            "free some space, or copy the run to a folder that can be written",
        ) from None
    return render(
        report_notebook("10_run_report"), {"run_dir": str(opened.path)}, opened.path, stem="report"
    )
