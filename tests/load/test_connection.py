"""HTTP/1.1 against a hostile server: what counts as a reply, and what becomes of the rest."""

from __future__ import annotations

import asyncio
import gc
import socket
from typing import Any

import pytest

from perfkit.load.connection import Connection, HeaderConnection
from perfkit.load.exchange import ErrorKind, Exchange
from perfkit.load.pool import Pool
from tests.conftest import free_port
from tests.load.conftest import Run
from tests.load.servers import ACCEPTED, Script, playing, read_request, says, stays

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
S = 1_000_000_000


async def ask(pool: Pool, *, timeout_ns: int = 10 * S, **more: Any) -> Exchange:
    """One exchange, from its start to its end."""
    done = asyncio.Event()
    exchange = Exchange(GET, lambda _: done.set(), timeout_ns, **more)
    pool.submit(exchange)
    await done.wait()
    return exchange


async def talk(script: Script | tuple[Script, ...], times: int = 1, **more: Any) -> list[Exchange]:
    """Ask a server that plays the script, one exchange after the other."""
    scripts = script if isinstance(script, tuple) else (script,)
    settings = {
        name: more.pop(name) for name in ("limit", "body_limit", "connection") if name in more
    }
    async with playing(*scripts) as port:
        pool = Pool("127.0.0.1", port, **{"limit": 1, **settings})
        try:
            return [await ask(pool, **more) for _ in range(times)]
        finally:
            await pool.close()


def test_a_request_is_on_the_wire_when_it_is_stamped(run: Run) -> None:
    """A loop that writes at the end of its turn, as some do, would make every stamp too early."""

    async def main() -> None:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            pool = Pool("127.0.0.1", listener.getsockname()[1], limit=1)
            assert await pool.open(1) == 1
            with listener.accept()[0] as peer:
                exchange = Exchange(GET, lambda _: None, 10 * S)
                pool.submit(exchange)
                assert exchange.sent_ns
                assert peer.recv(1024, socket.MSG_DONTWAIT) == GET
            await pool.close()

    run(main())


def test_a_request_that_does_not_fit_into_the_socket_is_sent_whole(run: Run) -> None:
    whole = b"POST / HTTP/1.1\r\nContent-Length: 9000000\r\n\r\n" + bytes(9_000_000)

    async def main() -> None:
        seen: list[bytes] = []

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while request := await read_request(reader):
                seen.append(request)
                writer.write(ACCEPTED)

        async with playing(script) as port:
            pool = Pool("127.0.0.1", port, limit=1)
            for _ in range(2):
                done = asyncio.Event()
                exchange = Exchange(whole, lambda _, done=done: done.set(), 30 * S)
                pool.submit(exchange)
                await done.wait()
                assert (exchange.error, exchange.status) == (None, 202)
            await pool.close()
        assert seen == [whole, whole]

    run(main())


def reply(head: str, body: bytes = b"") -> bytes:
    return head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body


@pytest.mark.parametrize(
    ("raw", "status", "body"),
    [
        (reply("HTTP/1.1 200 OK\nContent-Length: 5", b"hello"), 200, b"hello"),
        (reply("HTTP/1.1 202 Accepted\nContent-Length: 0"), 202, b""),
        (reply("HTTP/1.1 503 Busy\nContent-Length: 4", b"busy"), 503, b"busy"),
        (
            reply(
                "HTTP/1.1 200 OK\nTransfer-Encoding: chunked",
                b"3\r\nabc\r\n2;x=1\r\nde\r\n0\r\n\r\n",
            ),
            200,
            b"abcde",
        ),
        (
            reply(
                "HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"1\r\na\r\n0\r\nTrailer: 1\r\n\r\n"
            ),
            200,
            b"a",
        ),
        (reply("HTTP/1.1 204 No Content"), 204, b""),
        (reply("HTTP/1.1 304 Not Modified\nContent-Length: 99"), 304, b""),
        (reply("HTTP/1.1 100 Continue") + ACCEPTED, 202, b"{}"),
        (reply("HTTP/1.1 103 Early Hints\nLink: </x>") * 3 + ACCEPTED, 202, b"{}"),
        (reply("HTTP/1.0 200 OK\nContent-Length: 2", b"ok"), 200, b"ok"),
    ],
    ids=[
        "sized",
        "empty",
        "refused",
        "chunked",
        "trailers",
        "204",
        "304 with a length",
        "100",
        "103",
        "1.0",
    ],
)
def test_every_framing_of_a_reply_is_understood_whole_and_in_trickles(
    run: Run, raw: bytes, status: int, body: bytes
) -> None:
    async def trickle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        for place in range(len(raw)):
            writer.write(raw[place : place + 1])
            await writer.drain()
        await reader.read()

    async def check() -> None:
        for script in (stays(raw), trickle):
            for kind in (Connection, HeaderConnection):
                (got,) = await talk(script, connection=kind)
                assert (got.error, got.status, got.body) == (None, status, body)
                assert got.sent_ns <= got.first_byte_ns <= got.done_ns

    run(check())


