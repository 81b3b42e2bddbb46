"""The ledger and what is made of it."""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from perfkit.errors import ResultsNotWritable
from perfkit.load.exchange import ErrorKind, Exchange
from perfkit.load.happenings import write_whole
from perfkit.load.ledger import Ledger
from perfkit.load.rows import finish, new_ledger, read_ledger, recover, summarize
from perfkit.recorder.draws import job_id
from perfkit.records import REQUESTS
from tests.load.specs import MS, S, population, read_requests, spec_for
from tests.waiting import wait_until


def exchange(error: ErrorKind | None = None, **fields: int) -> Exchange:
    made = Exchange(b"", print, 1)
    made.error = error
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def filled(ledger: Ledger) -> None:
    """One row of each fate, intended at 1 s."""
    fates = [
        exchange(sent_ns=S + 1, first_byte_ns=S + 5, done_ns=S + 9, status=202),
        exchange(sent_ns=S + 11 * MS, first_byte_ns=S + 12 * MS, done_ns=S + 13 * MS, status=503),
        exchange(ErrorKind.TIMEOUT, sent_ns=S + 3, first_byte_ns=S + 4),
        exchange(ErrorKind.UNSENT),
        exchange(sent_ns=S + 40 * MS, blocked_ns=39 * MS, done_ns=S + 41 * MS, status=200),
    ]
    for number, fate in enumerate(fates):
        ledger.ended(ledger.plan(S, -1, -1, number % 3), fate)
    ledger.plan(S, -1, -1, 0)  # dropped
    ledger.sent(ledger.plan(S, -1, -1, 1), S + 7)  # in flight when it ended


