"""Our transport and stock httpx, one beside the other, against the same servers.

Well-behaved servers: the same status, headers and body. Servers that misbehave: the same exception,
or one that is named here, and always an end.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import struct
import subprocess
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from perfkit.load.transport import BodyTooLarge, HttpTransport
from tests.conftest import free_port
from tests.load.asgi import BIG, behind_hypercorn, behind_uvicorn
from tests.load.conftest import Run
from tests.load.servers import Script, playing, read_request, says, stays
from tests.waiting import wait_until

Serving = Callable[[], AbstractAsyncContextManager[str]]

SERVERS: dict[str, Serving] = {
    "uvicorn-httptools": lambda: behind_uvicorn("httptools"),
    "uvicorn-h11": lambda: behind_uvicorn("h11"),
    "hypercorn": behind_hypercorn,
}

PIECES = (b"one", b"", b"two" * 5000)


async def pieces() -> AsyncIterator[bytes]:
    for piece in PIECES:
        yield piece


REQUESTS: dict[str, Callable[[], dict[str, Any]]] = {
    "get": lambda: {"method": "GET", "url": "/echo?a=1&b=%20#there"},
    "params": lambda: {"method": "GET", "url": "/e%2Fcho", "params": {"q": "ä b/&"}},
    "json": lambda: {"method": "POST", "url": "/echo", "json": {"amount": 1, "to": "ü"}},
    "form": lambda: {"method": "POST", "url": "/echo", "data": {"a": "1", "b": "x y"}},
    "empty-post": lambda: {"method": "POST", "url": "/echo"},
    "big-post": lambda: {"method": "PUT", "url": "/echo", "content": b"x" * 300_000},
    "streamed": lambda: {"method": "PATCH", "url": "/echo", "content": pieces()},
    "delete": lambda: {"method": "DELETE", "url": "/echo"},
    "options": lambda: {"method": "OPTIONS", "url": "/echo"},
    "headers": lambda: {
        "method": "GET",
        "url": "/headers",
        "headers": [("X-One", "1"), ("X-One", "2"), ("X-Empty", "")],
    },
    "head": lambda: {"method": "HEAD", "url": "/big"},
    "head-echo": lambda: {"method": "HEAD", "url": "/echo"},
    "empty": lambda: {"method": "GET", "url": "/empty"},
    "204": lambda: {"method": "GET", "url": "/204"},
    "304": lambda: {"method": "GET", "url": "/304"},
    "404": lambda: {"method": "GET", "url": "/404"},
    "500": lambda: {"method": "GET", "url": "/500"},
    "chunked": lambda: {"method": "GET", "url": "/chunked"},
    "gzip": lambda: {"method": "GET", "url": "/gzip"},
    "big": lambda: {"method": "GET", "url": "/big"},
    "close": lambda: {"method": "GET", "url": "/close"},
    "cookie": lambda: {"method": "POST", "url": "/cookie", "json": {}, "follow_redirects": True},
    "away": lambda: {"method": "POST", "url": "/away", "json": {}, "follow_redirects": True},
    "not-followed": lambda: {"method": "GET", "url": "/away"},
    "auth": lambda: {"method": "GET", "url": "/echo", "auth": ("me", "word")},
}


def client_of(transport: httpx.AsyncBaseTransport, **more: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=transport, **({"timeout": 10} | more))


def seen(response: httpx.Response) -> dict[str, Any]:
    """What a caller sees of a response, but for the time."""
    return {
        "status": (response.http_version, response.status_code, response.reason_phrase),
        "url": str(response.url),
        "headers": [each for each in response.headers.multi_items() if each[0] != "date"],
        "body": response.content,
        "history": [each.status_code for each in response.history],
    }


@pytest.mark.parametrize("server", SERVERS)
def test_every_answer_of_a_server_is_the_one_that_stock_httpx_gives(run: Run, server: str) -> None:
    async def check() -> None:
        async with (
            SERVERS[server]() as url,
            client_of(HttpTransport(), base_url=url) as ours,
            client_of(httpx.AsyncHTTPTransport(), base_url=url) as stock,
        ):
            for _ in range(2):  # the second time on connections that were kept
                for name, asked in REQUESTS.items():
                    got = seen(await ours.request(**asked()))
                    assert got == seen(await stock.request(**asked())), name
                    assert ours.cookies == stock.cookies, name

    run(check())


@pytest.mark.parametrize("server", SERVERS)
def test_a_hundred_answers_at_once_are_not_mixed_up(run: Run, server: str) -> None:
    async def check() -> None:
        async with (
            SERVERS[server]() as url,
            client_of(HttpTransport(connections=7), base_url=url) as client,
        ):
            asked = [client.post("/echo", content=b"%d" % n) for n in range(100)]
            bodies = [each.json()["body"] for each in await asyncio.gather(*asked)]
            assert bodies == [str(n) for n in range(100)]
            big = await asyncio.gather(*[client.get("/big") for _ in range(5)])
            assert all(each.content == BIG for each in big)

    run(check())


@pytest.mark.parametrize("server", SERVERS)
def test_a_redirect_loop_ends_as_in_stock_httpx(run: Run, server: str) -> None:
    async def check() -> None:
        async with SERVERS[server]() as url:
            for transport in (HttpTransport(), httpx.AsyncHTTPTransport()):
                async with client_of(transport, base_url=url, follow_redirects=True) as client:
                    with pytest.raises(httpx.TooManyRedirects):
                        await client.get("/loop")

    run(check())


@asynccontextmanager
async def behind_nginx(folder: Path, binary: str) -> AsyncIterator[str]:
    """With files, a redirect, an upstream that is gone, and three requests a connection."""
    port = free_port()
    (folder / "one.txt").write_text("one " * 5000)
    (folder / "nginx.conf").write_text(f"""
        daemon off; master_process off; pid {folder}/pid; error_log stderr crit;
        events {{ }}
        http {{
            access_log off; keepalive_requests 3; gzip on; gzip_types text/plain;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;
            fastcgi_temp_path {folder}/fast; uwsgi_temp_path {folder}/uwsgi;
            scgi_temp_path {folder}/scgi; default_type text/plain;
            server {{
                listen 127.0.0.1:{port}; root {folder}; client_max_body_size 1k;
                location /204 {{ return 204; }}
                location /away {{ return 301 /one.txt; }}
                location /gone {{ proxy_pass http://127.0.0.1:1; }}
            }}
        }}
    """)
    argv = [binary, "-p", str(folder), "-c", str(folder / "nginx.conf")]
    with subprocess.Popen(argv, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: answers(port), 10, "nginx listens")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def answers(port: int) -> bool:
    try:
        return httpx.get(f"http://127.0.0.1:{port}/204", trust_env=False).status_code == 204
    except httpx.TransportError:
        return False


@pytest.mark.skipif(shutil.which("nginx") is None, reason="there is no nginx on this machine")
def test_every_answer_of_nginx_is_the_one_that_stock_httpx_gives(run: Run, tmp_path: Path) -> None:
    binary = shutil.which("nginx")
    assert binary is not None

    async def check() -> None:
        async with (
            behind_nginx(tmp_path, binary) as url,
            client_of(HttpTransport(), base_url=url, follow_redirects=True) as ours,
            client_of(httpx.AsyncHTTPTransport(), base_url=url, follow_redirects=True) as stock,
        ):
            # By a client of its own: both begin with the first of a connection's three requests.
            etag = httpx.get(f"{url}/one.txt", trust_env=False).headers["etag"]
            requests: list[dict[str, Any]] = [
                {"method": "GET", "url": "/one.txt"},
                {"method": "HEAD", "url": "/one.txt"},
                {"method": "GET", "url": "/one.txt", "headers": {"Range": "bytes=2-7"}},
                {"method": "GET", "url": "/one.txt", "headers": {"If-None-Match": etag}},
                {"method": "GET", "url": "/one.txt", "headers": {"Accept-Encoding": "identity"}},
                {"method": "GET", "url": "/204"},
                {"method": "GET", "url": "/away"},
                {"method": "GET", "url": "/none"},
                {"method": "GET", "url": "/gone"},
                {"method": "POST", "url": "/one.txt", "content": b"x" * 5000},
            ]
            for asked in requests * 2:
                got = seen(await ours.request(**asked))
                assert got == seen(await stock.request(**asked)), asked

    run(check())


# Servers that misbehave


def raw(head: str, body: bytes = b"") -> bytes:
    return head.replace("\n", "\r\n").encode("latin-1") + b"\r\n\r\n" + body


OK = "HTTP/1.1 200 OK"
CHUNKED = f"{OK}\nTransfer-Encoding: chunked"


def scripted(name: str) -> Script:
    """What a server does with a request that it has read."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        match name:
            case "reset-at-once":
                pass
            case "reset-in-the-head":
                writer.write(b"HTTP/1.1 200 OK\r\nContent-")
            case "reset-in-the-body":
                writer.write(raw(f"{OK}\nContent-Length: 100", b"half"))
            case "half-closed":
                writer.write(raw(OK, b"until the end"))
                writer.write_eof()
                await reader.read()
                return
            case "half-closed-before":
                writer.write_eof()
                await reader.read()
                return
            case "trickled":
                for byte in raw(f"{CHUNKED}\nX-A: 1", b"3\r\nabc\r\n0\r\n\r\n"):
                    writer.write(bytes([byte]))
                    await writer.drain()
                return
        await writer.drain()
        if name.startswith("reset"):
            sock = writer.get_extra_info("socket")
            # With a linger of zero the kernel answers with RST.
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()

    return script


ALIKE: dict[str, Script] = {
    "garbage": says(b"\x00\x16garbage\r\n\r\n"),
    "another-protocol": says(b"SSH-2.0-OpenSSH_9.6\r\n"),
    "status-of-two-digits": says(raw("HTTP/1.1 20 OK\nContent-Length: 0")),
    "no-status": says(raw("HTTP/1.1 OK\nContent-Length: 0")),
    "http-2": says(raw("HTTP/2.0 200 OK\nContent-Length: 0")),
    "header-without-colon": says(raw(f"{OK}\nno colon here\nContent-Length: 0")),
    "space-in-a-header-name": says(raw(f"{OK}\nX Y: 1\nContent-Length: 0")),
    "nul-in-a-header": says(raw(f"{OK}\nX: a\0b\nContent-Length: 0")),
    "length-of-letters": says(raw(f"{OK}\nContent-Length: many", b"xx")),
    "length-below-zero": says(raw(f"{OK}\nContent-Length: -1", b"xx")),
    "two-lengths": says(raw(f"{OK}\nContent-Length: 1\nContent-Length: 2", b"xx")),
    "short": says(raw(f"{OK}\nContent-Length: 9", b"xx")),
    "longer-than-said": says(raw(f"{OK}\nContent-Length: 2", b"okXXXX")),
    "chunk-of-letters": says(raw(CHUNKED, b"zz\r\nabc\r\n0\r\n\r\n")),
    "chunk-too-short": says(raw(CHUNKED, b"5\r\nabc")),
    "chunk-without-end": says(raw(CHUNKED, b"3\r\nabcdef\r\n0\r\n\r\n")),
    "chunks-without-last": says(raw(CHUNKED, b"3\r\nabc\r\n")),
    "chunks-with-trailer": says(raw(CHUNKED, b"3\r\nabc\r\n0\r\nX-T: 1\r\n\r\n")),
    "chunk-extension": says(raw(CHUNKED, b"3;a=b\r\nabc\r\n0\r\n\r\n")),
    "closed": says(b""),
    "closed-in-the-head": says(b"HTTP/1.1 200 OK\r\nContent-"),
    "closed-after-the-head": says(raw(f"{OK}\nContent-Length: 1")),
    "until-closed": says(raw(OK, b"until the end")),
    "http-1.0": says(raw("HTTP/1.0 200 OK", b"old")),
    "http-1.0-length": says(raw("HTTP/1.0 200 OK\nContent-Length: 3", b"old")),
    "100-first": says(raw("HTTP/1.1 100 Continue") + raw(f"{OK}\nContent-Length: 2", b"ok")),
    "hints-first": says(
        raw("HTTP/1.1 103 Early Hints\nLink: </x>")
        + raw("HTTP/1.1 102 Processing")
        + raw(f"{OK}\nContent-Length: 2", b"ok")
    ),
    "hints-then-short": says(
        raw("HTTP/1.1 103 Early Hints") + raw(f"{OK}\nContent-Length: 9", b"xx")
    ),
    "hints-then-until-closed": says(raw("HTTP/1.1 103 Early Hints") + raw(OK, b"until the end")),
    "only-hints": says(raw("HTTP/1.1 103 Early Hints")),
    "204-with-length": says(raw("HTTP/1.1 204 No Content\nContent-Length: 5")),
    "304-with-length": says(raw("HTTP/1.1 304 Not Modified\nContent-Length: 5")),
    "strange-status": says(raw("HTTP/1.1 799 Whatever\nContent-Length: 0")),
    "no-reason": says(raw("HTTP/1.1 200 \nContent-Length: 2", b"ok")),
    "close-in-capitals": says(raw(f"{OK}\nCONNECTION: CLOSE\nCONTENT-LENGTH: 2", b"ok")),
    "spaces-around-a-value": says(raw(f"{OK}\nX:  \t a  b \t\nContent-Length: 0")),
    **{
        name: scripted(name)
        for name in (
            "reset-at-once",
            "reset-in-the-head",
            "reset-in-the-body",
            "half-closed",
            "half-closed-before",
            "trickled",
        )
    },
    "stalls": stays(b""),
    "stalls-in-the-head": stays(b"HTTP/1.1 200 OK\r\nContent-"),
    "stalls-in-the-body": stays(raw(f"{OK}\nContent-Length: 9", b"xx")),
    "stalls-in-a-chunk": stays(raw(CHUNKED, b"5\r\nab")),
}


def patience(name: str) -> float:
    """Seconds to wait for a server, which a busy machine may keep from answering."""
    return 0.3 if name.startswith(("stalls", "endless")) else 10.0


async def outcome(
    transport: httpx.AsyncBaseTransport, script: Script, read_s: float = 10, **asked: Any
) -> Any:
    """The answer as a caller sees it, or the type of the exception."""
    timeout = httpx.Timeout(10, read=read_s)
    async with playing(script) as port, client_of(transport, timeout=timeout) as client:
        try:
            async with asyncio.timeout(15):
                got = await client.request(
                    **({"method": "GET", "url": f"http://127.0.0.1:{port}/"} | asked)
                )
        except httpx.TransportError as error:
            assert error.request.url.port == port
            return type(error)
    return {key: value for key, value in seen(got).items() if key != "url"}


@pytest.mark.parametrize("name", ALIKE)
def test_what_a_hostile_server_says_ends_as_in_stock_httpx(run: Run, name: str) -> None:
    async def check() -> None:
        script, read_s = ALIKE[name], patience(name)
        stock = await outcome(httpx.AsyncHTTPTransport(), script, read_s)
        assert await outcome(HttpTransport(), script, read_s) == stock

    run(check())


MANY = "\n".join(f"X-{n}: {'v' * 90}" for n in range(4000))

OTHERWISE: dict[str, tuple[Script, type[Exception]]] = {
    # Nothing here asks for another protocol, so there is none to switch to.
    "switches": (says(raw("HTTP/1.1 101 Switching\nUpgrade: x")), httpx.RemoteProtocolError),
    # Limits of our own, by name.
    "headers-without-end": (stays(raw(f"{OK}\n{MANY}")[:-4]), BodyTooLarge),
    "one-endless-header": (stays(f"{OK}\r\nX: ".encode() + b"x" * 400_000), BodyTooLarge),
    "large": (stays(raw(f"{OK}\nContent-Length: 3000", b"x" * 3000)), BodyTooLarge),
    "endless-chunks": (stays(raw(CHUNKED, b"40\r\n" + b"x" * 64 + b"\r\n") * 1), httpx.ReadTimeout),
    "large-chunks": (
        stays(raw(CHUNKED, (b"400\r\n" + b"x" * 1024 + b"\r\n") * 3)),
        BodyTooLarge,
    ),
    "large-until-closed": (says(raw(OK, b"x" * 3000)), BodyTooLarge),
}


@pytest.mark.parametrize("name", OTHERWISE)
def test_what_ends_otherwise_than_in_stock_httpx_has_a_name(run: Run, name: str) -> None:
    script, wrong = OTHERWISE[name]

    async def check() -> None:
        assert await outcome(HttpTransport(body_limit=2000), script, patience(name)) is wrong

    run(check())


@pytest.mark.parametrize("length", [0, 5, 10**9])
def test_a_reply_to_head_has_the_length_of_the_body_that_it_spares(run: Run, length: int) -> None:
    async def check() -> None:
        script = stays(raw(f"{OK}\nContent-Length: {length}"))
        stock = await outcome(httpx.AsyncHTTPTransport(), script, method="HEAD")
        assert await outcome(HttpTransport(), script, method="HEAD") == stock
        assert stock["body"] == b""

    run(check())


@pytest.mark.parametrize(
    ("head", "kept"),
    [
        (OK, True),
        ("HTTP/1.1 103 Early Hints\nLink: </x>\n\n" + OK, True),
        (f"{OK}\nConnection: close", False),
        ("HTTP/1.0 200 OK", False),
        ("HTTP/1.0 200 OK\nConnection: keep-alive", True),
    ],
)
def test_a_reply_to_head_without_a_length_does_not_cost_its_connection(
    run: Run, head: str, kept: bool
) -> None:
    connections: list[int] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(1)
        await stays(*[raw(head)] * 3)(reader, writer)

    async def check() -> None:
        async with playing(script) as port, client_of(HttpTransport()) as client:
            for _ in range(3):
                got = await client.head(f"http://127.0.0.1:{port}/")
                assert (got.status_code, got.content) == (200, b"")
        assert len(connections) == (1 if kept else 3)

    run(check())


def test_a_server_that_closes_after_a_few_requests_costs_no_request(run: Run) -> None:
    """Whether it says so or not: the next request takes a new connection."""
    reply = raw(f"{OK}\nContent-Length: 2", b"ok")
    last = raw(f"{OK}\nConnection: close\nContent-Length: 2", b"ok")

    async def check() -> None:
        for script in (says(reply, last), says(reply, reply)):
            async with playing(script) as port, client_of(HttpTransport()) as client:
                for _ in range(12):
                    got = await client.get(f"http://127.0.0.1:{port}/")
                    assert got.content == b"ok"
                    # Of a close that was not announced, the end is at hand before the next request.
                    await _turns(20)

    run(check())


async def _turns(count: int) -> None:
    for _ in range(count):
        turned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.0005, turned.set_result, None)
        await turned


@pytest.mark.parametrize("name", ALIKE)
def test_after_any_hostile_reply_the_next_request_is_answered(run: Run, name: str) -> None:
    """One connection only: what was left of it must not harm who comes after."""
    fine = raw(f"{OK}\nContent-Length: 4", b"fine")

    async def check() -> None:
        timeout = httpx.Timeout(10, read=patience(name))
        async with (
            playing(ALIKE[name], stays(*[fine] * 9)) as port,
            client_of(HttpTransport(connections=1), timeout=timeout) as client,
        ):
            url = f"http://127.0.0.1:{port}/"
            with suppress(httpx.TransportError):
                await client.get(url)
            client.timeout = httpx.Timeout(10)
            async with asyncio.timeout(15):
                assert (await _persistent(client, url)).content == b"fine"

    run(check())


async def _persistent(client: httpx.AsyncClient, url: str) -> httpx.Response:
    """Once more after a connection that the server has closed without a word."""
    try:
        return await client.get(url)
    except (httpx.RemoteProtocolError, httpx.ReadError):
        return await client.get(url)


def test_a_refused_connection_is_the_same_error_in_both(run: Run) -> None:
    async def check() -> None:
        for transport in (HttpTransport(), httpx.AsyncHTTPTransport()):
            async with client_of(transport) as client:
                for host in (f"127.0.0.1:{free_port()}", "no-such-host.invalid"):
                    with pytest.raises(httpx.ConnectError):
                        await client.get(f"http://{host}/")

    run(check())
