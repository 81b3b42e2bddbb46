"""Connections up to a limit, and the queue for them."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

import pytest

from perfkit.load.exchange import ErrorKind, Exchange
from perfkit.load.pool import Pool
from tests.conftest import free_port
from tests.load.conftest import Run
from tests.load.servers import ACCEPTED, deaf, playing, resetting, says, stays, until

S = 1_000_000_000


class Batch:
    """Submits requests that carry a number, and notes in which order they end."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.ended: list[int] = []
        self.sent: list[Exchange] = []

    def submit(self, number: int) -> Exchange:
        payload = b'POST /%d HTTP/1.1\r\nContent-Length: 11\r\n\r\n{"key":"x"}' % number
        exchange = Exchange(payload, lambda _: self.ended.append(number), 10 * S)
        self.pool.submit(exchange)
        self.sent.append(exchange)
        return exchange

    async def all_ended(self) -> None:
        await until(lambda: len(self.ended) == len(self.sent), 10, "all requests ended")


def test_requests_wait_in_order_and_their_blocked_time_is_counted(run: Run) -> None:
    async def check() -> None:
        async with playing(stays(*[ACCEPTED] * 9)) as port:
            pool = Pool("127.0.0.1", port, limit=2)
            await pool.open(2)
            load = Batch(pool)
            for number in range(6):
                load.submit(number)
            assert [bool(each.sent_ns) for each in load.sent] == [True] * 2 + [False] * 4
            assert pool.waiting == 4
            assert pool.is_full
            await load.all_ended()
            assert pool.connections == 2
            assert [each.blocked_ns > 0 for each in load.sent] == [False] * 2 + [True] * 4
            assert [each.error for each in load.sent] == [None] * 6
            waits = [each.sent_ns for each in load.sent]
            assert waits == sorted(waits)
            await pool.close()

    run(check())


def test_a_request_may_call_for_the_next_from_its_own_end(run: Run) -> None:
    async def check() -> None:
        async with playing(stays(*[ACCEPTED] * 99)) as port:
            pool = Pool("127.0.0.1", port, limit=1)
            left = [50]
            finished = asyncio.Event()

            def again(_: Exchange | None) -> None:
                left[0] -= 1
                if left[0]:
                    pool.submit(Exchange(b"GET / HTTP/1.1\r\n\r\n", again, 10 * S))
                else:
                    finished.set()

            again(None)
            await finished.wait()
            assert pool.connections == 1
            await pool.close()

    run(check())


def test_no_more_connections_are_opened_than_the_limit(run: Run) -> None:
    async def check() -> None:
        async with playing(stays(*[ACCEPTED] * 99)) as port:
            pool = Pool("127.0.0.1", port, limit=3)
            load = Batch(pool)
            for number in range(40):
                load.submit(number)
            await load.all_ended()
            assert pool.connections <= 3
            assert await pool.open(10) == 3
            await pool.close()
            assert pool.connections == 0

    run(check())


def test_a_server_that_closes_after_each_reply_is_reconnected_to(run: Run) -> None:
    async def check() -> None:
        raw = ACCEPTED.replace(b"\r\n\r\n", b"\r\nconnection: close\r\n\r\n")
        async with playing(says(raw)) as port:
            pool = Pool("127.0.0.1", port, limit=2)
            load = Batch(pool)
            for number in range(10):
                load.submit(number)
            await load.all_ended()
            assert [each.error for each in load.sent] == [None] * 10
            assert len({id(each.connection) for each in load.sent}) == 10
            await pool.close()

    run(check())


def test_an_idle_connection_that_the_server_closed_is_not_used(run: Run) -> None:
    async def check() -> None:
        async with playing(says(ACCEPTED)) as port:
            pool = Pool("127.0.0.1", port, limit=1)
            load = Batch(pool)
            for number in range(3):
                load.submit(number)
                await load.all_ended()
                await until(lambda: pool.connections == 0, 5, "the server's end is noticed")
            assert [each.error for each in load.sent] == [None] * 3
            await pool.close()

    run(check())