def test_rows_become_the_documented_table(tmp_path: Path) -> None:
    ledger = new_ledger(spec_for(tmp_path, trial=5))
    filled(ledger)
    ledger.close()
    finish(tmp_path, read_ledger(tmp_path), {"interrupted": False})
    with pa.ipc.open_file(str(tmp_path / "requests.arrow")) as reader:
        assert reader.schema == REQUESTS
        reader.read_all().validate(full=True)
    rows = read_requests(tmp_path)
    assert [row["seq"] for row in rows] == list(range(7))
    assert [row["key"] for row in rows] == [f"7/{n}" for n in range(7)]
    assert [row["job_id"] for row in rows] == [job_id("n0", f"7/{n}") for n in range(7)]
    assert [row["status"] for row in rows] == [202, 503, None, None, 200, None, None]
    assert [row["error"] for row in rows] == [
        *(None, None, "timeout", "unsent"),
        *(None, None, "abandoned"),
    ]
    assert [row["queue"] for row in rows][:3] == ["payments", "notifications", "webhooks"]
    assert {row["trial"] for row in rows} == {5}
    assert {(row["user"], row["iteration"]) for row in rows} == {(None, None)}
    assert [row["sent_ns"] is None for row in rows] == [False] * 3 + [True, False, True, False]
    assert [row["done_ns"] is None for row in rows] == [False] * 2 + [True] * 2 + [
        False,
        True,
        True,
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generator.json", "requests.arrow"]


def test_the_counts_balance(tmp_path: Path) -> None:
    ledger = new_ledger(spec_for(tmp_path))
    filled(ledger)
    ledger.close()
    counts = summarize(read_ledger(tmp_path))
    assert counts["planned"] == counts["sent"] + counts["dropped"] == 7
    assert counts["sent"] == counts["accepted"] + counts["refused"] + counts["errored"] == 5
    assert (counts["accepted"], counts["refused"], counts["errored"]) == (2, 1, 2)
    assert counts["errors"] == {"abandoned": 1, "timeout": 1}
    assert counts["late"] == 1, "the time blocked is not lateness"
    assert counts["blocked"] == 1
    assert counts["send_lag_ns"] == {"p50": 7, "p99": 11 * MS, "max": 11 * MS}


def test_percentiles_of_the_lag_are_exact(tmp_path: Path) -> None:
    ledger = new_ledger(spec_for(tmp_path))
    lags = np.random.Generator(np.random.PCG64(1)).integers(0, 5 * MS, 1000)
    for lag in lags.tolist():
        ledger.sent(ledger.plan(S, -1, -1, 0), S + lag)
    ledger.close()
    lag_ns = summarize(read_ledger(tmp_path))["send_lag_ns"]
    ordered = sorted(lags.tolist())
    assert lag_ns == {"p50": ordered[499], "p99": ordered[989], "max": ordered[999]}


def test_a_load_without_requests_has_no_lag(tmp_path: Path) -> None:
    new_ledger(spec_for(tmp_path)).close()
    counts = summarize(read_ledger(tmp_path))
    assert counts["planned"] == 0
    assert counts["send_lag_ns"] == {"p50": None, "p99": None, "max": None}
    finish(tmp_path, read_ledger(tmp_path), {})
    assert read_requests(tmp_path) == []


def test_users_and_shards_are_told_apart(tmp_path: Path) -> None:
    spec = spec_for(
        tmp_path, model="closed", segments=population(2**20), max_in_flight=2**21, shard=1, shards=4
    )
    ledger = new_ledger(spec)
    ledger.plan(S, 2**20 - 1, 2**30, 2)
    ledger.plan(S, 0, 0, 0)
    ledger.close()
    finish(tmp_path, read_ledger(tmp_path), {})
    first, second = read_requests(tmp_path)
    assert (first["user"], first["iteration"], first["seq"]) == (2**20 - 1, 2**30, 1)
    assert first["key"] == f"7/u{2**20 - 1}/{2**30}"
    assert (second["user"], second["iteration"], second["seq"]) == (0, 0, 5)


def test_a_ledger_grows_without_losing_a_row(tmp_path: Path) -> None:
    ledger = new_ledger(spec_for(tmp_path))
    for number in range(40_000):
        ledger.plan(number + 1, -1, -1, 0)
    ledger.close()
    words = read_ledger(tmp_path).words
    assert np.array_equal(words[:, 0], np.arange(1, 40_001))


def test_ids_that_the_application_chose_take_the_place_of_the_planned(tmp_path: Path) -> None:
    ledger = new_ledger(spec_for(tmp_path))
    for _ in range(3):
        ledger.plan(S, -1, -1, 0)
    ledger.close()
    (tmp_path / "requests.ids").write_text("1 their own id\n2 cut o")
    assert recover(tmp_path)
    ids = [row["job_id"] for row in read_requests(tmp_path)]
    assert ids == [job_id("n0", "7/0"), "their own id", job_id("n0", "7/2")]


def test_recovering_works_once_and_says_what_is_unknown(tmp_path: Path) -> None:
    ledger = new_ledger(spec_for(tmp_path))
    filled(ledger)
    ledger.close()
    (tmp_path / "requests.arrow.7.tmp").write_bytes(b"killed while it wrote")
    assert recover(tmp_path)
    assert not list(tmp_path.glob("*.tmp"))
    summary: dict[str, Any] = json.loads((tmp_path / "generator.json").read_text())
    assert (summary["planned"], summary["interrupted"], summary["cpu_ns"]) == (7, True, None)
    assert not recover(tmp_path)


def test_what_a_blocked_request_waited_is_kept_when_it_is_sent(tmp_path: Path) -> None:
    ledger = new_ledger(spec_for(tmp_path))
    ledger.sent(ledger.plan(S, -1, -1, 0), S + 40 * MS, 39 * MS)
    ledger.close()
    assert summarize(read_ledger(tmp_path))["send_lag_ns"]["max"] == MS


def test_recovering_waits_for_a_writer_that_finishes_and_leaves_it_the_work(tmp_path: Path) -> None:
    ledger = new_ledger(spec_for(tmp_path))
    filled(ledger)
    done: list[bool] = []
    recovering = Thread(target=lambda: done.append(recover(tmp_path, 10)))
    recovering.start()
    path = str(tmp_path / "requests.ledger")
    wait_until(lambda: path in _open_files(2), 5, "both have the ledger open")
    finish(tmp_path, read_ledger(tmp_path), {"interrupted": False})
    assert not done, "it waits while the writer has the ledger"
    ledger.close()
    recovering.join(5)
    assert done == [False]
    assert json.loads((tmp_path / "generator.json").read_text())["interrupted"] is False


def _open_files(times: int) -> set[str]:
    """Files that this process has open so many times."""
    found: Counter[str] = Counter()
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found[str(entry.readlink())] += 1
    return {name for name, count in found.items() if count > times}


def test_a_writer_that_does_not_end_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    ledger = new_ledger(spec_for(tmp_path))
    filled(ledger)
    assert recover(tmp_path, 0.05)
    assert len(read_requests(tmp_path)) == 7
    ledger.close()


def test_two_may_finish_the_same_ledger(tmp_path: Path) -> None:
    ledger = new_ledger(spec_for(tmp_path))
    filled(ledger)
    rows = read_ledger(tmp_path)
    assert recover(tmp_path, 0)
    finish(tmp_path, rows, {"interrupted": False})
    ledger.close()
    assert len(read_requests(tmp_path)) == 7
    assert sorted(path.name for path in tmp_path.iterdir()) == ["generator.json", "requests.arrow"]


def test_a_full_disk_is_refused_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(ResultsNotWritable, match="No space left"):
        new_ledger(spec_for(tmp_path))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsNotWritable, match="No such file"):
        new_ledger(spec_for(tmp_path / "none"))


def test_what_is_no_ledger_is_refused(tmp_path: Path) -> None:
    (tmp_path / "requests.ledger").write_bytes(b"something else")
    with pytest.raises(ValueError, match="Expecting value"):
        recover(tmp_path)


def test_a_ledger_of_which_not_even_the_first_page_was_written_holds_no_row(
    tmp_path: Path,
) -> None:
    for size in (0, 1 << 20):
        (tmp_path / "requests.ledger").write_bytes(b"\0" * size)
        assert not recover(tmp_path)
        assert list(tmp_path.iterdir()) == []


def test_a_record_that_the_disk_took_in_part_is_an_error_and_not_the_next_ones(
    tmp_path: Path,
) -> None:
    reading, writing = os.pipe2(os.O_NONBLOCK)
    try:
        with pytest.raises(ResultsNotWritable, match="No space left"):
            write_whole(writing, tmp_path, bytes(1 << 20))
    finally:
        os.close(reading)
        os.close(writing)
