"""Whole loads against a small server in the same loop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import socket
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from time import monotonic_ns
from typing import Any

from perfkit.load.arrivals import Burst, Segment
from perfkit.load.demand import demand_of
from perfkit.load.rows import read_ledger, summarize
from perfkit.load.spec import LoadSpec
from perfkit.recorder.draws import job_id
from tests.conftest import free_port
from tests.load.conftest import Run
from tests.load.loads import Load, Rows
from tests.load.servers import (
    ACCEPTED,
    JobServer,
    playing,
    read_request,
    says,
    until,
)
from tests.load.specs import MS, S, population, spec_for

RATE_200 = (Segment(S, 200.0, 200.0),)


def test_what_is_due_goes_out_before_replies_that_lie_unread(run: Run, tmp_path: Path) -> None:
    """Whatever order the loop has found them in: the timer may well be the last."""

    async def check() -> None:
        replies, peers = 12, []
        with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
            url = f"http://127.0.0.1:{listener.getsockname()[1]}"
            # All at once, and one that comes due while their replies lie in the sockets.
            crowd = Segment(100 * MS, 0.0, 0.0, burst=Burst(replies, 100 * MS))
            last = Segment(100 * MS, 0.0, 0.0, burst=Burst(1, 100 * MS))
            spec = spec_for(tmp_path, url, segments=(crowd, last), connections=64)
            load = Load(spec)
            listener.setblocking(False)

            def accept() -> None:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        peers.append(listener.accept()[0])

            def all_asked() -> bool:
                accept()
                return sum(map(_has_request, peers)) >= replies

            await until(all_asked, 10, "all have asked")
            for peer in peers:
                if _has_request(peer):
                    peer.recv(4096)
                    peer.send(ACCEPTED)
            while monotonic_ns() < spec.start_ns + 105 * MS:
                pass  # the loop stands still: replies have come, and the last request is due

            def answered() -> bool:
                accept()
                for peer in peers:
                    if _has_request(peer) and peer.recv(4096):
                        peer.send(ACCEPTED)
                return load.task.done()

            await until(answered, 15, "all are answered")
            rows = await load.rows()
            for peer in peers:
                peer.close()
        before = sum(row["done_ns"] <= rows[-1]["sent_ns"] for row in rows[:-1])
        assert len(rows) == replies + 1
        assert before <= 1

    run(check())


def _has_request(peer: socket.socket) -> bool:
    try:
        return bool(peer.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
    except BlockingIOError:
        return False


def test_an_open_load_sends_its_whole_schedule_with_the_keys_of_the_plan(
    run: Run, tmp_path: Path
) -> None:
    async def check() -> None:
        server = JobServer()
        async with server.listening() as url:
            spec = spec_for(tmp_path, url, segments=RATE_200, nonce="trial-nonce")
            load = Load(spec)
            rows = await load.rows()
        assert [row["key"] for row in rows] == [f"7/{seq}" for seq in range(40)]
        assert [row["intended_ns"] - spec.start_ns for row in rows] == [
            n * 5 * MS for n in range(40)
        ]
        assert [row["status"] for row in rows] == [202] * 40
        assert sorted(server.keys) == sorted(row["key"] for row in rows)
        by_name = dict(zip(server.names, server.keys, strict=True))
        assert by_name == {job_id("trial-nonce", key): key for key in server.keys}
        assert {row["job_id"]: row["queue"] for row in rows} == dict(
            zip(server.names, server.queues, strict=True)
        )
        assert load.cost is not None
        assert load.cost.wall_ns > 0
        assert load.cost.cpu_ns > 0

    run(check())


def test_requests_look_as_the_sample_system_wants_them(tmp_path: Path) -> None:
    async def check() -> None:
        server = JobServer()
        async with server.listening() as url:
            await Load(spec_for(tmp_path, url, segments=RATE_200)).rows()
        for request, queue in zip(server.requests, server.queues, strict=True):
            head, _, body = request.partition(b"\r\n\r\n")
            assert b"\r\nContent-Type: application/json\r\n" in head
            job = json.loads(body)
            assert ("amount" in job) == (queue == "payments")
            if queue == "payments":
                assert isinstance(job["amount"], int)
                assert job["amount"] > 0

    asyncio.run(check())


def test_draws_are_the_same_whatever_the_order_of_sending(tmp_path: Path) -> None:
    """One shard after the other sends the same jobs as all at once: nothing hangs on arrival."""

    async def sent(folder: Path, shards: int) -> set[bytes]:
        server = JobServer()
        async with server.listening() as url:
            for shard in reversed(range(shards)):
                part = folder / str(shard)
                part.mkdir(parents=True)
                more = {"segments": RATE_200, "load_ns": S // 10, "shard": shard, "shards": shards}
                await Load(spec_for(part, url, **more)).rows()
        return {request.replace(url.encode()[7:], b"host") for request in server.requests}

    async def check() -> None:
        assert await sent(tmp_path / "one", 1) == await sent(tmp_path / "three", 3)

    asyncio.run(check())


def test_a_row_leaves_nothing_in_memory(tmp_path: Path) -> None:
    """Without the collector, as in a load: 2,000 more rows may not cost 16 KiB."""

    async def forever(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            writer.write(ACCEPTED)

    async def check() -> None:
        async with playing(forever) as port:
            more = {"model": "closed", "segments": population(8), "load_ns": 60 * S}
            load = Load(spec_for(tmp_path, f"http://127.0.0.1:{port}", **more))
            await until(lambda: load.ledger.rows >= 500, 20, "the load has settled")
            before = tracemalloc.get_traced_memory()[0]
            await until(lambda: load.ledger.rows >= 2500, 20, "2,000 more rows are there")
            grown = tracemalloc.get_traced_memory()[0] - before
            load.generator.stop()
            await load.rows()
        assert grown < 16 * 1024

    gc.collect()
    gc.disable()
    tracemalloc.start()
    try:
        asyncio.run(check())
    finally:
        tracemalloc.stop()
        gc.enable()


def test_a_request_beyond_the_cap_is_dropped_and_never_sent_later(run: Run, tmp_path: Path) -> None:
    async def check() -> None:
        server = JobServer()
        server.hold()
        async with server.listening() as url:
            load = Load(spec_for(tmp_path, url, segments=RATE_200, max_in_flight=5))
            await until(lambda: load.ledger.rows == 40, 5, "all requests came due")
            server.release()
            rows = await load.rows()
        assert [row["sent_ns"] is not None for row in rows] == [True] * 5 + [False] * 35
        assert load.counts["dropped"] == 35
        assert sorted(server.keys) == sorted(row["key"] for row in rows[:5])
        assert {row["error"] for row in rows} == {None}

    run(check())


def test_a_request_that_had_to_wait_is_noted_as_sent_when_it_is_sent(
    run: Run, tmp_path: Path
) -> None:
    """Not only when it has its end: a killed generator's rows tell what had left."""

    async def check() -> None:
        server = JobServer()
        server.hold()

        def reply_once(name: str) -> bytes:
            server.hold()
            return json.dumps({"id": name}).encode()

        server.reply = reply_once
        async with server.listening() as url:
            spec = spec_for(tmp_path, url, segments=RATE_200, connections=1, grace_ns=50 * MS)
            load = Load(spec)
            await until(lambda: load.ledger.rows >= 3, 5, "three requests came due")
            server.release()
            await until(lambda: len(server.requests) == 2, 5, "the second was sent, unanswered")
            killed_now = read_ledger(tmp_path)
            assert (killed_now.sent_ns != 0).nonzero()[0].tolist() == [0, 1]
            assert killed_now.words[1, 3] == 0
            assert killed_now.words[1, 4] > 0
            assert summarize(killed_now)["errors"] == {"abandoned": 1}
            rows = await load.rows()
        assert rows[1]["sent_ns"] == killed_now.sent_ns[1]

    run(check())


