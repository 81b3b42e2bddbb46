"""What runs there are, from their manifests alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from perfkit.store.durable import read_json
from perfkit.store.layout import MANIFEST, UNSEALED, check_name
from perfkit.store.owner import is_alive

__all__ = ["RunEntry", "list_runs"]

State = Literal["complete", "partial", "measuring", "unsealed", "unreadable"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunEntry:
    """One line of a list.

    States: ``complete`` and ``partial`` are sealed; ``measuring`` belongs to a living process;
    ``unsealed`` was killed and wants `repair`; ``unreadable`` has a manifest that can't be parsed.
    """

    path: Path
    name: str
    run_id: str
    state: State
    created_ns: int | None  # wall clock
    trials: int  # planned
    reason: str | None

    @property
    def sealed(self) -> bool:
        """Whether it can be opened."""
        return self.state in ("complete", "partial")


def list_runs(root: Path, name: str | None = None) -> list[RunEntry]:
    """Runs under a results folder, newest first; none when there is no such folder.

    Raises:
        UsageError: the name would lead out of the results folder.
    """
    return sorted(_entries(root, name), key=_age, reverse=True)


def _age(entry: RunEntry) -> tuple[int, str, str]:
    return (entry.created_ns or 0, entry.run_id, entry.name)


def _entries(root: Path, name: str | None) -> Iterator[RunEntry]:
    pattern = "*" if name is None else check_name(name)
    for folder in root.glob(f"{pattern}/*"):
        hidden = folder.name.startswith(".") or folder.parent.name.startswith(".")
        if hidden or not folder.is_dir():
            continue
        for manifest in (folder / MANIFEST, folder / UNSEALED):
            if manifest.is_file():
                yield _entry(folder, manifest)
                break


def _entry(folder: Path, manifest: Path) -> RunEntry:
    try:
        document = read_json(manifest)
    except (OSError, ValueError) as error:
        document = {"reason": str(error)}
        state: State = "unreadable"
    else:
        state = _state(document, sealed=manifest.name == MANIFEST)
    created, plan = document.get("created_ns"), document.get("plan")
    reason: Any = document.get("reason")
    return RunEntry(
        path=folder,
        name=folder.parent.name,
        run_id=folder.name,
        state=state,
        created_ns=created if isinstance(created, int) else None,
        trials=len(plan) if isinstance(plan, list) else 0,
        reason=None if reason is None else str(reason),
    )


def _state(document: dict[str, Any], *, sealed: bool) -> State:
    if sealed:
        return "complete" if document.get("status") == "complete" else "partial"
    return "measuring" if is_alive(document.get("owner") or {}) else "unsealed"
