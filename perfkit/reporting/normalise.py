"""Committed notebooks: run again on the example data, without what changes from run to run.

``python -m perfkit.reporting.normalise [NOTEBOOK or FOLDER ...]``; default: ``notebooks/``.
Strict nbval compares against what this wrote: run it after every change that shows in a notebook.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from perfkit.errors import PerfkitError
from perfkit.paths import report_notebook
from perfkit.reporting import document
from perfkit.reporting.execution import execute
from perfkit.reporting.folder import private_folder

__all__ = ["main", "normalised", "renew"]


def renew(notebook: Path) -> None:
    """Run a notebook as it stands and put its outputs in place of the old ones.

    Raises:
        ReportFailed: it did not run to its end; the file is not touched.
    """
    with private_folder() as folder:
        executed = folder / notebook.name
        execute(notebook, executed)
        document.write(normalised(document.read(executed)), notebook)


def normalised(notebook: Any) -> Any:
    """The notebook with only that metadata which every run leaves the same."""
    notebook.metadata = document.notebook([]).metadata
    for cell in notebook.cells:
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
        for output in cell.get("outputs", ()):
            if "metadata" in output:
                output.metadata = {}
    return notebook


def _notebooks(given: Sequence[Path]) -> Iterator[Path]:
    """The notebooks named, or found in the folders named."""
    for path in given:
        if path.is_dir():
            yield from sorted(path.glob("*.ipynb"))
        else:
            yield path


def main(arguments: Sequence[str]) -> int:
    """Renew what is named; 0 when all ran."""
    given = [Path(name) for name in arguments] or [report_notebook("10_run_report").parent]
    for notebook in _notebooks(given):
        try:
            renew(notebook)
        except PerfkitError as error:
            print(error, file=sys.stderr)
            return error.exit_code
        print(f"{notebook}: {notebook.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
