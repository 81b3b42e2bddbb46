"""Following a spool: each event once, holes looked at again, files that vanish counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.recorder import Kind, SpoolContents, SpoolFollower, SpoolWriter
from perfkit.recorder.events import HEADER_BYTES, SLOT_BYTES
from perfkit.recorder.sidecar import append_line

SLOTS = 10


@pytest.fixture
def writer(tmp_path: Path) -> SpoolWriter:
    return SpoolWriter(tmp_path, name="w", role="worker", slots=SLOTS)


def write(writer: SpoolWriter, *numbers: int) -> None:
    for number in numbers:
        writer.record(writer.identity(f"order-{number}", None, "q", "a", 0), Kind.END, number)


def swap(path: Path, slot: int, data: bytes) -> bytes:
    """Put other bytes into a slot (from 0); those that were there."""
    at = HEADER_BYTES + slot * SLOT_BYTES
    with path.open("r+b") as file:
        file.seek(at)
        before = file.read(SLOT_BYTES)
        file.seek(at)
        file.write(data.ljust(SLOT_BYTES, b"\0"))
    return before


def read(follower: SpoolFollower) -> tuple[list[int | None], SpoolContents]:
    [contents] = follower.read()
    return [event.t1_ns for event in contents.events], contents


def test_each_event_is_read_once(tmp_path: Path, writer: SpoolWriter) -> None:
    follower = SpoolFollower(tmp_path)
    write(writer, 1, 2, 3)
    assert read(follower)[0] == [1, 2, 3]
    assert read(follower)[0] == []
    write(writer, *range(4, 26))
    numbers, contents = read(follower)
    assert numbers == list(range(4, 26))
    assert contents.events[-1].message_id == "order-25", "names of later lines are known"
    writer.close()
    numbers, contents = read(follower)
    assert (numbers, contents.closed, contents.holes, contents.lost) == ([], True, 0, 0)


@pytest.mark.parametrize("then", [5, 25])
def test_a_hole_that_is_filled_later_is_read_then(
    tmp_path: Path, writer: SpoolWriter, then: int
) -> None:
    follower = SpoolFollower(tmp_path)
    write(writer, 1, 2, 3)
    first = min(tmp_path.glob("*.spool"))
    late = swap(first, 1, b"")
    numbers, contents = read(follower)
    assert (numbers, contents.holes) == ([1, 3], 1)
    write(writer, *range(4, then + 1))
    assert read(follower)[1].holes == 1
    swap(first, 1, late)
    numbers, contents = read(follower)
    assert (numbers, contents.holes) == ([2], 0)


def test_a_slot_caught_while_it_is_written_is_read_when_it_is_whole(
    tmp_path: Path, writer: SpoolWriter
) -> None:
    follower = SpoolFollower(tmp_path)
    write(writer, 1, 2)
    first = min(tmp_path.glob("*.spool"))
    whole = swap(first, 0, b"")
    swap(first, 0, bytes(40) + whole[40:])
    numbers, contents = read(follower)
    assert (numbers, contents.corrupt) == ([2], 1)
    swap(first, 0, whole)
    numbers, contents = read(follower)
    assert (numbers, contents.corrupt) == ([1], 0)


def test_the_end_of_a_full_file_is_holes_and_is_looked_at_again(
    tmp_path: Path, writer: SpoolWriter
) -> None:
    follower = SpoolFollower(tmp_path)
    write(writer, *range(1, 12))
    first = min(tmp_path.glob("*.spool"))
    late = swap(first, SLOTS - 1, b"")
    numbers, contents = read(follower)
    assert (numbers, contents.holes) == ([*range(1, 10), 11], 1)
    swap(first, SLOTS - 1, late)
    assert read(follower)[0] == [10]


def test_only_what_was_not_read_in_time_counts_as_dropped(
    tmp_path: Path, writer: SpoolWriter
) -> None:
    early, late = SpoolFollower(tmp_path), SpoolFollower(tmp_path)
    write(writer, *range(1, 6))
    read(early)
    write(writer, *range(6, 26))
    [sidecar] = tmp_path.glob("*.jsonl")
    append_line(sidecar, {"dropped": 0, "events": SLOTS})
    numbers, contents = read(SpoolFollower(tmp_path))
    assert (len(numbers), contents.dropped) == (25, 0), "announced, and still there"
    min(tmp_path.glob("*.spool")).unlink()
    assert read(early)[1].dropped == 5
    numbers, contents = read(late)
    assert (numbers, contents.dropped) == (list(range(11, 26)), 10)


def test_a_process_that_comes_later_is_followed_too(tmp_path: Path, writer: SpoolWriter) -> None:
    follower = SpoolFollower(tmp_path)
    write(writer, 1)
    assert len(follower.read()) == 1
    write(SpoolWriter(tmp_path, name="v", role="worker", slots=SLOTS), 7)
    assert [(spool.name, len(spool.events)) for spool in follower.read()] == [("v", 1), ("w", 0)]


@pytest.mark.parametrize("count", [3, 9, 10, 25])
def test_of_what_was_there_before_only_the_newest_is_read(
    tmp_path: Path, writer: SpoolWriter, count: int
) -> None:
    write(writer, *range(1, count + 1))
    follower = SpoolFollower(tmp_path, newest=4)
    first = read(follower)[0]
    assert first == list(range(count + 1 - len(first), count + 1))
    assert 0 < len(first) <= 4
    write(writer, 100, 101)
    assert read(follower)[0] == [100, 101]
