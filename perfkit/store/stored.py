"""A sealed run, opened."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from perfkit.errors import NotARun, RunNotSealed
from perfkit.owner import is_alive
from perfkit.records import OPTIONAL, SCHEMA_VERSION, TABLES
from perfkit.store.durable import read_json
from perfkit.store.enclosure import check_enclosed
from perfkit.store.facts import TrialFacts
from perfkit.store.layout import FACTS, MANIFEST, UNSEALED, trial_folder, trial_index
from perfkit.store.shape import MANIFEST_SHAPE, TRIAL_SHAPE, misfits
from perfkit.store.tables import problems_of, read_table

__all__ = ["StoredRun", "check_manifest", "open_run", "refuse_unsealed"]

_NEEDED: Final = {
    "run_id": str, "name": str, "status": str, "trials": list, "scenarios": dict, "files": dict,
}  # fmt: skip


class StoredRun:
    """The manifest, facts and tables of one sealed run; nothing in it changes any more."""

    def __init__(self, path: Path, manifest: Mapping[str, Any]) -> None:
        self.path = path
        self.manifest = manifest
        self._facts: dict[int, TrialFacts] = {}
        self._sound: set[Path] = set()

    def __repr__(self) -> str:
        return f"<StoredRun {self.manifest['name']}/{self.manifest['run_id']}>"

    @functools.cached_property
    def trials(self) -> tuple[int, ...]:
        """Trials that have tables, whole and partial, in order; failed ones have none."""
        return tuple(
            each["trial"]
            for each in self.manifest["trials"]
            if f"{trial_folder(each['trial'])}/{FACTS}" in self.manifest["files"]
        )

    def trial_facts(self, trial: int) -> Mapping[str, Any]:
        """``trial.json`` as it is.

        Raises:
            NotARun: the run has no such trial, or the file was damaged.
        """
        path = self._folder(trial) / FACTS
        try:
            facts = read_json(path)
        except (OSError, ValueError) as error:
            raise NotARun(f"{path} can't be read: {error}", "restore it from a copy") from error
        wrong = next(misfits(facts, TRIAL_SHAPE), None) or _backwards(facts)
        if wrong:
            raise NotARun(f"{path} is not as it should be: {wrong}", "restore it from a copy")
        return facts

    def facts(self, trial: int) -> TrialFacts:
        """``trial.json``, parsed.

        Raises:
            NotARun: as `trial_facts`.
        """
        if trial not in self._facts:
            try:
                self._facts[trial] = TrialFacts.parse(self.trial_facts(trial))
            except ValueError as error:
                raise NotARun(
                    f"{self._folder(trial)}: {error}", "restore it from a copy"
                ) from error
        return self._facts[trial]

    def table(self, kind: str, trial: int) -> pa.Table:
        """One table of one trial, in its schema.

        Raises:
            NotARun: no such trial, or the file was damaged.
        """
        path = self._folder(trial) / f"{_known(kind)}.parquet"
        try:
            return read_table(path)
        except ValueError as error:
            raise NotARun(f"{path.parent}: {error}", "restore it from a copy") from error

    def parquet(self, kind: str, trial: int | None = None) -> list[Path]:
        """The files of one kind, of one trial or of all, each in its schema.

        Raises:
            NotARun: no such trial, or a file was damaged.
        """
        trials = self.trials if trial is None else (trial,)
        files = [self._folder(each) / f"{_known(kind)}.parquet" for each in trials]
        for file in files:
            if file not in self._sound and (problems := problems_of(file)):
                raise NotARun(f"{file.parent}: {problems[0]}", "restore it from a copy")
            self._sound.add(file)
        return files

    def _folder(self, trial: int) -> Path:
        if trial not in self.trials:
            known = ", ".join(str(each) for each in self.trials) or "none"
            raise NotARun(f"{self.path} has no trial {trial}", f"trials with data: {known}")
        return self.path / trial_folder(trial)


def _known(kind: str) -> str:
    if kind not in TABLES and kind not in OPTIONAL:
        raise ValueError(f"there is no table {kind!r}; known are {', '.join(TABLES)}")
    return kind


def open_run(path: str | Path) -> StoredRun:
    """Open the run in a folder.

    Raises:
        NotARun: no folder, a foreign one, or one of another schema.
        RunNotSealed: it is still being measured, or was killed.
    """
    folder = Path(path)
    if folder.name == MANIFEST and folder.is_file():
        folder = folder.parent
    if not folder.is_dir():
        raise NotARun(f"there is no folder {folder}", "`perfkit list` shows the runs there are")
    if not (folder / MANIFEST).is_file():
        if (folder / UNSEALED).is_file():
            refuse_unsealed(folder)
        raise NotARun(f"{folder} holds no run: it has no {MANIFEST}", _hint(folder))
    try:
        manifest = read_json(folder / MANIFEST)
    except (OSError, ValueError) as error:
        raise NotARun(f"{folder / MANIFEST} can't be read: {error}", _hint(folder)) from error
    check_manifest(folder, manifest)
    check_enclosed(folder)
    return StoredRun(folder, manifest)


def check_manifest(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Refuse a manifest that is not of this perfkit; ``folder`` (or archive) is where it was found.

    Raises:
        NotARun: of another schema, or not as it should be.
    """
    version = manifest.get("schema_version")
    if not isinstance(version, int):
        raise NotARun(f"{folder} holds a {MANIFEST} that is not of perfkit", _hint(folder))
    if version != SCHEMA_VERSION:
        made_by = manifest.get("perfkit_version", "another version")
        raise NotARun(
            f"{folder} has schema {version}; this perfkit reads schema {SCHEMA_VERSION}",
            f"read it with perfkit {made_by}, which wrote it, or measure again",
        )
    for key, kind in _NEEDED.items():
        if not isinstance(manifest.get(key), kind):
            raise NotARun(f"{folder / MANIFEST} lacks {key!r}", "restore it from a copy")
    wrong = next(misfits(manifest, MANIFEST_SHAPE), None) or _misplaced(manifest)
    if wrong:
        raise NotARun(
            f"{folder / MANIFEST} is not as it should be: {wrong}", "restore it from a copy"
        )


