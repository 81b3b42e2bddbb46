"""Notebook files.

The package imports this module first, so that nbformat is loaded once, here, and quickly.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["notebook", "raw_cell", "read", "write"]


def _load() -> Any:
    """Import nbformat without what its jsonschema does at import when it finds rfc3987_syntax:
    compile a grammar, for 1.5 s of processor time, to check a format that notebooks do not have.
    """
    unused = "rfc3987_syntax"
    if unused in sys.modules:
        return importlib.import_module("nbformat")
    sys.modules[unused] = None  # type: ignore[assignment]
    try:
        return importlib.import_module("nbformat")
    finally:
        del sys.modules[unused]


_NBFORMAT: Any = _load()


def read(path: Path) -> Any:
    """A notebook of format 4, as nodes that answer to keys and attributes."""
    return _NBFORMAT.read(path, as_version=4)


def write(notebook: Any, path: Path) -> None:
    """Write it, validated."""
    _NBFORMAT.write(notebook, path)


def notebook(cells: Sequence[Mapping[str, Any]]) -> Any:
    """A notebook of these cells, for the Python kernel of the environment."""
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
    made = {"kernelspec": kernel, "language_info": {"name": "python"}}
    whole = {"cells": list(cells), "metadata": made, "nbformat": 4, "nbformat_minor": 5}
    return _NBFORMAT.from_dict(whole)


def raw_cell(source: str) -> Any:
    """A cell that no kernel runs."""
    return _NBFORMAT.v4.new_raw_cell(source)