def test_a_stalled_server_makes_latency_from_the_intended_time_large(
    run: Run, tmp_path: Path
) -> None:
    """No coordinated omission: what could not be sent meanwhile counts from when it was due."""

    async def check() -> None:
        server = JobServer()
        server.hold()
        async with server.listening() as url:
            spec = spec_for(tmp_path, url, segments=RATE_200, connections=1)
            load = Load(spec)
            await until(lambda: load.ledger.rows == 40, 5, "all requests came due")
            released_ns = monotonic_ns()
            server.release()
            rows = await load.rows()
        for row in rows:
            assert row["done_ns"] - row["intended_ns"] >= released_ns - row["intended_ns"]
        for row in rows[1:]:
            assert row["sent_ns"] >= released_ns
            assert row["blocked_ns"] >= released_ns - row["sent_ns"] + row["blocked_ns"]
            own_lag = row["sent_ns"] - row["intended_ns"] - row["blocked_ns"]
            assert 0 <= own_lag < row["blocked_ns"] + 100 * MS
        assert load.counts["blocked"] >= 39
        from_intended = [row["done_ns"] - row["intended_ns"] for row in rows]
        assert from_intended[1] > 150 * MS, "due at 5 ms, and held until all 200 ms were over"

    run(check())


def test_what_comes_due_while_the_loop_is_away_is_sent_and_not_forgiven(tmp_path: Path) -> None:
    async def check() -> None:
        server = JobServer()
        async with server.listening() as url:
            spec = spec_for(tmp_path, url, segments=RATE_200)
            load = Load(spec)
            await until(lambda: load.ledger.rows >= 5, 5, "load has begun")
            while monotonic_ns() < spec.end_ns:  # the loop stands still, the schedule does not
                pass
            rows = await load.rows()
        assert len(rows) == 40
        assert load.counts["dropped"] == 0
        assert load.counts["late"] >= 10
        assert [row["intended_ns"] - spec.start_ns for row in rows] == [
            n * 5 * MS for n in range(40)
        ]

    asyncio.run(check())


