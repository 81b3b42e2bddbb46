"""Small notebooks that behave or misbehave."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from perfkit.reporting import document


def notebook(path: Path, *sources: str, parameters: str = "") -> Path:
    """Write a notebook of code cells; ``parameters`` becomes its first, tagged cell."""
    cells = [_cell(source) for source in sources]
    if parameters:
        first = _cell(parameters)
        first["metadata"]["tags"] = ["parameters"]
        cells.insert(0, first)
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    document.write(document.notebook(cells), path)
    return path


def _cell(source: str) -> dict[str, Any]:
    return {
        "cell_type": "code",
        "source": source,
        "metadata": {},
        "outputs": [],
        "execution_count": None,
    }
