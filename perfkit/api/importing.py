"""`perfkit import`: a run that somebody else measured, or that k6 did."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

from perfkit.api.rendering import write_summary
from perfkit.api.runs import Run, open_run
from perfkit.errors import NotARun, UsageError
from perfkit.paths import results_root
from perfkit.store import unpack
from perfkit.store.archive import MOST_BYTES

__all__ = ["MOST_BYTES", "Imported", "import_run"]

_OF_ARCHIVE = "an archive keeps its name and its rows"


@dataclass(frozen=True, slots=True)
class Imported:
    """The run that is there now, and what its reader must know."""

    run: Run
    notes: tuple[str, ...] = ()


def import_run(
    source: str | Path,
    *,
    results: str | Path | None = None,
    name: str | None = None,
    expected_interval: str | None = None,
    most_bytes: int = MOST_BYTES,
) -> Imported:
    """Put an archive of `perfkit export`, or the JSON output of k6, under the results folder.

    Of an archive every checksum is verified first, and nothing in it is executed: its report and
    summaries, which are a stranger's, are made anew or left out. Of k6's output see
    `perfkit.api.importing_k6` and `perfkit.api.importing_rows`.

    Args:
        source: the file.
        results: folder for runs.
        name: of the run; of k6's output only.
        expected_interval: such as "1s"; of k6's output only: put in what HdrHistogram's correction
            would, rows that were not measured. The run's name says so.
        most_bytes: what the file may unpack to.

    Raises:
        NotARun: neither of both, damaged, of another schema, or not to be trusted.
        UsageError: there is a run of that name, or an option does not fit.
        ResultsNotWritable: the results folder takes no files.
    """
    path = Path(source).expanduser().absolute()
    root = results_root(results)
    if not path.is_file():
        raise NotARun(
            f"there is no file {path}",
            "name an archive of `perfkit export`, or a file of `k6 run --out json=FILE`",
        )
    if _is_zip(path):
        if name is not None:
            raise UsageError(f"--name: {_OF_ARCHIVE}", "leave it out")
        if expected_interval is not None:
            raise UsageError(f"--expected-interval: {_OF_ARCHIVE}", "leave it out")
        run = open_run(unpack(path, root, most_bytes))
        notes = ["its report was left out; make it anew: perfkit report " + str(run.path)]
        if redacted := run.manifest.get("redacted"):
            notes.append(f"secrets were blotted out before it was exported: {_listed(redacted)}")
    else:
        from perfkit.api.importing_rows import run_of_k6

        folder, said = run_of_k6(
            path, root, name=name, expected_interval=expected_interval, most_bytes=most_bytes
        )
        run, notes = open_run(folder), list(said)
    write_summary(run)
    return Imported(run, tuple(notes))


def _is_zip(path: Path) -> bool:
    # By its first bytes: k6's output may hold anything further in, also what looks like a zip.
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PK\x03\x04" or (
                path.suffix == ".zip" and zipfile.is_zipfile(path)
            )
    except OSError as error:
        raise NotARun(f"{path} can't be read: {error.strerror}", "check its permissions") from None


def _listed(names: object) -> str:
    return ", ".join(map(str, names)) if isinstance(names, list) else str(names)
