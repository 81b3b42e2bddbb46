"""Archives from strangers: what is taken, and what is refused before anything is written."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from perfkit.errors import NotARun, PerfkitError, UsageError
from perfkit.store import inspect, pack, unpack, verify
from tests.sealed import Sketch, delivery, request, seal

Entries = dict[str, bytes]


@pytest.fixture
def entries(tmp_path: Path) -> Entries:
    """The files of a small sound run by name."""
    run = seal(tmp_path / "made", Sketch([request(0)], [delivery(request(0))]))
    names = ("manifest.json", *run.manifest["files"])
    return {name: (run.path / name).read_bytes() for name in names}


def _zip(
    path: Path, entries: Entries, change: Callable[[zipfile.ZipFile], None] | None = None
) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
        if change is not None:
            change(archive)
    return path


def test_what_was_packed_comes_back_and_verifies(tmp_path: Path, entries: Entries) -> None:
    packed = pack(tmp_path / "run.zip", {**entries, "report.html": b"<p>hello"})
    folder = unpack(packed, tmp_path / "results")
    manifest = json.loads(entries["manifest.json"])
    assert folder == tmp_path / "results" / manifest["name"] / manifest["run_id"]
    assert verify(folder) == []
    assert inspect(packed) == manifest


def test_a_strangers_page_and_summary_are_not_taken(tmp_path: Path, entries: Entries) -> None:
    rendered = dict.fromkeys(("report.html", "summary.json", "summary.md", "README.txt"), b"{}")
    folder = unpack(pack(tmp_path / "run.zip", entries | rendered), tmp_path / "results")
    assert not any((folder / name).exists() for name in rendered)


def test_equal_runs_give_equal_bytes_with_the_report_first(
    tmp_path: Path, entries: Entries
) -> None:
    whole = {**entries, "report.html": b"<p>hello"}
    first = pack(tmp_path / "a.zip", whole)
    again = pack(tmp_path / "b.zip", dict(reversed(whole.items())))
    assert first.read_bytes() == again.read_bytes()
    assert zipfile.ZipFile(first).namelist()[0] == "report.html"


@pytest.mark.parametrize(
    "name",
    [
        "../evil.parquet",
        "trial=0000/../../evil.json",
        "/etc/evil.json",
        "C:\\evil.json",
        "trial=0000\\jobs.parquet",
        "logs/worker.log",
        "report.ipynb",
        "trial=0000/setup.py",
        ".hidden",
    ],
)
def test_a_name_that_no_run_has_refuses_the_whole_archive(
    tmp_path: Path, entries: Entries, name: str
) -> None:
    packed = _zip(tmp_path / "run.zip", {**entries, name: b"x"})
    with pytest.raises(NotARun, match="is no file of a run"):
        unpack(packed, tmp_path / "results")
    assert not (tmp_path / "results").exists()
    assert not list(tmp_path.rglob("evil*"))


def test_a_link_is_refused(tmp_path: Path, entries: Entries) -> None:
    link = zipfile.ZipInfo("trial=0000/more.json")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    packed = _zip(tmp_path / "run.zip", entries, lambda zip_: zip_.writestr(link, "/etc/passwd"))
    with pytest.raises(NotARun, match="is a link"):
        unpack(packed, tmp_path / "results")


def test_names_that_differ_only_in_their_case_are_refused(tmp_path: Path, entries: Entries) -> None:
    packed = _zip(tmp_path / "run.zip", {**entries, "README.txt": b"", "readme.TXT": b""})
    with pytest.raises(NotARun):
        unpack(packed, tmp_path / "results")


def test_a_bomb_is_refused_by_what_it_declares(tmp_path: Path, entries: Entries) -> None:
    bomb = {**entries, "report.html": b"\0" * (65 * 1024 * 1024)}
    packed = pack(tmp_path / "run.zip", bomb)
    with pytest.raises(NotARun, match="times its size"):
        unpack(packed, tmp_path / "results")
    with pytest.raises(NotARun, match="more than 10 bytes"):
        unpack(_zip(tmp_path / "small.zip", entries), tmp_path / "results", most_bytes=10)


def test_a_file_that_was_changed_is_found_and_nothing_is_left(
    tmp_path: Path, entries: Entries
) -> None:
    changed = {**entries, "trial=0000/trial.json": entries["trial=0000/trial.json"] + b" "}
    with pytest.raises(NotARun, match="is not the file that was sealed"):
        unpack(_zip(tmp_path / "run.zip", changed), tmp_path / "results")
    assert [each for each in (tmp_path / "results").rglob("*") if each.is_file()] == []


def test_a_file_that_the_manifest_does_not_list_is_refused(
    tmp_path: Path, entries: Entries
) -> None:
    packed = _zip(tmp_path / "run.zip", {**entries, "trial=0000/more.json": b"{}"})
    with pytest.raises(NotARun, match="does not list"):
        unpack(packed, tmp_path / "results")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"name": "../up"}, "can't name a folder"),
        ({"run_id": ".hidden"}, "can't name a folder"),
        ({"schema_version": 1}, "has schema 1"),
        ({"files": {"../x": {"rows": 1, "sha256": ""}}}, "leads out of the run"),
        ({"trials": "none"}, "lacks 'trials'"),
    ],
)
def test_a_manifest_that_is_not_of_this_perfkit_or_leads_elsewhere_is_refused(
    tmp_path: Path, entries: Entries, fields: dict[str, object], message: str
) -> None:
    manifest = json.loads(entries["manifest.json"]) | fields
    packed = _zip(tmp_path / "run.zip", {**entries, "manifest.json": json.dumps(manifest).encode()})
    with pytest.raises(PerfkitError, match=message):
        unpack(packed, tmp_path / "results")


def test_a_run_that_is_there_is_never_written_over(tmp_path: Path, entries: Entries) -> None:
    packed = _zip(tmp_path / "run.zip", entries)
    folder = unpack(packed, tmp_path / "results")
    before = (folder / "manifest.json").stat().st_mtime_ns
    with pytest.raises(UsageError, match="there is a run"):
        unpack(packed, tmp_path / "results")
    assert (folder / "manifest.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 and no more", b"{}"])
def test_what_is_no_archive_is_told_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "run.zip").write_bytes(content)
    with pytest.raises(NotARun, match="no whole archive"):
        unpack(tmp_path / "run.zip", tmp_path / "results")


def test_half_an_archive_is_told_so(tmp_path: Path, entries: Entries) -> None:
    packed = _zip(tmp_path / "run.zip", entries)
    content = bytearray(packed.read_bytes())
    content[len(content) // 3] ^= 0xFF
    packed.write_bytes(content)
    with pytest.raises(NotARun):
        unpack(packed, tmp_path / "results")
