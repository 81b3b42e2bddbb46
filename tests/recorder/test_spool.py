"""The spool: what is written is read, files roll, forks part, full disks don't kill."""

from __future__ import annotations

import errno
import os
import tempfile
import uuid
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.recorder import Event, Kind, SpoolContents, SpoolWriter, read_spools
from perfkit.recorder.events import SLOT_BYTES
from tests.fresh import in_fresh_interpreter

ROOT = Path(__file__).resolve().parents[2]
STAMP = st.integers(0, 2**63 - 1)
NAME = st.text(min_size=1, max_size=40).filter(lambda text: not text.endswith(".DQ"))
IDS = st.one_of(st.uuids().map(str), st.text(max_size=60))


def one(directory: Path) -> SpoolContents:
    [contents] = read_spools(directory)
    return contents


def test_a_slot_is_at_most_eighty_bytes() -> None:
    assert SLOT_BYTES <= 80


@settings(max_examples=100, deadline=None)
@given(
    kind=st.sampled_from(Kind),
    queue=NAME,
    delayed=st.booleans(),
    actor=NAME,
    attempt=st.integers(0, 0xFFFF),
    message_id=IDS,
    redis_id=st.none() | IDS.filter(lambda text: text != str(uuid.UUID(int=0))),
    stamps=st.tuples(STAMP, STAMP, STAMP),
    error=st.none() | NAME,
    thread=st.integers(0, 2**32 - 1),
)
def test_every_slot_is_read_as_it_was_written(
    kind: Kind,
    queue: str,
    delayed: bool,
    actor: str,
    attempt: int,
    message_id: str,
    redis_id: str | None,
    stamps: tuple[int, int, int],
    error: str | None,
    thread: int,
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        writer = SpoolWriter(Path(folder), name="w", role="worker", slots=4)
        raw = queue + ".DQ" if delayed else queue
        identity = writer.identity(message_id, redis_id, raw, actor, attempt)
        writer.record(identity, kind, *stamps, writer.index(error) if error else 0, thread)
        writer.close()
        [event] = one(Path(folder)).events
    t1, t2, t3 = (stamp or None for stamp in stamps)
    assert event == Event(
        kind, queue, delayed, actor, attempt, message_id, redis_id, t1, t2, t3, error, thread
    )


@pytest.mark.parametrize(
    "odd",
    [
        "0F9B5A54-1F6B-4A57-9D1E-0123456789AB",  # upper case would be lost
        "0f9b5a541f6b4a579d1e0123456789ab",  # so would missing dashes
        "0f9b5a5-41f6b-4a57-9d1e-0123456789ab",  # or misplaced ones
        "0f9b5a54-1f6b-4a57-9d1e-0123456789 a",
        "order-17",
    ],
)
def test_an_id_that_is_no_canonical_uuid_keeps_its_text(tmp_path: Path, odd: str) -> None:
    writer = SpoolWriter(tmp_path, name="w", role="worker", slots=4)
    writer.record(writer.identity(odd, odd, "q", "a", 0), Kind.START, 1, 2, 3)
    writer.close()
    [event] = one(tmp_path).events
    assert (event.message_id, event.redis_message_id) == (odd, odd)


def test_a_full_file_is_followed_by_another_one(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, name="w", role="worker", slots=10)
    identity = writer.identity("a", None, "q", "a", 0)
    for number in range(1, 36):
        writer.record(identity, Kind.END, number)
    writer.close()
    contents = one(tmp_path)
    assert [event.t1_ns for event in contents.events] == list(range(1, 36))
    assert len(list(tmp_path.glob("*.spool"))) == 4
    assert (contents.holes, contents.corrupt, contents.lost) == (0, 0, 0)
    assert contents.closed


def test_the_sidecar_says_who_wrote_it(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, name="w1", role="worker", broker_id="b", slots=4)
    contents = one(tmp_path)
    assert (contents.name, contents.role, contents.pid) == ("w1", "worker", os.getpid())
    assert contents.broker_id == "b"
    assert contents.anchor.wall_ns > contents.anchor.mono_ns > 0
    assert not contents.closed
    writer.close()


def test_two_writers_of_one_name_and_pid_keep_apart(tmp_path: Path) -> None:
    for number in (1, 2):
        writer = SpoolWriter(tmp_path, name="w", role="worker", slots=4)
        writer.record(writer.identity("a", None, "q", "a", 0), Kind.END, number)
        writer.close()
    assert [[event.t1_ns for event in spool.events] for spool in read_spools(tmp_path)] == [
        [1],
        [2],
    ]


def test_events_after_the_end_are_ignored(tmp_path: Path) -> None:
    writer = SpoolWriter(tmp_path, name="w", role="worker", slots=4)
    identity = writer.identity("a", None, "q", "a", 0)
    writer.close()
    writer.close()
    writer.record(identity, Kind.END, 1)
    contents = one(tmp_path)
    assert (contents.events, contents.lost, contents.closed) == ([], 0, True)


def test_a_fork_records_into_files_of_its_own(tmp_path: Path) -> None:
    script = """
import os, sys, uuid
from pathlib import Path
from perfkit.recorder import Kind, SpoolWriter
writer = SpoolWriter(Path(sys.argv[1]), name="w", role="producer", slots=4)
identity = writer.identity(str(uuid.uuid4()), None, "payments", "pay", 0)
writer.record(identity, Kind.ENQ, 1)
if os.fork() == 0:
    writer.record(identity, Kind.ENQ, 2)
    writer.record(writer.identity("order-1", None, "mail", "pay", 0), Kind.ENQ, 3)
    os._exit(0)
os.wait()
if os.fork() == 0:
    os._exit(0)
os.wait()
writer.record(identity, Kind.ENQ, 4)
"""
    in_fresh_interpreter(script, tmp_path)
    spools = read_spools(tmp_path)
    assert len(spools) == 2, "a fork that records nothing leaves nothing"
    assert len({spool.pid for spool in spools}) == 2
    found = sorted([(event.t1_ns, event.queue) for event in spool.events] for spool in spools)
    assert found == [[(1, "payments"), (4, "payments")], [(2, "payments"), (3, "mail")]]
    assert not any(spool.corrupt or spool.holes for spool in spools)


def test_a_full_disk_stops_the_recording_and_not_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = SpoolWriter(tmp_path, name="w", role="worker", slots=5)
    identity = writer.identity(str(uuid.uuid4()), None, "q", "a", 0)

    def no_space(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", no_space)
    for number in range(1, 13):
        writer.record(identity, Kind.END, number)
    killed_now = one(tmp_path)
    assert [event.t1_ns for event in killed_now.events] == [1, 2, 3, 4, 5]
    assert (killed_now.lost, killed_now.reason) == (
        7,
        "no space left on device for the recorder's spool",
    )
    writer.close()
    assert (one(tmp_path).lost, one(tmp_path).closed) == (7, True)


def test_a_disk_full_from_the_start_is_told_by_the_sidecar(tmp_path: Path) -> None:
    script = """
import resource, sys
from pathlib import Path
from perfkit.recorder import Kind, SpoolWriter
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
writer = SpoolWriter(Path(sys.argv[1]), name="w", role="worker")
identity = writer.identity("order-1", None, "q", "a", 0)
for number in range(3):
    writer.record(identity, Kind.END, number)
writer.close()
"""
    in_fresh_interpreter(script, tmp_path)
    contents = one(tmp_path)
    assert (contents.events, contents.lost) == ([], 3)
    assert contents.reason == "file too large for the recorder's spool"
    assert not list(tmp_path.glob("*.spool"))


@pytest.mark.parametrize("name", ["", "a/b", "a\0b"])
def test_a_name_that_no_file_can_have_is_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name"):
        SpoolWriter(tmp_path, name=name, role="worker")
