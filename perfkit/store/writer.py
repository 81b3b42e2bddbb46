"""Writing a run, trial by trial.

    created ----> trial 0000.partial ----> 0000 ----> ... ----> sealed
       |                 |                                       ^  |
       +-- killed here --+--> unsealed: `repair` seals it -------+  +--> reopened, if it is partial

See ``tests/store/test_kill.py``.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import pyarrow as pa

from perfkit.clock import Clock, SystemClock
from perfkit.errors import ResultsNotWritable, UsageError
from perfkit.owner import is_alive, this_process
from perfkit.records import OPTIONAL, SCHEMA_VERSION, TABLES
from perfkit.redaction import redact, redact_command
from perfkit.store.durable import flush, move, read_json, writable, write_json
from perfkit.store.layout import (
    FACTS,
    LOST,
    MANIFEST,
    PARTIAL,
    UNSEALED,
    check_name,
    new_run_id,
    trial_folder,
    trial_index,
)
from perfkit.store.tables import conform, digest, rows, write_table

__all__ = ["RunWriter", "TrialWriter", "clear_unnamed", "lose", "seal_folder"]

Status = Literal["complete", "partial"]

_MIB: Final = 1024 * 1024
_LEAST_FREE_BYTES: Final = 64 * _MIB
_SEALED: Final = ("trials", "files")  # what `seal` adds to a manifest
_UNNAMED_S: Final = 60.0  # a folder that has no manifest for so long will never get one


class TrialWriter:
    """One trial's folder, partial until `finish`."""

    def __init__(self, run: Path, index: int) -> None:
        self.index = index
        self.path = run / (trial_folder(index) + PARTIAL)
        self._final = run / trial_folder(index)
        with writable(run):
            self.path.mkdir(exist_ok=True)

    def write_table(self, kind: str, table: pa.Table) -> Path:
        """Store one table, flushed.

        Raises:
            ValueError: the table does not fit the schema of its kind.
            ResultsNotWritable: the disk is full, for one.
        """
        path = self.path / f"{kind}.parquet"
        whole = conform(kind, table, self.index)
        with writable(self.path):
            write_table(path, whole)
        return path

    def write_facts(self, facts: Mapping[str, Any]) -> None:
        """Store what is known of the trial beside its tables (``trial.json``)."""
        if facts.get("trial") != self.index:
            raise ValueError(f"these are facts of trial {facts.get('trial')}, not of {self.index}")
        with writable(self.path):
            write_json(self.path / FACTS, redact(facts))

    def finish(self) -> Path:
        """Give the folder its final name; what has that name is whole.

        Raises:
            ValueError: a table or the facts are missing.
        """
        needed = [*(f"{kind}.parquet" for kind in TABLES), FACTS]
        if missing := [name for name in needed if not (self.path / name).is_file()]:
            raise ValueError(f"{self.path.name} still lacks {', '.join(missing)}")
        with writable(self.path):
            flush(self.path)
            move(self.path, self._final)
        return self._final


