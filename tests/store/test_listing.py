"""Listing runs: what is told of each, and that the index never tells anything else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perfkit.clock import ManualClock
from perfkit.store import RunEntry, RunWriter, list_runs
from perfkit.store import listing as listing_module
from perfkit.store.index import INDEX
from tests.fabricated import figures, passed, planned, write_run
from tests.fresh import ROOT, in_fresh_interpreter


def _run(root: Path, name: str, wall_s: int) -> RunWriter:
    clock = ManualClock(wall_ns=wall_s * 1_000_000_000)
    return RunWriter.create(root, name, {"scenarios": {}, "plan": [{}, {}]}, clock=clock)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the files that were parsed, as it goes."""
    parsed: list[str] = []
    honest = listing_module.read_json

    def counting(path: Path) -> dict[str, Any]:
        parsed.append(f"{path.parent.name}/{path.name}")
        return honest(path)

    monkeypatch.setattr(listing_module, "read_json", counting)
    return parsed


def test_runs_are_listed_newest_first_sealed_or_not(tmp_path: Path) -> None:
    _run(tmp_path, "first", 1_000_000_000).seal("complete")
    _run(tmp_path, "smoke", 1_000_000_300)
    _run(tmp_path, "smoke", 1_000_000_200).seal("partial", "interrupted")
    entries = list_runs(tmp_path)
    assert [(each.name, each.state) for each in entries] == [
        ("smoke", "measuring"),
        ("smoke", "partial"),
        ("first", "complete"),
    ]
    assert [each.sealed for each in entries] == [False, True, True]
    assert entries[1].reason == "interrupted"
    assert entries[1].trials == 2
    assert entries[2].run_id == entries[2].path.name


def test_a_killed_run_is_listed_as_unsealed(tmp_path: Path) -> None:
    path = _run(tmp_path, "first", 1_000_000_000).path / "manifest.partial.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"owner": {"pid": 1}}))
    assert list_runs(tmp_path)[0].state == "unsealed"


@pytest.mark.parametrize("text", ["{", "[]", "", "\xff"])
def test_what_can_not_be_parsed_is_listed_and_says_so(tmp_path: Path, text: str) -> None:
    path = _run(tmp_path, "first", 1_000_000_000).seal("complete")
    (path / "manifest.json").write_text(text, encoding="latin-1")
    for _ in range(2):
        [entry] = list_runs(tmp_path)
        assert entry.state == "unreadable"
        assert entry.reason


def test_other_folders_are_no_runs(tmp_path: Path) -> None:
    (tmp_path / ".host" / "abc").mkdir(parents=True)
    (tmp_path / "first" / "notes").mkdir(parents=True)
    (tmp_path / "README.md").write_text("")
    assert list_runs(tmp_path) == []
    assert list_runs(tmp_path / "nowhere") == []
    assert not (tmp_path / INDEX).exists()


def test_what_a_run_measured_and_what_came_out_is_told(tmp_path: Path) -> None:
    plan = [
        planned("heavy", "workers=2", 0, axes={"stack.workers": 2}),
        planned("light", "workers=2", 1, axes={"stack.workers": 2}),
    ]
    summary = {
        "verdict": {"status": "FAIL", "reasons": ["too slow"]},
        "trials": [figures(0, status="FAIL", p95_ns="inf"), figures(1, p50_ns=None)],
    }
    write_run(tmp_path, "heavy-light", of=plan, summary=summary)
    [entry] = list_runs(tmp_path)
    assert entry.verdict == "FAIL"
    assert entry.scenarios == ("heavy", "light")
    assert (entry.host, entry.commit) == ("0123456789abcdef", "aaaaaaaaaaaa")
    heavy, light = entry.planned
    assert (heavy.verdict, heavy.axes, heavy.outcome) == ("FAIL", {"stack.workers": 2}, "complete")
    assert heavy.figures["p95_ns"] == float("inf")
    assert light.worst_queue == "payments"
    assert "p50_ns" not in light.figures


@pytest.mark.parametrize(
    "manifest",
    [
        {"plan": 7, "trials": "x", "host": [], "git": 3, "created_ns": "yesterday"},
        {"plan": [None, {"trial": "one", "scenario": 5, "axes": []}], "trials": [1, {}]},
        {"created_ns": 10**40, "reason": 5, "perfkit_version": 1.0},
    ],
)
def test_a_manifest_that_is_not_ours_does_no_harm(tmp_path: Path, manifest: dict[str, Any]) -> None:
    write_run(tmp_path, summary={"verdict": [], "trials": {"a": 1}}, **manifest)
    [entry] = list_runs(tmp_path)
    assert entry.state == "complete"
    assert entry.verdict is None
    assert entry.created is None or entry.created.year == 2026


def test_a_summary_of_before_the_run_was_resumed_says_nothing_of_it_now(tmp_path: Path) -> None:
    summary = passed(figures())
    write_run(tmp_path, minutes=0, summary=summary | {"sealed_ns": 5}, sealed_ns=5)
    write_run(tmp_path, minutes=1, summary=summary | {"sealed_ns": 5}, sealed_ns=9)
    assert [each.verdict for each in list_runs(tmp_path)] == [None, "PASS"]


