"""Whole loads of the closed model against a small server in the same loop."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from perfkit.load.arrivals import Segment, Think, user_spells
from tests.load.conftest import Run
from tests.load.loads import Load
from tests.load.servers import ACCEPTED, JobServer, Script, playing, says, stays, until
from tests.load.specs import MS, S, population, spec_for


def test_users_send_wait_think_and_send_again(run: Run, tmp_path: Path) -> None:
    async def check() -> None:
        server = JobServer()
        think = Think("uniform", 10 * MS, 30 * MS)
        more = {"model": "closed", "segments": population(20, 50 * MS), "think": think}
        async with server.listening() as url:
            spec = spec_for(tmp_path, url, **more)
            rows = await Load(spec).rows()
        assert server.connections == 20, "each user has a connection of its own"
        assert Counter(row["user"] for row in rows).keys() == set(range(20))
        ends: dict[tuple[int, int], int] = {(r["user"], r["iteration"]): r["done_ns"] for r in rows}
        for row in rows:
            assert row["key"] == f"7/u{row['user']}/{row['iteration']}"
            if row["iteration"]:
                pause = row["intended_ns"] - ends[row["user"], row["iteration"] - 1]
                assert 10 * MS <= pause <= 30 * MS
        assert len(rows) > 60
        assert [row["seq"] for row in rows] == list(range(len(rows)))

    run(check())


def test_users_come_and_go_with_the_population(run: Run, tmp_path: Path) -> None:
    async def check() -> None:
        server = JobServer()
        plan = (
            Segment(S // 10, 2.0, 2.0),
            Segment(S // 5, 10.0, 10.0),
            Segment(S // 10, 10.0, 0.0),
            Segment(S // 10, 0.0, 0.0),
            Segment(S // 10, 3.0, 3.0),
        )
        think = Think("constant", 10 * MS)
        async with server.listening() as url:
            spec = spec_for(tmp_path, url, model="closed", segments=plan, think=think, load_ns=S)
            rows = await Load(spec).rows()
        assert server.connections == 10, "who comes back has kept its connection"
        there = user_spells(plan)
        for row in rows:
            at_ns = row["intended_ns"] - spec.start_ns
            assert any(on_ns <= at_ns < off_ns for on_ns, off_ns in there[row["user"]])
        begins = [(spec.start_ns + on_ns, user) for user in range(10) for on_ns, _ in there[user]]
        assert set(begins) <= {(row["intended_ns"], row["user"]) for row in rows}
        assert [row["error"] for row in rows] == [None] * len(rows)
        for user in range(10):
            turns = [row["iteration"] for row in rows if row["user"] == user]
            assert turns == list(range(len(turns)))

    run(check())


def test_a_user_that_rested_for_long_finds_a_new_connection_open(run: Run, tmp_path: Path) -> None:
    """Its server has closed the old one meanwhile, or might in this moment: neither is an error."""

    async def check(folder: Path, idle_limit_ns: int, script: Script) -> None:
        folder.mkdir()
        plan = (Segment(S // 20, 3.0, 3.0), Segment(800 * MS, 1.0, 1.0), Segment(S, 3.0, 3.0))
        more = {"segments": plan, "load_ns": 900 * MS, "idle_limit_ns": idle_limit_ns}
        more |= {"model": "closed", "think": Think("constant", 10 * S)}
        async with playing(script) as port:
            load = Load(spec_for(folder, f"http://127.0.0.1:{port}", **more))
            rows = await load.rows()
        assert [(row["user"], row["iteration"]) for row in rows] == [
            *((0, 0), (1, 0), (2, 0)),
            *((1, 1), (2, 1)),
        ]
        assert [row["error"] for row in rows] == [None] * 5
        assert load.counts["blocked"] == 0, "it was opened ahead of the return"

    run(check(tmp_path / "closed", 1200 * MS, says(ACCEPTED)))
    run(check(tmp_path / "old", 600 * MS, stays(ACCEPTED, ACCEPTED)))


def test_users_may_share_few_connections(run: Run, tmp_path: Path) -> None:
    async def check() -> None:
        server = JobServer()
        more = {"model": "closed", "segments": population(20), "connections": 2, "load_ns": S // 10}
        async with server.listening() as url:
            load = Load(spec_for(tmp_path, url, **more))
            rows = await load.rows()
        assert server.connections == 2
        assert load.counts["blocked"] == sum(row["blocked_ns"] > 0 for row in rows) > 0
        assert load.counts["errored"] == 0

    run(check())


def test_back_to_back_users_keep_every_connection_busy(run: Run, tmp_path: Path) -> None:
    async def check() -> None:
        server = JobServer()
        async with server.listening() as url:
            more = {"model": "closed", "segments": population(4), "load_ns": S // 10}
            rows = await Load(spec_for(tmp_path, url, **more)).rows()
        ends = {(row["user"], row["iteration"]): row["done_ns"] for row in rows}
        again = [row for row in rows if row["iteration"]]
        assert again
        assert all(row["intended_ns"] == ends[row["user"], row["iteration"] - 1] for row in again)

    run(check())


def test_users_go_on_after_errors(tmp_path: Path) -> None:
    async def check() -> None:
        async with playing(says(b""), says(ACCEPTED)) as port:
            more = {
                "model": "closed",
                "segments": population(1),
                "think": Think("constant", 10 * MS),
            }
            url = f"http://127.0.0.1:{port}"
            rows = await Load(spec_for(tmp_path, url, **more)).rows()
        assert [row["iteration"] for row in rows] == list(range(len(rows)))
        assert rows[0]["error"] == "reset"
        assert rows[1]["status"] == 202

    asyncio.run(check())


def test_pacing_sends_on_time_though_a_reply_is_missing(run: Run, tmp_path: Path) -> None:
    async def check() -> None:
        server = JobServer()
        server.hold()
        more = {"model": "closed", "segments": population(2, 40 * MS), "pacing_ns": 40 * MS}
        async with server.listening() as url:
            spec = spec_for(tmp_path, url, **more)
            load = Load(spec)
            await until(lambda: len(server.requests) == 10, 5, "all instants came due")
            server.release()
            rows = await load.rows()
        assert [row["intended_ns"] - spec.start_ns for row in rows] == [
            n * 20 * MS for n in range(10)
        ]

    run(check())