class RunWriter:
    """One run's folder, unsealed until `seal`."""

    def __init__(self, path: Path, manifest: dict[str, Any], clock: Clock) -> None:
        self.path = path
        self._manifest = manifest
        self._clock = clock

    @classmethod
    def create(
        cls,
        root: Path,
        name: str,
        manifest: Mapping[str, Any],
        *,
        run_id: str | None = None,
        clock: Clock | None = None,
        needs_bytes: int = 0,
    ) -> RunWriter:
        """Make ``root/name/run_id/`` with its unsealed manifest.

        Args:
            root: the results folder; made if it is not there.
            name: of the scenario, or of the set of scenarios.
            manifest: fields of ``manifest.json`` other than schema_version, run_id, name, status,
                reason, created_ns, sealed_ns, trials and files, which are set here.
            run_id: default: from the clock.
            clock: for run_id, created_ns and sealed_ns.
            needs_bytes: what the run is expected to write, beside what must be free anyhow.

        Raises:
            ResultsNotWritable: read-only, full or nearly so, or not a folder.
            UsageError: the name would lead out of the results folder.
        """
        clock = clock or SystemClock()
        created_ns = clock.wall_ns()
        run_id = check_name(run_id or new_run_id(created_ns))
        folder = root / check_name(name)
        with writable(root):
            folder.mkdir(parents=True, exist_ok=True)
        check_free(root, needs_bytes)
        own: dict[str, Any] = {
            "schema_version": SCHEMA_VERSION,
            "run_id": run_id,
            "name": name,
            "status": "partial",
            "reason": "still being measured",
            "created_ns": created_ns,
            "sealed_ns": None,
        }
        written = own | {key: value for key, value in manifest.items() if key not in own}
        # The folder gets its name with a manifest in it: there is no run without one.
        with writable(root):
            clear_unnamed(folder)
            unnamed = folder / f".{run_id}.new"
            unnamed.mkdir()
            writer = cls(unnamed, written, clock)
            writer._save()
            move(unnamed, folder / run_id)
        writer.path = folder / run_id
        return writer

    @classmethod
    def reopen(
        cls,
        path: Path,
        redo: Collection[int],
        *,
        clock: Clock | None = None,
        needs_bytes: int = 0,
        extends: bool = False,
        **fields: Any,
    ) -> RunWriter:
        """Unseal a partial run, to measure some of its trials again, or more of them.

        The first step gives the manifest its unsealed name, and that succeeds for one process
        only: from then on the run reads as unsealed, wherever this one is killed. What there is of
        the trials moves to ``lost/``, and what was rendered from the run is removed.

        Args:
            path: of a sealed run.
            redo: trials that are to be measured (again).
            clock: for sealed_ns.
            needs_bytes: what the rest is expected to write.
            extends: whether trials are added; then the run may be complete.
            fields: of the manifest, set anew.

        Raises:
            UsageError: the run is complete, or somebody else has just unsealed it.
            ResultsNotWritable: read-only or full.
        """
        manifest = read_json(path / MANIFEST)
        if manifest.get("status") == "complete" and not extends:
            raise UsageError(f"{path} is complete", "measure anew to have another run of it")
        check_free(path, needs_bytes)
        with writable(path):
            try:
                move(path / MANIFEST, path / UNSEALED)
            except FileNotFoundError:
                mend = "one resume at a time; see `perfkit list`"
                raise UsageError(f"{path} was unsealed by another process", mend) from None
            kept = {key: value for key, value in manifest.items() if key not in _SEALED}
            own = {"status": "partial", "reason": "still being measured", "sealed_ns": None}
            failed = {index: why for index, why in failed_of(manifest).items() if index not in redo}
            named = {"failed": {str(index): why for index, why in failed.items()}}
            writer = cls(path, kept | fields | own | named, clock or SystemClock())
            writer._save()
            for rendered in (*path.glob("report.*"), *path.glob("summary.*")):
                rendered.unlink()
            for index in sorted(redo):
                _set_aside(path, index)
        return writer

    @property
    def manifest(self) -> Mapping[str, Any]:
        """As it will be sealed, so far."""
        return self._manifest

    def amend(self, **fields: Any) -> None:
        """Set fields of the manifest that were not known when the run was created."""
        self._manifest |= fields
        with writable(self.path):
            self._save()

    def trial(self, index: int) -> TrialWriter:
        """Begin a trial."""
        return TrialWriter(self.path, index)

    def fail(self, index: int, reason: str) -> None:
        """Record a trial that could not be measured; its partial folder moves to ``lost/``."""
        failed = {**self._manifest.get("failed", {}), str(index): reason}
        self.amend(failed=failed)
        partial = self.path / (trial_folder(index) + PARTIAL)
        if partial.exists():
            with writable(self.path):
                lose(partial)

    def seal(self, status: Status, reason: str | None = None) -> Path:
        """List and hash every file, and give the manifest its final name.

        A trial that was begun and not finished moves to ``lost/`` and counts as failed.
        """
        for partial in sorted(self.path.glob(f"trial=*{PARTIAL}")):
            self.fail(trial_index(partial.name) or 0, "it was not finished when the run was sealed")
        with writable(self.path):
            seal_folder(self.path, self._manifest, status, reason, self._clock.wall_ns())
        return self.path

    def _save(self) -> None:
        shown = _redacted(self._manifest)
        write_json(self.path / UNSEALED, {**shown, "owner": this_process()})