def test_a_connection_idle_for_too_long_is_replaced_before_use(run: Run) -> None:
    async def check() -> None:
        async with playing(stays(*[ACCEPTED] * 9)) as port:
            pool = Pool("127.0.0.1", port, limit=1, idle_limit_ns=0)
            load = Batch(pool)
            for number in range(3):
                load.submit(number)
                await load.all_ended()
            assert [each.error for each in load.sent] == [None] * 3
            assert len({id(each.connection) for each in load.sent}) == 3
            await pool.close()

    run(check())


def test_a_request_that_was_written_is_never_sent_again(run: Run) -> None:
    async def check() -> None:
        seen: list[bytes] = []

        async def take_and_leave(
            reader: asyncio.StreamReader, writer: asyncio.StreamWriter
        ) -> None:
            seen.append(await reader.readuntil(b"\r\n\r\n"))

        async with playing(take_and_leave) as port:
            pool = Pool("127.0.0.1", port, limit=2)
            load = Batch(pool)
            for number in range(5):
                load.submit(number)
            await load.all_ended()
            assert [each.error for each in load.sent] == [ErrorKind.RESET] * 5
            assert len(seen) == 5
            await pool.close()

    run(check())


def test_a_refused_connection_ends_the_requests_that_wait(run: Run) -> None:
    async def check() -> None:
        pool = Pool("127.0.0.1", free_port(), limit=2)
        load = Batch(pool)
        for number in range(5):
            load.submit(number)
        assert load.ended == [], "an end is never told from within submit"
        await load.all_ended()
        assert load.ended == [0, 1, 2, 3, 4]
        assert [each.error for each in load.sent] == [ErrorKind.CONNECT] * 5
        assert isinstance(load.sent[0].cause, ConnectionRefusedError)
        assert await pool.open(1) == 0
        assert isinstance(pool.refusal, ConnectionRefusedError)
        await pool.close()

    run(check())


def test_a_name_that_does_not_resolve_is_a_connect_error(run: Run) -> None:
    async def check() -> None:
        pool = Pool("no-such-host.invalid", 80, limit=1)
        load = Batch(pool)
        load.submit(0)
        await load.all_ended()
        assert load.sent[0].error is ErrorKind.CONNECT
        await pool.close()

    run(check())


@pytest.mark.parametrize("host", ["a..b", "x" * 64 + ".test"])
def test_a_name_that_no_host_can_have_is_a_connect_error_too(run: Run, host: str) -> None:
    async def check() -> None:
        pool = Pool(host, 80, limit=2)
        load = Batch(pool)
        for number in range(3):
            load.submit(number)
        await load.all_ended()
        assert {each.error for each in load.sent} == {ErrorKind.CONNECT}
        assert isinstance(load.sent[0].cause, socket.gaierror)
        await pool.close()

    run(check())


def test_a_server_that_resets_what_it_accepts_costs_its_requests_and_breaks_nothing(
    run: Run,
) -> None:
    async def check() -> None:
        broken: list[dict[str, Any]] = []
        asyncio.get_running_loop().set_exception_handler(lambda _, context: broken.append(context))
        with resetting() as port:
            pool = Pool("127.0.0.1", port, limit=8)
            load = Batch(pool)
            for number in range(200):
                load.submit(number)
            await load.all_ended()
            await pool.close()
        assert {each.error for each in load.sent} <= {ErrorKind.RESET, ErrorKind.CONNECT}
        assert broken == []

    run(check())


