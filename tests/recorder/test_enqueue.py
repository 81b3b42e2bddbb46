"""Load straight into the queues: a child imports the application and enqueues a plan."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic_ns
from typing import Any

import pytest
import redis

from perfkit.load.arrivals import Segment
from perfkit.load.rows import recover
from perfkit.load.spec import JobShare
from perfkit.load.straight import ActorCall, write_plan
from perfkit.recorder import Event
from perfkit.recorder.draws import job_id
from perfkit.recorder.events import Kind
from tests.load.specs import MS, S, read_requests, spec_for
from tests.waiting import wait_until

Child = Callable[..., subprocess.Popen[str]]
Start = Callable[..., "Enqueuing"]

CALLS = (
    ActorCall("pay", [{"seeded": "int", "low": 1, "high": 9}], {}),
    ActorCall("write", [], {"text": {"seeded": "key"}}),
)


class Enqueuing:
    """The child, and the pipe through which it is told to go."""

    def __init__(self, process: subprocess.Popen[str], lifeline: int, folder: Path) -> None:
        self.process = process
        self._lifeline = lifeline
        self.folder = folder

    def go(self, start_ns: int | None = None) -> int:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert json.loads(line or "{}") == {"loaded": True}, self.process.communicate()[1]
        start_ns = start_ns or monotonic_ns() + 50 * MS
        os.write(self._lifeline, b"%d\n" % start_ns)
        return start_ns

    def let_go(self) -> None:
        if self._lifeline >= 0:
            os.close(self._lifeline)
            self._lifeline = -1

    def ended(self) -> list[dict[str, Any]]:
        """What it said until its end."""
        out, err = self.process.communicate(timeout=30)
        assert self.process.returncode == 0, err
        return [json.loads(line) for line in out.splitlines()]

    def rows(self) -> list[dict[str, Any]]:
        assert recover(self.folder)
        return read_requests(self.folder)

    def summary(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "generator.json").read_text())
        return found


@pytest.fixture
def start(child: Child, shop: Path, tmp_path: Path) -> Iterator[Start]:
    """Start the child with a plan: by default 100 jobs/s for 0.3 s, payments and mail."""
    begun: list[Enqueuing] = []

    def begin(*, calls: tuple[ActorCall, ...] = CALLS, **spec: Any) -> Enqueuing:
        folder = tmp_path / "trial"
        folder.mkdir()
        fields = {
            "base_url": "",
            "start_ns": 0,
            "load_ns": 300 * MS,
            "segments": (Segment(300 * MS, 100.0, 100.0),),
            "jobs": (JobShare("payments", 2), JobShare("mail", 1)),
            "grace_ns": S,
        }
        write_plan(spec_for(folder, **(fields | spec)), calls)
        read_end, write_end = os.pipe()
        process = child(
            "perfkit.recorder.enqueue", "--broker", "shop:broker", "--path", shop,
            "--spool", tmp_path / "spool", "--plan", folder, "--lifeline-fd", read_end,
            fds=(read_end,),
        )  # fmt: skip
        os.close(read_end)
        begun.append(Enqueuing(process, write_end, folder))
        return begun[-1]

    yield begin
    for each in begun:
        each.let_go()


Events = Callable[..., list[Event]]


def test_every_planned_job_is_enqueued_once_at_its_instant(
    start: Start, clean_redis: str, events: Events
) -> None:
    enqueuing = start()
    start_ns = enqueuing.go()
    said = enqueuing.ended()
    assert said[-1] == {"finished": True, "interrupted": False}
    rows = enqueuing.rows()
    assert [row["intended_ns"] - start_ns for row in rows] == [n * 10 * MS for n in range(30)]
    assert [row["key"] for row in rows] == [f"7/{n}" for n in range(30)]
    assert {row["status"] for row in rows} == {202}
    assert all(row["intended_ns"] <= row["sent_ns"] <= row["done_ns"] for row in rows)
    # Requests and jobs join: the ids are those of the plan, in the rows, the records and Redis.
    ids = [job_id("n0", f"7/{n}") for n in range(30)]
    assert [row["job_id"] for row in rows] == ids
    assert [event.message_id for event in events(Kind.ENQ)] == ids
    with redis.Redis.from_url(clean_redis) as client:
        bodies = [
            json.loads(body)
            for queue in ("payments", "mail")
            for body in client.hvals(f"dramatiq:{queue}.msgs")
        ]
    assert {body["message_id"]: body["queue_name"] for body in bodies} == {
        row["job_id"]: row["queue"] for row in rows
    }
    keys = {row["job_id"]: row["key"] for row in rows}
    for body in bodies:
        if body["actor_name"] == "pay":
            assert 1 <= body["args"][0] <= 9
        else:
            assert body["kwargs"] == {"text": keys[body["message_id"]]}


def test_its_own_words_are_not_mixed_with_those_of_the_application(
    start: Start, shop: Path
) -> None:
    with (shop / "shop.py").open("a") as module:
        module.write("print('hello from the application')\n")
    enqueuing = start()
    enqueuing.go()
    assert enqueuing.ended()[-1]["finished"]


def test_what_it_cost_is_told_as_the_generator_tells_it(start: Start) -> None:
    enqueuing = start()
    enqueuing.go()
    enqueuing.ended()
    enqueuing.rows()
    summary = enqueuing.summary()
    assert (summary["planned"], summary["accepted"], summary["interrupted"]) == (30, 30, False)
    assert summary["wall_ns"] > 200 * MS
    assert 0 < summary["cpu_ns"] < summary["wall_ns"]


def test_users_with_a_pacing_send_at_fixed_instants(start: Start) -> None:
    enqueuing = start(model="closed", pacing_ns=100 * MS, segments=(Segment(300 * MS, 2.0, 2.0),))
    start_ns = enqueuing.go()
    enqueuing.ended()
    rows = enqueuing.rows()
    assert sorted((row["user"], row["iteration"]) for row in rows) == [
        (user, turn) for user in range(2) for turn in range(3)
    ]
    assert all(row["intended_ns"] == start_ns + row["iteration"] * 100 * MS for row in rows)
    assert {row["job_id"] for row in rows} == {
        job_id("n0", f"7/u{user}/{turn}") for user in range(2) for turn in range(3)
    }


SLOW = """
import pathlib