def check_free(folder: Path, needs_bytes: int) -> None:
    """Raise when a folder has no room for a run.

    Raises:
        ResultsNotWritable: it has not, or can't be looked at.
    """
    with writable(folder):
        free = shutil.disk_usage(folder).free
    needed = _LEAST_FREE_BYTES + needs_bytes
    if free < needed:
        raise ResultsNotWritable(
            f"only {free // _MIB} MiB are free in {folder}, "
            f"and this run needs {-(-needed // _MIB)} MiB",
            "free some space, or name another folder with --results DIR or PERFKIT_RESULTS",
        )


def failed_of(manifest: Mapping[str, Any]) -> dict[int, str]:
    """Trials that could not be measured, and why, of a manifest that is sealed or was."""
    listed = {
        int(each["trial"]): str(each["reason"])
        for each in manifest.get("trials", ())
        if each["outcome"] == "failed"
    }
    return listed | {int(index): str(why) for index, why in manifest.get("failed", {}).items()}


def _set_aside(run: Path, index: int) -> None:
    """Move what there is of a trial, its logs included, to ``lost/``."""
    name = trial_folder(index)
    for trial in (run / name, run / (name + PARTIAL)):
        if trial.exists():
            lose(trial)
    if (logs := run / "logs" / name).exists():
        lose(logs)


def clear_unnamed(folder: Path) -> None:
    """Remove what was killed before its run got its name, among the runs of one name."""
    for unnamed in folder.glob(".*.new"):
        if not _has_owner(unnamed):
            shutil.rmtree(unnamed, ignore_errors=True)


def _has_owner(unnamed: Path) -> bool:
    """Whether somebody is about to give the folder its name."""
    try:
        return is_alive(read_json(unnamed / UNSEALED).get("owner") or {})
    except (OSError, ValueError):
        try:
            return time.time() - unnamed.stat().st_mtime < _UNNAMED_S
        except FileNotFoundError:  # it has just got it
            return True


def lose(folder: Path) -> Path:
    """Move a folder to ``lost/`` beside it, under a name that is free."""
    lost = folder.parent / LOST
    lost.mkdir(exist_ok=True)
    target, number = lost / folder.name, 2
    while target.exists():
        target, number = lost / f"{folder.name}.{number}", number + 1
    move(folder, target)
    return target


def seal_folder(
    path: Path, manifest: Mapping[str, Any], status: Status, reason: str | None, sealed_ns: int
) -> None:
    """Write ``manifest.json`` from what the folder holds, and drop the unsealed manifest."""
    files: dict[str, dict[str, Any]] = {}
    trials: dict[int, dict[str, Any]] = {
        index: {"trial": index, "outcome": "failed", "reason": why}
        for index, why in failed_of(manifest).items()
    }
    for folder in sorted(path.glob("trial=*")):
        index = trial_index(folder.name)
        if index is None or folder.name.endswith(PARTIAL):
            continue
        facts = read_json(folder / FACTS)
        trials[index] = {
            "trial": index,
            "outcome": facts["outcome"],
            "reason": facts.get("reason"),
        }
        more = (folder / f"{kind}.parquet" for kind in OPTIONAL)
        there = [file for file in more if file.is_file()]
        for file in (*(folder / f"{kind}.parquet" for kind in TABLES), *there, folder / FACTS):
            counted = rows(file) if file.suffix == ".parquet" else None
            files[f"{folder.name}/{file.name}"] = {"rows": counted, "sha256": digest(file)}
    own = {key: value for key, value in manifest.items() if key not in ("owner", "failed")}
    document = {
        **own,
        "status": status,
        "reason": reason,
        "sealed_ns": sealed_ns,
        "trials": [trials[index] for index in sorted(trials)],
        "files": files,
    }
    write_json(path / MANIFEST, _redacted(document))
    (path / UNSEALED).unlink(missing_ok=True)
    flush(path)


def _redacted(manifest: Mapping[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = redact(manifest)
    if "command" in shown:
        shown["command"] = redact_command(shown["command"])
    return shown
