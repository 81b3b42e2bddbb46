"""A notebook without the sections that a run has nothing for."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from copy import copy
from pathlib import Path
from typing import Any

from perfkit.reporting import document

__all__ = ["headings", "without_sections"]

_MARK = "## "
_ASSIGNMENT = re.compile(r"(\w+) = ")


def headings(notebook: Path) -> list[str]:
    """The headings of its sections, in order."""
    return [found for cell in document.read(notebook).cells if (found := _heading(cell))]


def without_sections(notebook: Path, dropped: Collection[str], target: Path) -> Path:
    """Write a notebook without the sections of these headings, each up to the next; returns it.

    Of their cells only the lines stay that name something which the rest uses.
    """
    whole = document.read(notebook)
    whole.cells = list(_kept(whole.cells, dropped))
    document.write(whole, target)
    return target


def _kept(cells: list[Any], dropped: Collection[str]) -> Iterator[Any]:
    kept, keeping = [], True
    for cell in cells:
        if heading := _heading(cell):
            keeping = heading not in dropped
        kept.append(keeping)
    needed = "\n".join(cell.source for cell, whole in zip(cells, kept, strict=True) if whole)
    for cell, whole in zip(cells, kept, strict=True):
        if whole:
            yield cell
        elif cell.cell_type == "code" and (lines := list(_assigned(cell.source, needed))):
            shorter = copy(cell)
            shorter["source"] = "\n".join(lines)
            yield shorter


def _assigned(source: str, needed: str) -> Iterator[str]:
    """Lines that give a name to what the rest of the notebook needs."""
    for line in source.splitlines():
        found = _ASSIGNMENT.match(line)
        if found and re.search(rf"\b{found[1]}\b", needed):
            yield line


def _heading(cell: Any) -> str:
    """The heading that a cell begins a section with; empty of any other cell."""
    first = str(cell.source).partition("\n")[0]
    marked = cell.cell_type == "markdown" and first.startswith(_MARK)
    return first.removeprefix(_MARK).strip() if marked else ""