def test_a_connection_is_kept_for_the_next_request(run: Run) -> None:
    async def check() -> None:
        got = await talk(stays(*[ACCEPTED] * 3), times=3)
        assert [each.status for each in got] == [202] * 3
        assert len({each.connection for each in got}) == 1

    run(check())


@pytest.mark.parametrize(
    "raw",
    [
        reply("HTTP/1.1 200 OK\nConnection: close\nContent-Length: 2", b"ok"),
        reply("HTTP/1.0 200 OK\nContent-Length: 2", b"ok"),
        reply("HTTP/1.1 200 OK\nContent-Length: 2", b"ok and more than was announced"),
        reply("HTTP/1.1 200 OK\nContent-Length: 2", b"okHTTP/1.1"),
        ACCEPTED + ACCEPTED,
    ],
    ids=["close", "1.0", "too long", "a piece of another", "two replies"],
)
def test_a_reply_that_ends_its_connection_counts_but_its_connection_is_not_used_again(
    run: Run, raw: bytes
) -> None:
    async def check() -> None:
        first, second = await talk(stays(raw), times=2)
        assert first.error is None
        assert second.error is None
        assert first.connection is not second.connection

    run(check())


def test_a_body_may_end_with_the_connection(run: Run) -> None:
    async def check() -> None:
        first, second = await talk(says(reply("HTTP/1.1 200 OK", b"until the end")), times=2)
        assert (first.error, first.body) == (None, b"until the end")
        assert second.error is None

    run(check())


def test_a_reply_to_head_has_no_body_whatever_its_length_says(run: Run) -> None:
    raw = reply("HTTP/1.1 200 OK\nContent-Length: 1000")

    async def check() -> None:
        got = await talk(stays(raw, raw), times=2, head_only=True)
        assert [(each.status, each.body) for each in got] == [(200, b"")] * 2
        assert got[0].connection is got[1].connection

    run(check())


