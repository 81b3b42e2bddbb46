"""What runs there are, from their manifests and summaries alone; no table is opened."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from perfkit.owner import is_alive
from perfkit.store.durable import read_json
from perfkit.store.entries import RunEntry, State, TrialEntry, condense
from perfkit.store.index import Rows, read_index, write_index
from perfkit.store.layout import MANIFEST, SUMMARY, UNSEALED

__all__ = ["RunEntry", "TrialEntry", "list_runs"]


class _Found(NamedTuple):
    """A run's folder, and what tells whether its files have changed since they were read."""

    key: str  # name/run_id
    folder: str
    sealed: bool
    stamp: list[int]  # time and size of the manifest, and of the summary where there is one


def list_runs(root: Path) -> list[RunEntry]:
    """Runs under a results folder, newest first; none when there is no such folder.

    What sealed runs say is kept in an index (see `perfkit.store.index`), and read anew where a
    manifest or a summary has changed.
    """
    known = read_index(root)
    rows: Rows = {}
    entries = []
    fresh = 0
    for found in _walk(root):
        if not found.sealed:
            entries.append(_unsealed(Path(found.folder)))
            continue
        row = known.get(found.key)
        if row is None or row[0] != found.stamp:
            try:
                row = (found.stamp, _read(Path(found.folder)))
            except (OSError, ValueError) as error:
                entries.append(_unreadable(Path(found.folder), error))
                continue
            fresh += 1
        rows[found.key] = row
        entries.append(_sealed(Path(found.folder), row[1]))
    if fresh or len(rows) < len(known):
        write_index(root, rows)
    return sorted(entries, key=_age, reverse=True)


def _age(entry: RunEntry) -> tuple[int, str, str]:
    return (entry.created_ns or 0, entry.run_id, entry.name)


def _walk(root: Path) -> Iterator[_Found]:
    for name in _folders(str(root)):
        for run in _folders(name.path):
            manifest = _stamp(f"{run.path}/{MANIFEST}")
            if manifest:
                stamp = manifest + _stamp(f"{run.path}/{SUMMARY}")
                yield _Found(f"{name.name}/{run.name}", run.path, True, stamp)
            elif _stamp(f"{run.path}/{UNSEALED}"):
                yield _Found(f"{name.name}/{run.name}", run.path, False, [])


def _folders(parent: str) -> list[os.DirEntry[str]]:
    """Folders in a folder, hidden ones left out; none of one that can't be looked into."""
    try:
        with os.scandir(parent) as inside:
            return [each for each in inside if each.name[0] != "." and each.is_dir()]
    except OSError:
        return []


def _stamp(path: str) -> list[int]:
    try:
        found = os.stat(path)  # noqa: PTH116 - a Path for each of 20,000 files takes as long
    except OSError:
        return []
    return [found.st_mtime_ns, found.st_size]


def _read(folder: Path) -> dict[str, Any]:
    """The condensed manifest and summary of a sealed run.

    Raises:
        OSError, ValueError: the manifest can't be read.
    """
    manifest = read_json(folder / MANIFEST)
    try:
        summary = read_json(folder / SUMMARY)
    except (OSError, ValueError):
        summary = None  # `perfkit report` makes it again
    return {"status": manifest.get("status"), **condense(manifest, summary)}


def _sealed(folder: Path, condensed: dict[str, Any]) -> RunEntry:
    state: State = "complete" if condensed["status"] == "complete" else "partial"
    return RunEntry.of(folder, state, condensed)


def _unsealed(folder: Path) -> RunEntry:
    """Read each time: whether its owner lives is not in a file."""
    try:
        manifest = read_json(folder / UNSEALED)
    except (OSError, ValueError) as error:
        return _unreadable(folder, error)
    state: State = "measuring" if is_alive(manifest.get("owner") or {}) else "unsealed"
    return RunEntry.of(folder, state, condense(manifest))


def _unreadable(folder: Path, error: Exception) -> RunEntry:
    return RunEntry.of(folder, "unreadable", condense({"reason": str(error)}))