def test_a_request_waits_for_an_opening_or_for_the_end_of_another(run: Run) -> None:
    async def check() -> None:
        with deaf() as port:
            pool = Pool("127.0.0.1", port, limit=2, connect_timeout_ns=S // 5)
            load = Batch(pool)
            connecting = []
            for number in range(3):
                load.submit(number)
                connecting.append(pool.is_connecting)
            assert connecting == [True, True, False]
            await load.all_ended()
            assert {each.error for each in load.sent} == {ErrorKind.CONNECT}
            for each in load.sent:
                assert each.sent_ns - each.waiting_since_ns == each.blocked_ns > 0
            await pool.close()

    run(check())


def test_a_name_is_resolved_once_for_all_connections(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        async with playing(stays(*[ACCEPTED] * 9)) as port:
            pool = Pool("localhost", port, limit=3)
            assert await pool.open(1) == 1
            with monkeypatch.context() as patched:
                patched.delattr(asyncio.BaseEventLoop, "getaddrinfo")
                assert await pool.open(2) == 3
            await pool.close()

    asyncio.run(check())


def test_abandoning_tells_sent_requests_from_unsent_ones(run: Run) -> None:
    async def check() -> None:
        async with playing(stays(b"")) as port:
            pool = Pool("127.0.0.1", port, limit=1)
            await pool.open(1)
            load = Batch(pool)
            for number in range(3):
                load.submit(number)
            pool.abandon()
            assert [each.error for each in load.sent] == [
                ErrorKind.ABANDONED,
                ErrorKind.UNSENT,
                ErrorKind.UNSENT,
            ]
            assert [bool(each.sent_ns) for each in load.sent] == [True, False, False]
            await pool.close()

    run(check())


def test_a_withdrawn_request_gives_its_place_to_the_next(run: Run) -> None:
    async def check() -> None:
        async with playing(stays(b""), stays(ACCEPTED)) as port:
            pool = Pool("127.0.0.1", port, limit=1)
            await pool.open(1)
            load = Batch(pool)
            stuck, waiting, served = (load.submit(number) for number in range(3))
            pool.withdraw(waiting, ErrorKind.UNSENT)
            pool.withdraw(stuck, ErrorKind.ABANDONED)
            await load.all_ended()
            assert (stuck.error, waiting.error, served.error) == (
                ErrorKind.ABANDONED,
                ErrorKind.UNSENT,
                None,
            )
            pool.withdraw(served, ErrorKind.ABANDONED)
            assert served.error is None, "what has ended can't be withdrawn"
            await pool.close()

    run(check())


def test_a_private_connection_serves_only_its_owner(run: Run) -> None:
    async def check() -> None:
        async with playing(stays(*[ACCEPTED] * 9)) as port:
            pool = Pool("127.0.0.1", port, limit=2, private=True)
            load = Batch(pool)
            first = load.submit(0)
            await load.all_ended()
            other = load.submit(1)  # brings no connection of its own, and gets a new one
            await load.all_ended()
            assert other.connection is not first.connection
            again = Exchange(first.payload, lambda _: load.ended.append(2), 10 * S)
            again.connection = first.connection
            pool.submit(again)
            load.sent.append(again)
            assert again.sent_ns
            await load.all_ended()
            assert again.connection is first.connection
            assert pool.connections == 2
            await pool.close()

    run(check())


def test_closing_gives_every_socket_back_even_where_the_peer_takes_nothing(run: Run) -> None:
    async def deaf(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async def check() -> None:
        async with playing(deaf) as port:
            pool = Pool("127.0.0.1", port, limit=1)
            ended = asyncio.Event()
            body = b"x" * 20_000_000
            head = b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(body)
            pool.submit(Exchange(head + body, lambda _: ended.set(), 10 * S))
            await until(lambda: pool.connections == 1, 5, "it is connected")
            await pool.close()
            assert ended.is_set()

    run(check())


async def _turn(times: int) -> None:
    """Let the loop turn."""
    for _ in range(times):
        turned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(turned.set_result, None)
        await turned


def test_whoever_opens_may_be_cancelled_and_no_request_suffers(run: Run) -> None:
    async def check() -> None:
        async with playing(stays(*[ACCEPTED] * 9)) as port:
            for turns in range(12):
                pool = Pool("127.0.0.1", port, limit=1)
                opening = asyncio.get_running_loop().create_task(pool.open(3))
                await _turn(turns)
                opening.cancel()
                load = Batch(pool)
                load.submit(0)
                await load.all_ended()
                assert load.sent[0].error is None
                await pool.close()
                assert pool.connections == 0

    run(check())


def test_a_pool_may_be_closed_at_any_moment_of_an_attempt_to_connect(run: Run) -> None:
    async def check() -> None:
        async with playing(stays(*[ACCEPTED] * 9)) as port:
            for turns in range(12):
                pool = Pool("127.0.0.1", port, limit=3)
                load = Batch(pool)
                load.submit(0)
                await _turn(turns)
                await asyncio.wait_for(pool.close(), 5)
                assert pool.connections == 0
                assert load.sent[0].error in (None, ErrorKind.UNSENT, ErrorKind.ABANDONED)

    run(check())
