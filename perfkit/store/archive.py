"""A sealed run as one zip file, and back: what comes from a stranger is data, and is never run.

    run folder ── pack ──> NAME-RUN_ID.zip          report.html at its root
    archive ── inspect ──> its manifest             nothing is written yet
    archive ── unpack ──> root/.NAME-RUN_ID.new ── verify ──> root/NAME/RUN_ID

Only names that a run has are taken out of an archive; whatever else it holds refuses it as a whole.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from perfkit.errors import NotARun, UsageError
from perfkit.store.durable import flush, move, writable
from perfkit.store.integrity import verify
from perfkit.store.layout import MANIFEST, check_name
from perfkit.store.stored import check_manifest

__all__ = ["MOST_BYTES", "inspect", "pack", "unpack"]

MOST_BYTES: Final = 8 * 1024**3
"""What an archive may unpack to, unless told otherwise."""

_MOST_ENTRIES: Final = 100_000
_MOST_RATIO: Final = 200  # deflate reaches 1000 on zeros; reports and manifests stay below 30
_RATIO_FROM: Final = 64 * 1024**2  # smaller entries can't hurt
_MOST_MANIFEST: Final = 256 * 1024**2
_BLOCK: Final = 1024 * 1024
_EPOCH: Final = (1980, 1, 1, 0, 0, 0)  # the earliest that zip knows: bytes depend on content alone
_MODE: Final = 0o100644 << 16
_PACKED: Final = (".parquet",)  # compressed already
_FIRST: Final = ("report.html", "README.txt", MANIFEST)
_KNOWN = re.compile(r"manifest\.json|trial=\d{4,}/[a-z][a-z_]{0,31}\.(?:parquet|json)")
_RENDERED: Final = frozenset({"report.html", "README.txt", "summary.json", "summary.md"})
"""Made from the run. Not taken back: a stranger's page would run in the reader's browser, and a
stranger's summary would be believed; both can be made anew."""

_BROKEN: Final = (
    zipfile.BadZipFile, zipfile.LargeZipFile, zlib.error, EOFError, NotImplementedError,
    ValueError, UnicodeError,
)  # fmt: skip
_MEND: Final = "ask for it anew, made by `perfkit export`"


