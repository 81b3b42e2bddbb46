"""The reader: holes, torn slots, damage, and spools that are still growing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfkit.recorder import Kind, SpoolContents, SpoolWriter, read_spools
from perfkit.recorder.events import HEADER_BYTES, SLOT_BYTES

SLOTS = 10


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """The first file of a spool with the events 1..25 in three files of ten slots."""
    writer = SpoolWriter(tmp_path, name="w", role="worker", slots=SLOTS)
    identity = writer.identity("order-1", None, "q", "a", 0)
    for number in range(1, 26):
        writer.record(identity, Kind.END, number)
    return min(tmp_path.glob("*.spool"))


def damage(path: Path, slot: int, offset: int, patch: bytes) -> None:
    at = HEADER_BYTES + slot * SLOT_BYTES + offset
    data = bytearray(path.read_bytes())
    data[at : at + len(patch)] = patch
    path.write_bytes(data)


def read(path: Path) -> SpoolContents:
    [contents] = read_spools(path.parent)
    return contents


def numbers(contents: SpoolContents) -> list[int | None]:
    return [event.t1_ns for event in contents.events]


def test_a_hole_is_skipped_and_counted(spool: Path) -> None:
    damage(spool, 3, 0, bytes(SLOT_BYTES))
    contents = read(spool)
    assert numbers(contents) == [number for number in range(1, 26) if number != 4]
    assert (contents.holes, contents.corrupt) == (1, 0)


def test_a_slot_without_its_commit_mark_is_a_hole(spool: Path) -> None:
    damage(spool, 0, SLOT_BYTES - 4, bytes(4))
    contents = read(spool)
    assert (contents.holes, contents.corrupt, len(contents.events)) == (1, 0, 24)


def test_holes_at_the_end_of_a_file_count_once_a_later_file_exists(spool: Path) -> None:
    damage(spool, SLOTS - 2, 0, bytes(2 * SLOT_BYTES))
    assert read(spool).holes == 2


def test_what_follows_the_last_committed_slot_of_the_last_file_is_not_a_hole(spool: Path) -> None:
    last = max(spool.parent.glob("*.spool"))
    damage(last, 3, 0, bytes(2 * SLOT_BYTES))
    damage(last, 4, 0, b"torn")
    contents = read(spool)
    assert (contents.holes, numbers(contents)[-1]) == (0, 23)


@pytest.mark.parametrize("offset", [0, 32, 40, 48, 72])
def test_a_torn_slot_is_never_taken_for_an_event(spool: Path, offset: int) -> None:
    damage(spool, 5, offset, b"\xff\xfe\xfd")
    contents = read(spool)
    assert (contents.holes, contents.corrupt) == (0, 1)
    assert numbers(contents) == [number for number in range(1, 26) if number != 6]


def test_a_slot_in_the_wrong_place_is_corrupt(spool: Path) -> None:
    data = spool.read_bytes()
    damage(spool, 1, 0, data[HEADER_BYTES : HEADER_BYTES + SLOT_BYTES])
    assert read(spool).corrupt == 1


def test_an_event_whose_name_is_missing_is_corrupt(spool: Path) -> None:
    [sidecar] = spool.parent.glob("*.jsonl")
    lines = sidecar.read_text().splitlines()
    sidecar.write_text("\n".join(line for line in lines if '"name":"q"' not in line) + "\n")
    contents = read(spool)
    assert (contents.events, contents.corrupt) == ([], 25)


def test_a_torn_line_of_the_sidecar_is_skipped(spool: Path) -> None:
    [sidecar] = spool.parent.glob("*.jsonl")
    with sidecar.open("a") as lines:
        lines.write('{"index": 4, "na')
    assert len(read(spool).events) == 25


def test_a_process_that_died_before_its_first_line_left_nothing(tmp_path: Path) -> None:
    (tmp_path / "w.1.jsonl").write_text('{"spool": 1, "na')
    assert read_spools(tmp_path) == []


def test_a_file_that_was_made_but_never_written_is_empty(spool: Path) -> None:
    spool.with_name(spool.name.replace(".0000.", ".0003.")).write_bytes(bytes(900))
    assert len(read(spool).events) == 25


def test_a_growing_spool_is_read_up_to_now(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, name="w", role="worker", slots=7)
    for number in range(1, 20):
        writer.record(writer.identity(f"order-{number}", None, "q", "a", 0), Kind.END, number)
        [contents] = read_spools(tmp_path)
        assert numbers(contents) == list(range(1, number + 1))
        assert contents.events[-1].message_id == f"order-{number}"
    writer.close()


def test_a_spool_of_another_version_is_refused(spool: Path) -> None:
    [sidecar] = spool.parent.glob("*.jsonl")
    first, *rest = sidecar.read_text().splitlines()
    head = json.loads(first) | {"spool": 99}
    sidecar.write_text("\n".join([json.dumps(head), *rest]))
    with pytest.raises(ValueError, match="version 99"):
        read_spools(spool.parent)


def test_files_of_another_layout_are_refused(spool: Path) -> None:
    data = bytearray(spool.read_bytes())
    data[:8] = b"whatever"
    spool.write_bytes(data)
    with pytest.raises(ValueError, match="no spool"):
        read_spools(spool.parent)


def test_spools_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    for name in ("w2", "w1", "ingest", "w1.2"):
        SpoolWriter(tmp_path, name=name, role="worker", slots=4).close()
    assert [spool.name for spool in read_spools(tmp_path)] == ["ingest", "w1", "w1.2", "w2"]
