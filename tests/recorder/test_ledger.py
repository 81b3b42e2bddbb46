"""The recorder's writer of rows leaves the bytes that the load generator's leaves."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from pathlib import Path

import pytest

from perfkit.load.exchange import ErrorKind, Exchange
from perfkit.load.ledger import ERROR_KINDS, HEADER_BYTES, WORDS
from perfkit.load.ledger import Ledger as GeneratorLedger
from perfkit.load.rows import read_ledger
from perfkit.recorder.ledger import Ledger

HEADER = {"version": 1, "queues": ["images", "mail"]}
QUEUES, USERS, TURNS = [0, 1, 1, 0, 1], [-1, 0, 5, 2, 7], [-1, 3, 0, 2**31, 9]
INTENDED = [1_000, 2_000, 3_000, 4_000, 5_000]
UNSENT, RAISED = (ERROR_KINDS.index(kind) + 1 for kind in (ErrorKind.UNSENT, ErrorKind.RAISED))


def by_the_generator(path: Path) -> None:
    ledger = GeneratorLedger(path, HEADER)
    places = [
        ledger.plan(intended, user, turn, queue)
        for intended, user, turn, queue in zip(INTENDED, USERS, TURNS, QUEUES, strict=True)
    ]
    fates: list[Callable[[], Exchange | None]] = [
        lambda: exchange(sent_ns=1_100, done_ns=1_900, blocked_ns=0, status=202),
        lambda: exchange(ErrorKind.RAISED, sent_ns=2_500, blocked_ns=400),
        lambda: exchange(ErrorKind.UNSENT),
        lambda: None,
        lambda: None,
    ]
    for place, fate in zip(places, fates, strict=True):
        if (ended := fate()) is not None:
            ledger.ended(place, ended)
    ledger.sent(places[3], 4_200, 7)  # and nothing more was heard of it
    ledger.close()


def exchange(error: ErrorKind | None = None, **fields: int) -> Exchange:
    made = Exchange(b"", print, 1)
    made.error = error
    for name, value in fields.items():
        setattr(made, name, value)
    return made


def by_the_recorder(path: Path) -> None:
    ledger = Ledger(path, HEADER, array("q", QUEUES), array("q", USERS), array("q", TURNS))
    ledger.begin(array("q", INTENDED))
    ledger.sent(0, 1_100, 0)
    ledger.accepted(0, 1_900, 202)
    ledger.sent(1, 2_500, 400)
    ledger.failed(1, RAISED)
    ledger.failed(2, UNSENT)
    ledger.sent(3, 4_200, 7)
    ledger.due(4)
    ledger.close()


def test_both_writers_leave_the_same_bytes(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    by_the_generator(one)
    by_the_recorder(other)
    size = HEADER_BYTES + len(INTENDED) * WORDS * 8
    assert other.read_bytes() == one.read_bytes()[:size]


def test_a_row_that_did_not_come_due_is_not_there(tmp_path: Path) -> None:
    ledger = Ledger(
        tmp_path / "requests.ledger",
        HEADER,
        array("q", QUEUES),
        array("q", USERS),
        array("q", TURNS),
    )
    ledger.begin(array("q", INTENDED))
    ledger.sent(0, 1_100, 0)
    ledger.due(1)
    rows = read_ledger(tmp_path)  # as a repair would, with the writer killed
    assert rows.words[:, 0].tolist() == [1_000, 2_000]
    assert rows.sent_ns.tolist() == [1_100, 0]
    ledger.close()


def test_a_plan_without_jobs_is_a_ledger_without_rows(tmp_path: Path) -> None:
    Ledger(tmp_path / "requests.ledger", HEADER, array("q"), array("q"), array("q")).close()
    assert len(read_ledger(tmp_path).words) == 0


def test_a_header_that_has_no_room_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="header holds"):
        Ledger(tmp_path / "x", {"queues": ["q" * HEADER_BYTES]}, array("q"), array("q"), array("q"))
    assert not list(tmp_path.iterdir())