def _each_ends_as(error: str) -> Callable[[Rows], None]:
    def check(rows: Rows) -> None:
        assert {row["error"] for row in rows} == {error}
        assert all(row["sent_ns"] is not None and row["done_ns"] is None for row in rows)
        assert {row["status"] for row in rows} == {None}

    return check


def test_errors_are_named_and_never_hang(run: Run, tmp_path: Path) -> None:
    async def one(name: str, url: str, **more: Any) -> tuple[Rows, dict[str, Any]]:
        folder = tmp_path / name
        folder.mkdir()
        load = Load(spec_for(folder, url, segments=RATE_200, load_ns=S // 20, **more))
        return await load.rows(), load.counts

    async def check() -> None:
        rows, counts = await one("connect", f"http://127.0.0.1:{free_port()}")
        _each_ends_as("connect")(rows)
        assert counts["errors"] == {"connect": 10}
        async with playing(says(b"")) as port:
            _each_ends_as("reset")((await one("reset", f"http://127.0.0.1:{port}"))[0])
        async with playing(says(b"no HTTP\r\n\r\n")) as port:
            _each_ends_as("protocol")((await one("protocol", f"http://127.0.0.1:{port}"))[0])
        server = JobServer()
        server.hold()
        async with server.listening() as url:
            _each_ends_as("timeout")((await one("timeout", url, timeout_ns=100 * MS))[0])
            rows, _ = await one("abandoned", url, grace_ns=50 * MS)
            _each_ends_as("abandoned")(rows)
            rows, counts = await one("unsent", url, grace_ns=50 * MS, connections=1)
            assert [row["error"] for row in rows] == ["abandoned"] + ["unsent"] * 9
            assert (counts["sent"], counts["dropped"]) == (1, 9)

    run(check())


def test_refusals_are_counted_apart_from_errors(tmp_path: Path) -> None:
    async def check() -> None:
        server = JobServer()
        server.status = 503
        async with server.listening() as url:
            load = Load(spec_for(tmp_path, url, segments=RATE_200))
            rows = await load.rows()
        assert {row["status"] for row in rows} == {503}
        assert (load.counts["accepted"], load.counts["refused"], load.counts["errored"]) == (
            0,
            40,
            0,
        )

    asyncio.run(check())


def test_an_interrupt_keeps_what_was_measured(run: Run, tmp_path: Path) -> None:
    async def check() -> None:
        server = JobServer()
        async with server.listening() as url:
            spec = spec_for(tmp_path, url, segments=(Segment(60 * S, 200, 200),), load_ns=60 * S)
            load = Load(spec)
            await until(lambda: load.ledger.rows >= 10, 5, "load has begun")
            load.generator.stop()
            load.generator.stop()
            rows = await load.rows()
        assert load.generator.interrupted
        assert 10 <= len(rows) < 1000
        due = [due for due in _all_due(spec) if due <= rows[-1]["intended_ns"]]
        assert [row["intended_ns"] for row in rows] == due

    run(check())


def _all_due(spec: LoadSpec) -> list[int]:
    demand = demand_of(spec)
    return [demand.take().intended_ns for _ in range(2000)]


def test_an_interrupt_before_the_start_leaves_no_rows(tmp_path: Path) -> None:
    async def check() -> None:
        server = JobServer()
        async with server.listening() as url:
            load = Load(
                spec_for(tmp_path, url, segments=RATE_200, start_ns=monotonic_ns() + 60 * S)
            )
            load.generator.stop()
            assert await load.rows() == []
        assert server.requests == []

    asyncio.run(check())


def test_an_id_that_the_application_chose_is_kept(tmp_path: Path) -> None:
    async def check() -> None:
        server = JobServer()
        server.reply = lambda name: json.dumps({"id": f"theirs-{name[:4]}"}).encode()
        async with server.listening() as url:
            rows = await Load(spec_for(tmp_path, url, segments=RATE_200)).rows()
        planned = [job_id("n0", row["key"]) for row in rows]
        assert [row["job_id"] for row in rows] == [f"theirs-{name[:4]}" for name in planned]

    asyncio.run(check())


def test_a_reply_without_an_id_leaves_the_planned_one(tmp_path: Path) -> None:
    async def check() -> None:
        server = JobServer()
        server.reply = lambda _: b"thank you"
        async with server.listening() as url:
            rows = await Load(spec_for(tmp_path, url, segments=RATE_200)).rows()
        assert [row["job_id"] for row in rows] == [job_id("n0", row["key"]) for row in rows]

    asyncio.run(check())
