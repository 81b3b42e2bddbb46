"""Rendering a run's report."""

from __future__ import annotations

import json
from pathlib import Path

from perfkit.api.document import outcome
from perfkit.api.runs import Run, open_run
from perfkit.paths import report_notebook
from perfkit.reporting import render

__all__ = ["report"]


def report(run: Run | str | Path) -> Path:
    """Render ``report.ipynb`` and ``report.html`` beside a sealed run; returns the HTML's path.

    ``summary.json`` and ``summary.md`` are written as well.

    Raises:
        NotARun, RunNotSealed: nothing to report on.
        ReportFailed: the notebook did not run to its end; the HTML is there, marked FAILED.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    document = outcome(opened)
    (opened.path / "summary.json").write_text(json.dumps(document, indent=2) + "\n")
    headline = opened.headline()
    lines = "\n".join(f"- {line}" for line in headline.lines)
    (opened.path / "summary.md").write_text(f"**{headline.sentence}**\n\n{lines}\n")
    return render(
        report_notebook("10_run_report"), {"run_dir": str(opened.path)}, opened.path, stem="report"
    )
