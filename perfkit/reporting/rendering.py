"""From a notebook and its parameters to a report beside the data."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from perfkit.errors import ReportFailed, ResultsNotWritable
from perfkit.reporting import document
from perfkit.reporting.execution import execute
from perfkit.reporting.export import export_html
from perfkit.reporting.parameters import checked_parameters

__all__ = ["render"]


def render(
    notebook: Path,
    parameters: Mapping[str, object],
    folder: Path,
    *,
    stem: str = "report",
    dropped: Collection[str] = (),
    limit_s: float = 600.0,
    cell_limit_s: float = 300.0,
) -> Path:
    """Run ``notebook`` and write ``stem``.ipynb and ``stem``.html into ``folder``.

    Sections whose headings are in ``dropped`` are left out.

    Returns:
        The HTML's path.

    Raises:
        UsageError: an unknown parameter, or no such notebook.
        ResultsNotWritable: the folder can't take the report.
        ReportFailed: the notebook did not run to its end. ``stem``.ipynb is not touched,
            ``stem``.ipynb.partial has the failure in its first cell, and ``stem``.html holds what
            ran, marked FAILED.
    """
    checked = checked_parameters(notebook, parameters)
    if not os.access(folder, os.W_OK):
        raise ResultsNotWritable(f"{folder} can't be written to", "choose another folder")
    about = f"{folder.absolute().parent.name} {folder.name}"
    executed, page = folder / f"{stem}.ipynb", folder / f"{stem}.html"
    try:
        execute(
            notebook,
            executed,
            checked,
            dropped=dropped,
            limit_s=limit_s,
            cell_limit_s=cell_limit_s,
        )
    except ReportFailed as failure:
        partial = executed.with_name(executed.name + ".partial")
        _stamp(notebook, partial, failure.what)
        export_html(partial, page, about=about, failed=failure.what)
        raise ReportFailed(failure.what, f"see {page}, marked FAILED") from failure
    export_html(executed, page, about=about)
    return page


def _stamp(notebook: Path, partial: Path, reason: str) -> None:
    """Put the failure first, into whatever was left behind."""
    left = document.read(partial if partial.is_file() else notebook)
    if not partial.is_file():
        for cell in left.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
    banner = document.raw_cell(f"FAILED: this report is not complete\n\n{reason}")
    banner.metadata["tags"] = ["perfkit-failure"]
    left.cells.insert(0, banner)
    left.metadata["perfkit"] = {"failed": reason}
    document.write(left, partial)
