"""Parameters of a notebook, checked before anything runs.

papermill only warns of an unknown one, and passes the text "true" where a bool is meant.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from perfkit.errors import UsageError

__all__ = ["checked_parameters"]

_TRUE: Final = frozenset({"true", "1", "yes"})
_FALSE: Final = frozenset({"false", "0", "no"})


def checked_parameters(notebook: Path, given: Mapping[str, object]) -> dict[str, Any]:
    """``given`` with texts turned into the types that the notebook's parameters cell declares.

    Raises:
        UsageError: no such notebook, an unknown name (with the nearest known one), or a value that
            does not fit its type.
    """
    if not notebook.is_file():
        raise UsageError(f"there is no notebook {notebook}", "name an .ipynb file")
    from papermill import inspect_notebook

    declared = inspect_notebook(str(notebook).replace("{", "{{").replace("}", "}}"))
    checked: dict[str, Any] = {}
    for name, value in given.items():
        if name not in declared:
            near = difflib.get_close_matches(name, declared, n=1)
            known = ", ".join(declared) or "none"
            raise UsageError(
                f"{notebook.name} has no parameter {name!r}; it has {known}",
                f"did you mean {near[0]!r}?" if near else "leave it out",
            )
        checked[name] = _fitted(notebook, name, value, declared[name]["inferred_type_name"])
    return checked


def _fitted(notebook: Path, name: str, value: object, kind: str) -> Any:
    if isinstance(value, Path):
        value = str(value)
    match kind:
        case "bool":
            if isinstance(value, bool):
                return value
            if str(value).lower() in _TRUE | _FALSE:
                return str(value).lower() in _TRUE
        case "int" | "float":
            if not isinstance(value, bool):
                try:
                    return int(str(value)) if kind == "int" else float(str(value))
                except ValueError:
                    pass
        case "str":
            if isinstance(value, str):
                return value
        case _:
            return value
    raise UsageError(
        f"parameter {name!r} of {notebook.name} is {kind}, not {value!r}", f"give it as {kind}"
    )
