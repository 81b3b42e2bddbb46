"""A budget of disk: it is kept, the oldest goes first, and what went is counted."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from perfkit.recorder import Kind, SpoolContents, SpoolWriter, read_spools
from perfkit.recorder import budget as budget_module
from perfkit.recorder.budget import LEAST_BYTES, Budget, parse_budget
from perfkit.recorder.reader import main as say
from tests.fresh import in_fresh_interpreter

MANY = 20_000  # events, 1.6 MB


def open_writer(directory: Path, name: str = "w", limit: int = LEAST_BYTES) -> SpoolWriter:
    return SpoolWriter(directory, name=name, role="worker", budget=limit)


def write(writer: SpoolWriter, count: int, first: int = 1) -> None:
    identity = writer.identity("order-1", None, "q", "a", 0)
    for number in range(first, first + count):
        writer.record(identity, Kind.END, number)


def used(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


def one(directory: Path) -> SpoolContents:
    [contents] = read_spools(directory)
    return contents


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 500_000_000), ("2GiB", 2 * 1024**3), ("1.5 GB", 1_500_000_000)]
)
def test_a_budget_is_written_as_a_size(text: str, size: int) -> None:
    assert parse_budget(text) == size


@pytest.mark.parametrize("text", ["", "lots", "-5MB", "12", "100KB", "1PB"])
def test_what_is_no_budget_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"size|small"):
        parse_budget(text)


def test_the_oldest_files_go_and_their_events_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    writer = open_writer(tmp_path)
    write(writer, MANY)
    assert used(tmp_path) <= LEAST_BYTES
    contents = one(tmp_path)
    assert contents.dropped > 0
    assert contents.dropped + len(contents.events) == MANY
    kept = [event.t1_ns for event in contents.events]
    assert kept == list(range(contents.dropped + 1, MANY + 1))
    assert (contents.lost, contents.holes, contents.corrupt) == (0, 0, 0)
    assert say([str(tmp_path)]) == 0
    assert f"{contents.dropped} dropped for want of disk" in capsys.readouterr().out


def test_without_a_budget_nothing_is_dropped(tmp_path: Path) -> None:
    write(SpoolWriter(tmp_path, name="w", role="worker", slots=300), 3000)
    assert (len(one(tmp_path).events), one(tmp_path).dropped) == (3000, 0)


def test_what_dead_processes_left_goes_before_what_the_living_write(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from perfkit.recorder import Kind, SpoolWriter
writer = SpoolWriter(Path(sys.argv[1]), name="dead", role="worker", budget=1_000_000)
identity = writer.identity("order-1", None, "q", "a", 0)
for number in range(500):
    writer.record(identity, Kind.END, number + 1)
os._exit(0)
"""
    in_fresh_interpreter(script, tmp_path)
    idle, busy = open_writer(tmp_path, "idle"), open_writer(tmp_path, "busy")
    write(idle, 5)
    write(busy, MANY)
    assert used(tmp_path) <= LEAST_BYTES
    found = {contents.name: contents for contents in read_spools(tmp_path)}
    assert (len(found["dead"].events), found["dead"].dropped) == (0, 500)
    assert (len(found["idle"].events), found["idle"].dropped) == (5, 0), "alive: its file stays"
    assert found["busy"].dropped + len(found["busy"].events) == MANY


def test_a_process_that_finds_no_room_counts_what_it_did_not_record(tmp_path: Path) -> None:
    (tmp_path / "somebody's").write_bytes(bytes(LEAST_BYTES))
    writer = open_writer(tmp_path)
    write(writer, 7)
    writer.close()
    contents = one(tmp_path)
    assert (contents.events, contents.lost) == ([], 7)
    assert contents.reason == "no room within the disk budget for the recorder's spool"
    assert (tmp_path / "somebody's").exists()


def test_a_file_that_cant_be_noted_as_dropped_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = open_writer(tmp_path)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(budget_module, "append_line", full)
    write(writer, MANY)
    contents = one(tmp_path)
    assert contents.dropped == 0
    assert contents.lost + len(contents.events) == MANY
    assert used(tmp_path) <= LEAST_BYTES


def test_a_stopped_process_that_holds_the_lock_stops_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(budget_module, "_LOCK_PAUSE_S", 0)
    budget = Budget(tmp_path, LEAST_BYTES)
    with budget._alone():
        assert budget.make_room(1000, "w")
    assert not budget.make_room(LEAST_BYTES + 1, "w")