def test_three_hundred_runs_are_the_same_with_the_index_and_without(
    tmp_path: Path, read: list[str]
) -> None:
    for number in range(300):
        name = ("heavy", "light", "spike")[number % 3]
        write_run(tmp_path, name, minutes=number, summary=None if number % 5 == 0 else True)
    first = list_runs(tmp_path)
    assert len(first) == 300
    assert [each.created_ns for each in first] == sorted(
        (each.created_ns or 0 for each in first), reverse=True
    )
    assert len(read) == 300 + 300  # every manifest, and the try to read every summary
    read.clear()
    assert list_runs(tmp_path) == first
    assert read == []
    (tmp_path / INDEX).unlink()
    assert list_runs(tmp_path) == first
    assert (tmp_path / INDEX).is_file()


def test_only_what_changed_is_read_again(tmp_path: Path, read: list[str]) -> None:
    folders = [write_run(tmp_path, minutes=number) for number in range(4)]
    list_runs(tmp_path)
    read.clear()
    failed = {"verdict": {"status": "FAIL"}, "trials": []}
    (folders[1] / "summary.json").write_text(json.dumps(failed))
    (folders[2] / "summary.json").unlink()
    new = write_run(tmp_path, minutes=9)
    verdicts = {each.path: each.verdict for each in list_runs(tmp_path)}
    assert verdicts == {
        folders[0]: "PASS",
        folders[1]: "FAIL",
        folders[2]: None,
        folders[3]: "PASS",
        new: "PASS",
    }
    assert {name.partition("/")[0] for name in read} == {
        folders[1].name,
        folders[2].name,
        new.name,
    }
    for file in folders[3].iterdir():
        file.unlink()
    folders[3].rmdir()
    assert folders[3] not in {each.path for each in list_runs(tmp_path)}
    assert folders[3].name not in (tmp_path / INDEX).read_text()


def _torn(index: Path) -> None:
    whole = index.read_bytes()
    index.write_bytes(whole[: len(whole) // 2])


def _of_a_later_version(index: Path) -> None:
    head, _, body = index.read_bytes().partition(b"\n")
    told = json.loads(head)
    told["perfkit_index"] += 1
    index.write_bytes(json.dumps(told).encode() + b"\n" + body)


def _altered(index: Path) -> None:
    index.write_bytes(index.read_bytes().replace(b"PASS", b"FAIL"))


def _foreign(index: Path) -> None:
    index.write_bytes(b"\x00\xff not ours")


def _a_folder(index: Path) -> None:
    index.unlink()
    index.mkdir()


@pytest.mark.parametrize("harm", [_torn, _of_a_later_version, _altered, _foreign, _a_folder])
def test_an_index_that_is_not_right_is_not_believed(tmp_path: Path, harm: Any) -> None:
    for number in range(3):
        write_run(tmp_path, minutes=number)
    honest = list_runs(tmp_path)
    harm(tmp_path / INDEX)
    assert list_runs(tmp_path) == honest
    assert list_runs(tmp_path) == honest


def test_a_folder_that_takes_no_file_is_listed_without_an_index(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_run(tmp_path)

    def read_only(path: Any, *_: Any, **__: Any) -> int:
        raise OSError(30, "Read-only file system", str(path))

    monkeypatch.setattr(os, "open", read_only)
    assert [each.verdict for each in list_runs(tmp_path)] == ["PASS"]
    assert not (tmp_path / INDEX).exists()


def test_who_was_killed_while_writing_the_index_stops_nobody_for_long(tmp_path: Path) -> None:
    write_run(tmp_path)
    left = tmp_path / f"{INDEX}.new"
    left.write_bytes(b"half")
    assert len(list_runs(tmp_path)) == 1
    assert not (tmp_path / INDEX).exists()  # somebody may be at it
    os.utime(left, (0, 0))
    assert len(list_runs(tmp_path)) == 1
    assert (tmp_path / INDEX).is_file()
    assert not left.exists()


def test_processes_that_list_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    for number in range(60):
        write_run(tmp_path, minutes=number)
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from perfkit.store import list_runs\n"
        "from perfkit.store.index import INDEX\n"
        "root = Path(sys.argv[1])\n"
        "for _ in range(20):\n"
        "    assert len(list_runs(root)) == 60\n"
        "    (root / INDEX).unlink(missing_ok=True)\n"
    )
    listers = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], cwd=ROOT) for _ in range(4)
    ]
    assert [lister.wait(60) for lister in listers] == [0, 0, 0, 0]
    assert len(list_runs(tmp_path)) == 60
    assert len(json.loads((tmp_path / INDEX).read_bytes().partition(b"\n")[2])) == 60


def test_listing_imports_neither_pandas_nor_pyarrow() -> None:
    code = (
        "import sys, perfkit.cli.reading, perfkit.cli.tables, perfkit.store.listing\n"
        "heavy = ('pandas', 'pyarrow', 'numpy', 'duckdb', 'matplotlib', 'pydantic', 'redis')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    assert in_fresh_interpreter(code).strip() == "[]"


def test_an_entry_is_plain_data(tmp_path: Path) -> None:
    write_run(tmp_path, summary=passed(figures()))
    [entry] = list_runs(tmp_path)
    assert isinstance(entry, RunEntry)
    with pytest.raises(AttributeError):
        entry.name = "other"  # type: ignore[misc]