def pack(target: Path, contents: Mapping[str, bytes | Path]) -> Path:
    """Write a zip with these contents by name; equal contents give equal bytes.

    Raises:
        ResultsNotWritable: the disk is full, for one. No half of an archive is left.
    """
    partial = target.with_name(f".{target.name}.partial")
    with writable(target.parent):
        try:
            with zipfile.ZipFile(partial, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
                for name in sorted(contents, key=_order):
                    _write(archive, name, contents[name])
            flush(partial)
            move(partial, target)
        finally:
            partial.unlink(missing_ok=True)
    return target


def _order(name: str) -> tuple[int, str]:
    return (_FIRST.index(name) if name in _FIRST else len(_FIRST), name)


def _write(archive: zipfile.ZipFile, name: str, content: bytes | Path) -> None:
    entry = zipfile.ZipInfo(name, _EPOCH)
    entry.external_attr = _MODE
    entry.create_system = 3
    stored = name.endswith(_PACKED)
    entry.compress_type = zipfile.ZIP_STORED if stored else zipfile.ZIP_DEFLATED
    if isinstance(content, bytes):
        archive.writestr(entry, content)
        return
    entry.file_size = content.stat().st_size
    with content.open("rb") as source, archive.open(entry, "w") as sink:
        shutil.copyfileobj(source, sink, _BLOCK)


def inspect(path: Path, most_bytes: int = MOST_BYTES) -> dict[str, Any]:
    """The manifest of an archive that may be unpacked.

    Raises:
        NotARun: no archive of a run, of another schema, or one with a name, a link or a size that
            no run has.
    """
    with _opened(path) as archive:
        _check_entries(path, archive.infolist(), most_bytes)
        return _manifest(path, archive)


def unpack(path: Path, root: Path, most_bytes: int = MOST_BYTES) -> Path:
    """Put the run of an archive under ``root``, once every checksum is right; returns its folder.

    What was rendered from it (the report, the summaries) stays behind.

    Raises:
        NotARun: as `inspect`; also where its files are not those that were sealed.
        UsageError: there is a run of that name, or its name can't be one.
        ResultsNotWritable: the results folder takes no files.
    """
    with _opened(path) as archive:
        entries = archive.infolist()
        _check_entries(path, entries, most_bytes)
        manifest = _manifest(path, archive)
        for entry in entries:
            if _KNOWN.fullmatch(entry.filename) and entry.filename not in (
                MANIFEST, *manifest["files"],
            ):  # fmt: skip
                raise NotARun(f"{path}: its {MANIFEST} does not list {entry.filename}", _MEND)
        name, run_id = check_name(manifest["name"]), check_name(manifest["run_id"])
        target = root / name / run_id
        if os.path.lexists(target):
            raise UsageError(
                f"there is a run {name}/{run_id} under {root}",
                "it may be the same; read it, or name another folder with --results DIR",
            )
        with writable(root):
            target.parent.mkdir(parents=True, exist_ok=True)
            unnamed = target.parent / f".{run_id}.{os.getpid()}.new"
            unnamed.mkdir()
        try:
            with writable(root):
                for entry in entries:
                    if entry.filename not in _RENDERED and not entry.is_dir():
                        _extract(archive, entry, unnamed)
            if problems := verify(unnamed):
                raise NotARun(f"{path}: {problems[0]}", _MEND)
            with writable(root):
                move(unnamed, target)
        finally:
            shutil.rmtree(unnamed, ignore_errors=True)
    return target


@contextmanager
def _opened(path: Path) -> Iterator[zipfile.ZipFile]:
    if not path.is_file():
        raise NotARun(f"there is no file {path}", "name an archive made by `perfkit export`")
    try:
        with zipfile.ZipFile(path) as archive:
            yield archive
    except _BROKEN as error:
        raise NotARun(f"{path} is no whole archive: {error}", _MEND) from None
    except (OSError, RuntimeError) as error:  # the latter is what zipfile says of a password
        raise NotARun(f"{path} can't be read: {error}", _MEND) from None


def _check_entries(path: Path, entries: Iterable[zipfile.ZipInfo], most_bytes: int) -> None:
    seen: set[str] = set()
    size = 0
    for number, entry in enumerate(entries, 1):
        name = entry.filename
        wrong = _wrong(entry)
        if name.casefold() in seen:
            wrong = "is there twice"
        if wrong is None and number > _MOST_ENTRIES:
            wrong = f"is one of more than {_MOST_ENTRIES}"
        if wrong is not None:
            raise NotARun(f"{path} is not taken: {name[:80]!r} in it {wrong}", _MEND)
        seen.add(name.casefold())
        size += entry.file_size
        if size > most_bytes:
            raise NotARun(
                f"{path} is not taken: it would unpack to more than {most_bytes} bytes",
                "if you trust it, allow more with --most-bytes",
            )


def _wrong(entry: zipfile.ZipInfo) -> str | None:
    """Why an entry can't be of a run."""
    mode = entry.external_attr >> 16
    if stat.S_IFMT(mode) not in (0, stat.S_IFREG, stat.S_IFDIR):
        return "is a link, or no file at all"
    if entry.flag_bits & 1:
        return "has a password"
    if entry.is_dir():
        return None if re.fullmatch(r"trial=\d{4,}/", entry.filename) else "is no folder of a run"
    if not _KNOWN.fullmatch(entry.filename) and entry.filename not in _RENDERED:
        return "is no file of a run"
    if entry.file_size > _RATIO_FROM and entry.file_size > _MOST_RATIO * max(
        1, entry.compress_size
    ):
        return f"unpacks to more than {_MOST_RATIO} times its size"
    return None


def _manifest(path: Path, archive: zipfile.ZipFile) -> dict[str, Any]:
    try:
        entry = archive.getinfo(MANIFEST)
    except KeyError:
        raise NotARun(f"{path} holds no run: it has no {MANIFEST}", _MEND) from None
    if entry.file_size > _MOST_MANIFEST:
        raise NotARun(f"{path}: its {MANIFEST} is too large to be one", _MEND)
    try:
        manifest = json.loads(archive.read(entry))
    except RecursionError:
        raise NotARun(f"{path}: its {MANIFEST} is nested too deeply", _MEND) from None
    if not isinstance(manifest, dict):
        raise NotARun(f"{path}: its {MANIFEST} does not hold an object", _MEND)
    check_manifest(path, manifest)
    return manifest


def _extract(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, folder: Path) -> None:
    """Write one entry, and not a byte more than it declared."""
    target = folder / entry.filename
    target.parent.mkdir(exist_ok=True)
    left = entry.file_size
    with archive.open(entry) as source, target.open("xb") as sink:
        while block := source.read(_BLOCK):
            left -= len(block)
            if left < 0:
                raise ValueError(f"{entry.filename} is larger than it says")
            sink.write(block)
    if left:
        raise ValueError(f"{entry.filename} is smaller than it says")
    flush(target)
