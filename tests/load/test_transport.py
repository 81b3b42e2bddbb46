"""httpx's API over the fast pool, against uvicorn and against servers that misbehave."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from perfkit.load.transport import BodyTooLarge, HttpTransport, Timings
from tests.conftest import free_port
from tests.load.asgi import behind_uvicorn
from tests.load.conftest import Run
from tests.load.servers import ACCEPTED, Script, deaf, playing, read_request, says, stays, until


async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """An echo: method, path, query, headers and body come back as JSON."""
    if scope["type"] != "http":
        return
    body = b""
    more = True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    path = scope["path"]
    if path == "/redirect":
        headers = [(b"location", b"/echo"), (b"set-cookie", b"seen=1")]
        await send({"type": "http.response.start", "status": 303, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
        return
    answer = json.dumps(
        {
            "method": scope["method"],
            "path": path,
            "query": scope["query_string"].decode(),
            "headers": {name.decode(): value.decode() for name, value in scope["headers"]},
            "body": body.decode(),
        }
    ).encode()
    headers = [(b"content-type", b"application/json")]
    if path != "/chunked":
        headers.append((b"content-length", str(len(answer)).encode()))
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    half = len(answer) // 2
    await send({"type": "http.response.body", "body": answer[:half], "more_body": True})
    await send({"type": "http.response.body", "body": answer[half:]})


def test_requests_reach_uvicorn_as_httpx_made_them(run: Run) -> None:
    async def check() -> None:
        async with (
            behind_uvicorn("auto", app) as url,
            httpx.AsyncClient(transport=HttpTransport(), base_url=url) as client,
        ):
            got = await client.get("/echo", params={"q": "ä b"}, headers={"X-One": "1"})
            assert (got.json()["method"], got.json()["query"]) == ("GET", "q=%C3%A4+b")
            assert got.json()["headers"]["x-one"] == "1"
            assert got.headers["content-type"] == "application/json"
            got = await client.post("/chunked", json={"amount": 1})
            assert json.loads(got.json()["body"]) == {"amount": 1}
            assert got.headers["transfer-encoding"] == "chunked"
            got = await client.head("/echo")
            assert (got.status_code, got.content) == (200, b"")

    run(check())


def test_a_streamed_request_body_arrives_whole(run: Run) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for piece in (b"one", b"", b"two"):
            yield piece

    async def nothing() -> AsyncIterator[bytes]:
        for piece in list[bytes]():
            yield piece

    async def check() -> None:
        async with (
            behind_uvicorn("auto", app) as url,
            httpx.AsyncClient(transport=HttpTransport(), base_url=url) as client,
        ):
            assert (await client.post("/echo", content=pieces())).json()["body"] == "onetwo"
            assert (await client.post("/echo", content=nothing())).json()["body"] == ""

    run(check())


def test_redirects_cookies_and_streams_are_httpx_own(run: Run) -> None:
    async def check() -> None:
        async with (
            behind_uvicorn("auto", app) as url,
            httpx.AsyncClient(
                transport=HttpTransport(), base_url=url, follow_redirects=True
            ) as client,
        ):
            got = await client.post("/redirect")
            assert (got.json()["method"], got.json()["path"]) == ("GET", "/echo")
            assert got.json()["headers"]["cookie"] == "seen=1"
            async with client.stream("GET", "/echo") as response:
                assert [piece async for piece in response.aiter_bytes()]

    run(check())


def test_many_requests_share_few_connections(run: Run) -> None:
    async def check() -> None:
        async with (
            behind_uvicorn("auto", app) as url,
            httpx.AsyncClient(transport=HttpTransport(connections=4), base_url=url) as client,
        ):
            got = await asyncio.gather(*[client.get(f"/{n}") for n in range(100)])
            assert [each.json()["path"] for each in got] == [f"/{n}" for n in range(100)]
            timings = [each.extensions["perfkit"] for each in got]
            assert sum(each.blocked_ns > 0 for each in timings) >= 90

    run(check())


def test_a_response_carries_its_stamps(run: Run) -> None:
    async def check() -> None:
        async with (
            playing(stays(ACCEPTED)) as port,
            httpx.AsyncClient(transport=HttpTransport()) as client,
        ):
            got = await client.post(f"http://127.0.0.1:{port}/jobs/x")
            timings = got.extensions["perfkit"]
            assert isinstance(timings, Timings)
            assert 0 < timings.sent_ns <= timings.first_byte_ns <= timings.done_ns
            assert got.http_version == "HTTP/1.1"

    run(check())


@pytest.mark.parametrize(
    ("script", "wrong"),
    [
        (says(b"nonsense\r\n\r\n"), httpx.RemoteProtocolError),
        (says(b""), httpx.RemoteProtocolError),
        (says(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nxx"), httpx.RemoteProtocolError),
        (stays(b""), httpx.ReadTimeout),
        (stays(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n" + b"x" * 500), BodyTooLarge),
    ],
    ids=["garbage", "closed", "short", "stalled", "large"],
)
def test_errors_are_those_of_httpx(
    run: Run, script: Script, wrong: type[httpx.TransportError]
) -> None:
    async def check() -> None:
        async with (
            playing(script) as port,
            httpx.AsyncClient(transport=HttpTransport(body_limit=100), timeout=0.2) as client,
        ):
            with pytest.raises(wrong) as caught:
                await client.get(f"http://127.0.0.1:{port}/")
            assert caught.value.request.method == "GET"

    run(check())


def test_a_refused_connection_and_an_unknown_host_are_connect_errors(run: Run) -> None:
    async def check() -> None:
        async with httpx.AsyncClient(transport=HttpTransport()) as client:
            for host in (f"127.0.0.1:{free_port()}", "no-such-host.invalid"):
                with pytest.raises(httpx.ConnectError):
                    await client.get(f"http://{host}/")

    run(check())


@pytest.mark.parametrize("connections", [1, 5])
def test_a_server_that_takes_no_connection_ends_in_a_connect_timeout(
    run: Run, connections: int
) -> None:
    async def check() -> None:
        limits = httpx.Timeout(None, connect=0.1, pool=0.05)
        with deaf() as port:
            transport = HttpTransport(connections=connections)
            async with httpx.AsyncClient(transport=transport, timeout=limits) as client:
                with pytest.raises(httpx.ConnectTimeout) as caught:
                    await client.get(f"http://127.0.0.1:{port}/")
                assert caught.value.request.method == "GET"

    run(check())


def test_waiting_for_a_connection_ends_in_a_pool_timeout(run: Run) -> None:
    async def check() -> None:
        limits = httpx.Timeout(None, pool=0.05)
        async with (
            playing(stays(b"")) as port,
            httpx.AsyncClient(transport=HttpTransport(connections=1), timeout=limits) as client,
        ):
            url = f"http://127.0.0.1:{port}/"
            first = asyncio.ensure_future(client.get(url))
            pool_is_taken = asyncio.ensure_future(client.get(url))
            with pytest.raises(httpx.PoolTimeout):
                await pool_is_taken
            assert not first.done()
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first

    run(check())


def test_a_cancelled_request_frees_its_place(run: Run) -> None:
    async def check() -> None:
        taken: list[bytes] = []

        async def stall(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            taken.append(await read_request(reader))
            await reader.read()

        async with (
            playing(stall, stays(ACCEPTED)) as port,
            httpx.AsyncClient(transport=HttpTransport(connections=1)) as client,
        ):
            url = f"http://127.0.0.1:{port}/"
            stuck = asyncio.ensure_future(client.get(url))
            await until(lambda: taken, 5, "the first request is under way")
            behind = asyncio.ensure_future(client.get(url))
            stuck.cancel()
            assert (await behind).status_code == 202

    run(check())


def test_a_line_break_in_a_header_is_refused(run: Run) -> None:
    async def check() -> None:
        async with httpx.AsyncClient(transport=HttpTransport()) as client:
            with pytest.raises(httpx.LocalProtocolError):
                await client.get("http://127.0.0.1:1/", headers={"X": "a\r\nY: b"})

    run(check())


def test_https_and_proxies_go_to_the_stock_transport(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, object]] = []

    class Stock(httpx.AsyncBaseTransport):
        def __init__(self, **settings: Any) -> None:
            self.proxy = settings["proxy"]

        async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
            asked.append((str(request.url), self.proxy))
            return httpx.Response(200)

    monkeypatch.setattr(httpx, "AsyncHTTPTransport", Stock)

    async def check() -> None:
        async with httpx.AsyncClient(transport=HttpTransport()) as client:
            await client.get("https://example.test/")
        async with httpx.AsyncClient(transport=HttpTransport(proxy="http://p.test:1")) as client:
            await client.get("http://example.test/")

    run(check())
    assert asked == [
        ("https://example.test/", None),
        ("http://example.test/", "http://p.test:1"),
    ]