class Slow(dramatiq.Middleware):
    calls = 0
    def before_enqueue(self, broker, message, delay):
        Slow.calls += 1
        if Slow.calls == 1:
            # A pipe is at its end when the test has opened it and let go of it.
            pathlib.Path(__file__).with_name("held").read_bytes()
        if Slow.calls == 3:
            raise dramatiq.middleware.MiddlewareError("not this one")

broker.add_middleware(Slow())
"""


def test_a_call_that_takes_long_is_no_lag_of_our_own_and_one_that_raises_is_an_error(
    start: Start, shop: Path
) -> None:
    with (shop / "shop.py").open("a") as module:
        module.write(SLOW)
    os.mkfifo(shop / "held")
    enqueuing = start()
    start_ns = enqueuing.go()
    wait_until(lambda: monotonic_ns() > start_ns + 200 * MS, 5, "the first call takes its time")
    (shop / "held").write_bytes(b"")
    enqueuing.ended()
    rows = enqueuing.rows()
    assert len(rows) == 30
    # The second waits for the first; its own lag is what is left.
    assert rows[1]["blocked_ns"] > 150 * MS
    late = [row["sent_ns"] - row["intended_ns"] - row["blocked_ns"] for row in rows]
    assert min(late) >= 0
    assert rows[1]["sent_ns"] - rows[1]["intended_ns"] > 150 * MS
    assert late[1] < 150 * MS
    assert [(row["status"], row["error"]) for row in rows[:3]] == [
        (202, None), (202, None), (None, "raised"),
    ]  # fmt: skip
    summary = enqueuing.summary()
    assert (summary["sent"], summary["accepted"], summary["errored"]) == (30, 29, 1)


@pytest.mark.parametrize("by", ["a signal", "the end of the lifeline"])
def test_told_to_stop_it_sends_nothing_more_and_keeps_its_rows(start: Start, by: str) -> None:
    enqueuing = start(load_ns=60 * S, segments=(Segment(60 * S, 100.0, 100.0),))
    enqueuing.go()
    spool = enqueuing.folder.parent / "spool"
    wait_until(lambda: list(spool.glob("*.jsonl")), 10, "it records")
    if by == "a signal":
        enqueuing.process.send_signal(signal.SIGTERM)
    else:
        enqueuing.let_go()
    assert enqueuing.ended()[-1] == {"finished": True, "interrupted": True}
    assert len(enqueuing.rows()) < 6000
    assert enqueuing.summary()["interrupted"]


def test_killed_its_rows_are_there(start: Start, events: Events) -> None:
    enqueuing = start(load_ns=60 * S, segments=(Segment(60 * S, 200.0, 200.0),))
    enqueuing.go()
    assert enqueuing.process.stdout is not None
    while json.loads(enqueuing.process.stdout.readline()).get("sent", 0) < 20:
        pass
    enqueuing.process.kill()
    enqueuing.process.wait()
    rows = enqueuing.rows()
    assert len([row for row in rows if row["status"] == 202]) >= 20
    recorded = {event.message_id for event in events(Kind.ENQ)}
    assert {row["job_id"] for row in rows if row["status"] == 202} <= recorded
    assert enqueuing.summary()["cpu_ns"] is None


def test_an_application_that_can_not_be_imported_is_refused_in_its_own_words(
    start: Start, shop: Path
) -> None:
    (shop / "shop.py").write_text("raise OSError('no config')\n")
    out, err = start().process.communicate(timeout=20)
    assert out == ""
    assert "OSError: no config" in err