@pytest.mark.parametrize(
    ("raw", "error"),
    [
        (b"\x16\x03\x01 garbage\r\n\r\n", ErrorKind.PROTOCOL),
        (b"SSH-2.0-OpenSSH_9.6\r\n", ErrorKind.PROTOCOL),
        (reply("HTTP/1.1 200 OK\nContent-Length: nine"), ErrorKind.PROTOCOL),
        (reply("HTTP/1.1 200 OK\nContent-Length: 2\nContent-Length: 3"), ErrorKind.PROTOCOL),
        (reply("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"zz\r\n"), ErrorKind.PROTOCOL),
        (
            reply("HTTP/1.1 101 Switching Protocols\nConnection: upgrade\nUpgrade: x"),
            ErrorKind.PROTOCOL,
        ),
        (reply("HTTP/1.1 101 Switching Protocols"), ErrorKind.PROTOCOL),
        (b"", ErrorKind.RESET),
        (b"HTTP/1.1 20", ErrorKind.RESET),
        (b"HTTP/1.1 200 OK\r\nContent-", ErrorKind.RESET),
        (reply("HTTP/1.1 200 OK\nContent-Length: 10", b"short"), ErrorKind.RESET),
        (reply("HTTP/1.1 200 OK\ncontent-length : 10", b"short"), ErrorKind.PROTOCOL),
        (reply("HTTP/1.1 200 OK\nTransfer-Encoding: chunked", b"3\r\nabc\r\n"), ErrorKind.RESET),
        (reply("HTTP/1.1 100 Continue"), ErrorKind.RESET),
        (reply("HTTP/1.1 200 OK\nContent-Length: 2000", b"x" * 2000), ErrorKind.TOO_LARGE),
        (reply("HTTP/1.1 200 OK", b"x" * 2000), ErrorKind.TOO_LARGE),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 100_000, ErrorKind.TOO_LARGE),
    ],
    ids=[
        "TLS",
        "SSH",
        "length is no number",
        "two lengths",
        "bad chunk size",
        "upgrade",
        "upgrade without a header",
        "closed at once",
        "half a status line",
        "half a head",
        "short body",
        "space before the colon",
        "no last chunk",
        "only 1xx",
        "large",
        "large without a length",
        "endless head",
    ],
)
def test_what_is_no_whole_reply_is_an_error_with_a_name(
    run: Run, raw: bytes, error: ErrorKind
) -> None:
    async def check() -> None:
        bad, good = await talk((says(raw), stays(ACCEPTED)), times=2, body_limit=1000)
        assert (bad.error, bad.done_ns, bad.status) == (error, 0, 0)
        assert bad.sent_ns
        assert (good.error, good.status) == (None, 202), "the next request has a new connection"

    run(check())


def test_a_reset_is_named_and_keeps_its_cause(run: Run) -> None:
    async def reset(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)  # what is left unread makes the kernel answer with RST
        writer.transport.abort()

    async def check() -> None:
        (got,) = await talk(reset)
        assert got.error is ErrorKind.RESET

    run(check())


@pytest.mark.parametrize("raw", [b"", b"HTTP/1.1 200", reply("HTTP/1.1 200 OK\nContent-Length: 9")])
def test_a_stall_ends_in_a_timeout(run: Run, raw: bytes) -> None:
    async def check() -> None:
        (got,) = await talk(stays(raw), timeout_ns=S // 10)
        assert (got.error, got.done_ns) == (ErrorKind.TIMEOUT, 0)
        assert bool(got.first_byte_ns) == bool(raw)

    run(check())


def test_trickled_bytes_do_not_put_the_timeout_off_unless_the_caller_is_patient(run: Run) -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n")
        for _ in range(6):
            dripped: asyncio.Future[None] = loop.create_future()
            loop.call_later(0.06, dripped.set_result, None)
            await dripped
            writer.write(b"x")
        await reader.read()

    async def check() -> None:
        (hasty,) = await talk(drip, timeout_ns=S // 5)
        assert hasty.error is ErrorKind.TIMEOUT
        (patient,) = await talk(drip, timeout_ns=S // 5, patient=True)
        assert (patient.error, patient.body) == (None, b"xxxxxx")

    run(check())


def test_bytes_that_nobody_asked_for_close_the_connection(run: Run) -> None:
    async def check() -> None:
        async with playing(says(ACCEPTED, b"")) as port:
            pool = Pool("127.0.0.1", port, limit=1)
            connection = (await ask(pool)).connection
            assert connection is not None
            connection.data_received(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
            assert connection.is_closed
            await pool.close()

    run(check())


def test_headers_are_those_of_the_final_reply(run: Run) -> None:
    raw = reply("HTTP/1.1 103 Early Hints\nA: 1") + reply(
        "HTTP/1.1 200 OK\nB: 2\nB: 3\nContent-Length: 0"
    )

    async def check() -> None:
        (got,) = await talk(stays(raw), connection=HeaderConnection)
        assert got.headers == [(b"B", b"2"), (b"B", b"3"), (b"Content-Length", b"0")]
        (lean,) = await talk(stays(raw))
        assert lean.headers == []

    run(check())


def test_neither_requests_nor_connections_leave_work_for_the_cyclic_collector() -> None:
    """The collector is off while load runs; see `perfkit.load.process`."""

    async def check() -> None:
        async with playing(says(ACCEPTED, ACCEPTED)) as port:
            pool = Pool("127.0.0.1", port, limit=1)
            await ask(pool)
            gc.collect()
            gc.disable()
            try:
                for _ in range(20):
                    assert (await ask(pool)).error in (None, ErrorKind.RESET)
                await pool.close()
                left = [each for each in _garbage() if type(each).__module__.startswith("perfkit")]
            finally:
                gc.enable()
            assert left == []

    with asyncio.Runner() as runner:
        runner.run(asyncio.wait_for(check(), 20))


@pytest.mark.parametrize("how", ["refused", "garbage"])
def test_what_fails_leaves_no_work_for_the_cyclic_collector_either(run: Run, how: str) -> None:
    async def check() -> None:
        async with playing(says(b"nonsense\r\n\r\n")) as port:
            pool = Pool("127.0.0.1", port if how == "garbage" else free_port(), limit=1)
            await ask(pool)
            gc.collect()
            gc.disable()
            try:
                for _ in range(20):
                    failed = await ask(pool)
                    assert failed.error in (ErrorKind.CONNECT, ErrorKind.PROTOCOL)
                    assert failed.cause is not None
                await pool.close()
                left = [each for each in _garbage() if isinstance(each, Exchange)]
            finally:
                gc.enable()
            assert left == []

    run(check())


def _garbage() -> list[object]:
    """What only the cyclic collector can free."""
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        gc.collect()
        return list(gc.garbage)
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