def _misplaced(manifest: Mapping[str, Any]) -> str | None:
    """What of a manifest of the right types can't be meant."""
    trials = [each.get("trial", -1) for each in manifest["trials"]]
    if any(trial < 0 for trial in trials) or len(set(trials)) < len(trials):
        return "trials have no numbers of their own"
    for name in manifest["files"]:
        # A manifest is data: a name in it must not lead out of the run.
        if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
            return f"{name!r} leads out of the run"
    for key in ("created_ns", "sealed_ns"):
        if (manifest.get(key) or 0) < 0:
            return f"{key} is before all times"
    return None


def _backwards(facts: Mapping[str, Any]) -> str | None:
    """Which stretch of a trial ends before it begins; a trial cut short has empty ones."""
    if (facts.get("expected_interval_ns") or 1) <= 0:
        return "expected_interval_ns is no length of time"
    known = facts.get("instants_ns", {})
    for begin, end in (("window_start", "window_end"), ("load_start", "drain_end")):
        if begin in known and end in known and known[begin] > known[end]:
            return f"instants_ns.{end} is before {begin}"
    return None


def refuse_unsealed(folder: Path) -> None:
    """Say why an unsealed run can't be read.

    Raises:
        RunNotSealed: always.
    """
    try:
        owner = read_json(folder / UNSEALED).get("owner") or {}
    except (OSError, ValueError):
        owner = {}
    if is_alive(owner):
        raise RunNotSealed(
            f"{folder} is still being measured, by process {owner['pid']}",
            "wait for it, or stop it with Ctrl-C: it seals what it has",
        )
    raise RunNotSealed(
        f"{folder} was not sealed: perfkit ended before it was done", f"perfkit repair {folder}"
    )


def _hint(folder: Path) -> str:
    if trial_index(folder.name) is not None and (folder.parent / MANIFEST).is_file():
        return f"this is one trial; name its run: {folder.parent}"
    below = [each.parent for each in folder.glob(f"*/{MANIFEST}")]
    if below:
        return f"name one of the runs below it, such as {max(below)}"
    return "`perfkit list` shows the runs there are"
