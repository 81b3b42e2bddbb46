"""`perfkit export`: a run as files for somebody else, or for another tool.

archive   one zip: report.html at its root, summaries, manifest, parquet; for `perfkit import`
csv       requests, jobs, samples and trials as text, in a zip or a folder
hgrm      HdrHistogram's percentile text, one file a trial
hlog      HdrHistogram's V2 log, one line a trial and queue
k6        JSON like that of k6's --summary-export, one file a trial
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import Final

from perfkit.api.exporting_secrets import clean_files, clean_html
from perfkit.api.exporting_series import METRICS, NothingMeasured
from perfkit.api.runs import Run, open_run
from perfkit.errors import UsageError
from perfkit.redaction import redact
from perfkit.store import pack
from perfkit.store.durable import flush, move, writable

__all__ = ["FORMATS", "Export", "export_run"]

Contents = dict[str, bytes | Path]

FORMATS: Final = ("archive", "csv", "hgrm", "hlog", "k6")
_SUFFIX: Final = {"hgrm": ".hgrm", "hlog": ".hlog", "k6": ".k6.json"}
_NARROWED: Final = ("hgrm", "hlog")  # by queue and metric


@dataclass(frozen=True, slots=True)
class Export:
    """What was written, and what its reader must know."""

    path: Path
    format: str
    notes: tuple[str, ...] = ()


def export_run(
    run: Run | str | Path,
    *,
    format: str = "archive",  # noqa: A002 - the word of the command line
    output: str | Path | None = None,
    trial: int | None = None,
    queue: str | None = None,
    metric: str = "latency",
    overwrite: bool = False,
) -> Export:
    """Write a sealed run in another form; nothing secret goes with it.

    Args:
        run: opened, or its folder.
        format: one of `FORMATS`.
        output: a file, or a folder that is there to put it in; default: ``./NAME-RUN_ID`` with the
            suffix of the format. What is several files becomes a zip, or a folder where the name
            has no suffix.
        trial: of hgrm, hlog and k6: one trial; default: all.
        queue: of hgrm and hlog: one queue; default: hgrm has all together, hlog each.
        metric: of hgrm and hlog: one of `perfkit.api.exporting_series.METRICS`.
        overwrite: whether a file of that name may be replaced.

    Raises:
        NotARun, RunNotSealed: nothing that could be exported.
        UsageError: an unknown format, metric, queue or trial, or the output is there already.
        ResultsNotWritable: the output can't be written.
        ReportFailed: an archive needs a report, and it could not be made.
    """
    opened = run if isinstance(run, Run) else open_run(run)
    _check(opened, format, trial, queue, metric)
    target = _target(opened, format, output)
    _check_free(target, overwrite)
    with TemporaryDirectory(prefix="perfkit-export-") as scratch:
        contents, notes = _contents(
            opened, format, trial=trial, queue=queue, metric=metric, scratch=Path(scratch)
        )
        if partial := _partial(opened):
            notes = (partial, *notes)
        if format in _SUFFIX and len(contents) > 1 and target.suffix != ".zip":
            target = target.with_name(target.name + ".zip")
        _check_free(target, overwrite)
        written = _write(target, contents, archive=format in ("archive", "csv"))
    return Export(written, format, notes)


def _check(run: Run, form: str, trial: int | None, queue: str | None, metric: str) -> None:
    if form not in FORMATS:
        raise UsageError(f"there is no format {form!r}", f"use one of {', '.join(FORMATS)}")
    if metric not in METRICS:
        raise UsageError(f"there is no metric {metric!r}", f"use one of {', '.join(METRICS)}")
    if form not in _NARROWED and (queue is not None or metric != "latency"):
        raise UsageError(
            f"--queue and --metric narrow {' and '.join(_NARROWED)}; {form} has all of them",
            f"leave them out, or choose --format {_NARROWED[0]}",
        )
    if trial is not None and form not in _SUFFIX:
        raise UsageError(f"--trial has no meaning for {form}: it has all trials", "leave it out")
    if trial is not None and trial not in run.stored.trials:
        known = ", ".join(map(str, run.stored.trials)) or "none"
        raise UsageError(f"the run has no trial {trial}", f"trials with data: {known}")
    if not run.stored.trials and form in _SUFFIX:
        raise UsageError("the run has no trial with data", "measure again: perfkit run")


def _check_free(target: Path, overwrite: bool) -> None:
    if target.is_dir() or (target.exists() and not overwrite):
        raise UsageError(f"{target} is there already", "name another with --output, or --force")


def _partial(run: Run) -> str:
    if run.manifest["status"] == "complete":
        return ""
    return f"the run is partial ({run.manifest.get('reason') or 'no reason is known'})"


def _target(run: Run, form: str, output: str | Path | None) -> Path:
    suffix = {"archive": ".zip", "csv": "-csv.zip"}.get(form) or _SUFFIX[form]
    marked = "-partial" if _partial(run) else ""
    name = f"{run.name}-{run.run_id}{marked}{suffix}"
    if output is None:
        return Path.cwd() / name
    given = Path(output).expanduser().absolute()
    return given / name if given.is_dir() else given


def _contents(
    run: Run, form: str, *, trial: int | None, queue: str | None, metric: str, scratch: Path
) -> tuple[Contents, tuple[str, ...]]:
    trials = run.stored.trials if trial is None else (trial,)
    match form:
        case "archive":
            return _archive(run)
        case "csv":
            from perfkit.api.exporting_csv import csv_files

            return csv_files(run, scratch)
        case "k6":
            from perfkit.api.exporting_k6 import summary_of

            return _each(run, trials, form, lambda each: summary_of(run, each))
        case "hgrm":
            from perfkit.api.exporting_series import hgrm_of

            return _each(run, trials, form, lambda each: hgrm_of(run, each, metric, queue))
        case _:
            from perfkit.api.exporting_series import hlog_of

            text, notes = hlog_of(run, trials, metric, queue)
            return {f"run{_SUFFIX[form]}": redact(text).encode()}, notes


def _each(
    run: Run,
    trials: tuple[int, ...],
    form: str,
    make: Callable[[int], tuple[str, tuple[str, ...]]],
) -> tuple[Contents, tuple[str, ...]]:
    contents: Contents = {}
    notes: list[str] = []
    nothing: NothingMeasured | None = None
    for each in trials:
        try:
            text, said = make(each)
        except NothingMeasured as error:
            nothing = error
            notes.append(f"trial {each} is left out: {error.what}")
            continue
        contents[f"trial={each:04d}{_SUFFIX[form]}"] = redact(text).encode()
        notes += [f"trial {each}: {note}" if len(trials) > 1 else note for note in said]
    if nothing is not None and not contents:
        raise nothing
    return contents, tuple(notes)


def _archive(run: Run) -> tuple[Contents, tuple[str, ...]]:
    from perfkit.api.rendering import report, summarise

    notes: list[str] = []
    if run.report is None:
        report(run)
        notes.append("its report was rendered first")
    page = run.path / "report.html"
    document, text = summarise(run)
    # Where it lies on this machine is nobody's business.
    document |= {"run_dir": f"{run.name}/{run.run_id}", "report": "report.html"}
    contents: Contents = dict(clean_files(run.stored))
    if changed := [name for name, content in contents.items() if isinstance(content, bytes)]:
        notes.append(f"secrets were blotted out of {', '.join(sorted(changed))}")
    contents |= {
        "report.html": clean_html(page.read_text(encoding="utf-8")).encode(),
        "summary.json": (json.dumps(redact(document), indent=2) + "\n").encode(),
        "summary.md": redact(text).encode(),
        "README.txt": _readme(run, text).encode(),
    }
    return contents, tuple(notes)


def _readme(run: Run, text: str) -> str:
    partial = f"NOTE: {_partial(run)}.\n\n" if _partial(run) else ""
    whole: str = redact(
        f"{run.name} {run.run_id}, a run of perfkit {run.manifest.get('perfkit_version') or ''}\n\n"
        f"{partial}{text}\n"
        "report.html     open it in a browser; it needs nothing else\n"
        "summary.json    the figures, for a program\n"
        "manifest.json   what was asked, where it ran, and the SHA-256 of every file below\n"
        "trial=NNNN/     the rows: requests, jobs, samples, calls, leftovers (parquet), and facts\n"
        "\nperfkit import THIS.zip    puts the run back, after it has checked every file\n"
    )
    return whole


def _write(target: Path, contents: Mapping[str, bytes | Path], *, archive: bool) -> Path:
    with writable(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
    if not archive and len(contents) == 1 and target.suffix != ".zip":
        (content,) = contents.values()
        return _write_file(target, content)
    if target.suffix == ".zip" or "report.html" in contents:
        return pack(target, contents)
    return _write_folder(target, contents)


def _write_file(target: Path, content: bytes | Path) -> Path:
    partial = target.with_name(f".{target.name}.partial")
    with writable(target.parent):
        try:
            if isinstance(content, bytes):
                partial.write_bytes(content)
            else:
                shutil.copyfile(content, partial)
            flush(partial)
            move(partial, target)
        finally:
            partial.unlink(missing_ok=True)
    return target


def _write_folder(target: Path, contents: Mapping[str, bytes | Path]) -> Path:
    with writable(target.parent):
        target.mkdir()
        for name, content in contents.items():
            file = target.joinpath(*PurePosixPath(name).parts)
            file.parent.mkdir(parents=True, exist_ok=True)
            _write_file(file, content)
    return target
