"""Sealing what a killed perfkit left behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from perfkit.clock import Clock, SystemClock
from perfkit.errors import NotARun, PerfkitError
from perfkit.owner import is_alive
from perfkit.records import TABLES
from perfkit.store.durable import move, read_json, writable, write_json
from perfkit.store.enclosure import check_enclosed
from perfkit.store.facts import TrialFacts
from perfkit.store.layout import FACTS, MANIFEST, PARTIAL, UNSEALED, trial_index
from perfkit.store.shape import MANIFEST_SHAPE, TRIAL_SHAPE, misfits
from perfkit.store.stored import refuse_unsealed
from perfkit.store.tables import problems_of
from perfkit.store.writer import clear_unnamed, failed_of, lose, seal_folder

__all__ = ["Rebuild", "RepairReport", "repair"]

Rebuild = Callable[[Path], None]
"""Makes the tables and ``trial.json`` of a partial trial folder from what the trial left in it."""

_REASON = "perfkit ended before the run was done"


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairReport:
    """What `repair` found and did."""

    path: Path
    repaired: bool  # False: it was sealed before
    kept: tuple[int, ...] = ()  # trials that were whole
    rebuilt: tuple[int, ...] = ()  # trials that are now partial
    lost: tuple[int, ...] = ()  # trials of which nothing could be read
    notes: tuple[str, ...] = ()


def repair(
    path: str | Path, rebuild: Rebuild | None = None, *, clock: Clock | None = None
) -> RepairReport:
    """Seal a run whose owner is dead as partial.

    Whole trials stay. An unfinished one becomes a trial with outcome "partial" if its tables can
    be read, or be made by ``rebuild(folder)``; else it moves to ``lost/``. A sealed run is left
    alone.

    Raises:
        NotARun: there is no run in the folder.
        RunNotSealed: its owner is alive.
        ResultsNotWritable: the disk is full, for one.
    """
    folder = Path(path)
    if (folder / MANIFEST).is_file():
        # Killed between the two last steps of sealing: the run is whole, the other file is not.
        with writable(folder):
            (folder / UNSEALED).unlink(missing_ok=True)
        return RepairReport(path=folder, repaired=False)
    try:
        manifest = read_json(folder / UNSEALED)
    except FileNotFoundError:
        raise NotARun(f"{folder} holds no run", "`perfkit list` shows the runs there are") from None
    except (OSError, ValueError) as error:
        raise NotARun(f"{folder / UNSEALED} can't be read: {error}", "remove the folder") from error
    if wrong := next(misfits(manifest, MANIFEST_SHAPE), None):
        what = f"{folder / UNSEALED} is not as it should be: {wrong}"
        raise NotARun(what, "remove the folder")
    check_enclosed(folder)
    if is_alive(manifest.get("owner") or {}):
        refuse_unsealed(folder)
    with writable(folder):
        clear_unnamed(folder.parent)
        return _sealed(folder, manifest, rebuild, clock or SystemClock())


def _sealed(
    folder: Path, manifest: dict[str, Any], rebuild: Rebuild | None, clock: Clock
) -> RepairReport:
    kept: list[int] = []
    rebuilt: list[int] = []
    lost: list[int] = []
    notes: list[str] = []
    # Killed while it was reopened, the manifest may still be the sealed one.
    failed = {str(index): why for index, why in failed_of(manifest).items()}
    for trial in sorted(folder.glob("trial=*")):
        index = trial_index(trial.name)
        if index is None:
            continue
        if not trial.name.endswith(PARTIAL):
            kept.append(index)
        elif why := _unreadable(trial, rebuild):
            notes.append(f"trial {index} is lost: {why}")
            failed[str(index)] = why
            lose(trial)
            lost.append(index)
        else:
            _mark_partial(trial)
            move(trial, trial.with_name(trial.name.removesuffix(PARTIAL)))
            rebuilt.append(index)
    seal_folder(folder, {**manifest, "failed": failed}, "partial", _REASON, clock.wall_ns())
    return RepairReport(
        path=folder,
        repaired=True,
        kept=tuple(kept),
        rebuilt=tuple(rebuilt),
        lost=tuple(lost),
        notes=tuple(notes),
    )


def _unreadable(trial: Path, rebuild: Rebuild | None) -> str | None:
    """Why a partial trial can't be read, after an attempt to rebuild it; None when it can."""
    why = _lacking(trial)
    if why is None or rebuild is None:
        return why
    try:
        rebuild(trial)
    except Exception as error:  # noqa: BLE001  (torn files may raise anything; it is reported)
        said = str(error) if isinstance(error, PerfkitError | ValueError) else repr(error)
        return f"its tables could not be made: {said}"
    return _lacking(trial)


def _lacking(trial: Path) -> str | None:
    for kind in TABLES:
        file = trial / f"{kind}.parquet"
        if problems := problems_of(file) if file.is_file() else [f"{file.name} was not written"]:
            return problems[0]
    try:
        facts = read_json(trial / FACTS)
        if wrong := next(misfits(facts, TRIAL_SHAPE), None):
            return f"{FACTS} is not as it should be: {wrong}"
        TrialFacts.parse(facts)
    except FileNotFoundError:
        return f"{FACTS} was not written"
    except (OSError, ValueError) as error:
        return str(error)
    return None


def _mark_partial(trial: Path) -> None:
    facts = read_json(trial / FACTS)
    write_json(
        trial / FACTS, {**facts, "outcome": "partial", "reason": facts.get("reason") or _REASON}
    )
