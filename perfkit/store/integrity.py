"""Whether a sealed run still is what was sealed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from perfkit.records import TABLES
from perfkit.store.facts import TrialFacts
from perfkit.store.layout import FACTS, PARTIAL, trial_folder
from perfkit.store.stored import StoredRun, open_run
from perfkit.store.tables import digest, problems_of, rows

__all__ = ["verify"]


def verify(path: str | Path) -> list[str]:
    """What is wrong with a sealed run, one sentence each; nothing when it is whole.

    Hashes, rows and schemas of every listed file, files that are not listed, and facts that can't
    be parsed.

    Raises:
        NotARun, RunNotSealed: as `open_run`.
    """
    run = open_run(path)
    return [*_listed(run), *_expected(run), *_unlisted(run)]


def _listed(run: StoredRun) -> Iterator[str]:
    for name, listed in run.manifest["files"].items():
        file = run.path / name
        if not file.is_file():
            yield f"{name} is missing"
        elif digest(file) != listed["sha256"]:
            yield f"{name} is not the file that was sealed"
        else:
            yield from _content(run, file, name, listed)


def _content(run: StoredRun, file: Path, name: str, listed: dict[str, Any]) -> Iterator[str]:
    if file.suffix == ".parquet":
        problems = problems_of(file)
        yield from (f"{file.parent.name}/{problem}" for problem in problems)
        if not problems and rows(file) != listed["rows"]:
            yield f"{name} has {rows(file)} rows; {listed['rows']} were sealed"
    elif file.name == FACTS:
        try:
            TrialFacts.parse(run.trial_facts(int(file.parent.name.removeprefix("trial="))))
        except ValueError as error:
            yield f"{name}: {error}"


def _expected(run: StoredRun) -> Iterator[str]:
    for each in run.manifest["trials"]:
        if each["outcome"] == "failed":
            continue
        for name in (*(f"{kind}.parquet" for kind in TABLES), FACTS):
            if (whole := f"{trial_folder(each['trial'])}/{name}") not in run.manifest["files"]:
                yield f"{whole} is not listed in the manifest"


def _unlisted(run: StoredRun) -> Iterator[str]:
    for folder in sorted(run.path.glob("trial=*")):
        if folder.name.endswith(PARTIAL):
            yield f"{folder.name} was never finished"
            continue
        for file in sorted(folder.glob("*.parquet")):
            if f"{folder.name}/{file.name}" not in run.manifest["files"]:
                yield f"{folder.name}/{file.name} is not listed in the manifest"
