"""The gateway's log keeps every call, also when the disk does not."""

from __future__ import annotations

import asyncio
import csv
import errno
import os
from pathlib import Path

import pytest

from tests.waiting import wait_until
from workers.calls import Call, CallLog

CALL = Call("1/0", "payments", 0, 10, 30, 20, 200, 1, "id-0")


def rows(path: Path) -> list[list[str]]:
    with path.open(newline="") as log:
        return list(csv.reader(log))


def add(log: CallLog, *calls: Call) -> None:
    async def run() -> None:
        for call in calls:
            log.add(call)

    asyncio.run(run())


def test_a_new_log_starts_with_its_columns(tmp_path: Path) -> None:
    CallLog(tmp_path / "log.csv").close()
    columns = "key,queue,attempt,received_ns,answered_ns,delay_ns,status,charged,job_id\n"
    assert (tmp_path / "log.csv").read_text() == columns


def test_a_log_that_is_opened_again_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    for _ in range(2):
        log = CallLog(path)
        add(log, CALL)
        log.close()
    assert rows(path) == [list(Call._fields)] + 2 * [[str(value) for value in CALL]]


def test_any_key_comes_back_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    odd = 'a,"b" ö'
    log = CallLog(path)
    add(log, CALL._replace(key=odd))
    log.close()
    assert rows(path)[1][0] == odd


def test_a_call_is_written_without_another_one_following(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    log = CallLog(path)

    def is_written() -> bool:
        return len(rows(path)) == 2

    async def run() -> None:
        log.add(CALL)
        await asyncio.to_thread(wait_until, is_written, 5, "the call is in the file")

    asyncio.run(run())
    log.close()


def test_what_a_full_disk_refused_is_said_and_written_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "log.csv"
    log = CallLog(path)
    write = os.write
    room = 7  # bytes that still fit: the line is torn in two

    def full(fd: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(fd, data[:room])
        room -= written
        return written

    monkeypatch.setattr(os, "write", full)
    add(log, CALL)
    log.flush()
    monkeypatch.undo()
    assert "bytes wait: No space left on device" in capsys.readouterr().err
    log.close()
    assert rows(path)[1:] == [[str(value) for value in CALL]]
