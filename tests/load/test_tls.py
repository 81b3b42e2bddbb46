"""TLS, HTTP/2 and proxies: stock transports behind the same client, against real servers."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import trustme

from perfkit.load.transport import HttpTransport
from tests.load.asgi import BIG, behind_hypercorn
from tests.load.conftest import Run
from tests.load.journeys import CLOSED, play
from tests.load.servers import ACCEPTED, playing, read_request, stays
from tests.load.specs import S, population

CA = trustme.CA()


@contextmanager
def certificate(folder: Path, *names: str) -> Iterator[dict[str, str]]:
    """Files of a certificate for these names, as hypercorn takes them."""
    issued = CA.issue_cert(*names)
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    yield {"certfile": str(folder / "cert.pem"), "keyfile": str(folder / "key.pem")}


@asynccontextmanager
async def secured(folder: Path, *names: str) -> AsyncIterator[str]:
    with certificate(folder, *names) as files:
        async with behind_hypercorn(**files) as url:
            yield url


def trusting() -> ssl.SSLContext:
    context = ssl.create_default_context()
    CA.configure_trust(context)
    return context


def client_of(**settings: Any) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=HttpTransport(**settings), timeout=10)


def test_https_answers_where_its_certificate_is_trusted(run: Run, tmp_path: Path) -> None:
    async def check() -> None:
        async with (
            secured(tmp_path, "127.0.0.1") as url,
            client_of(verify=trusting()) as client,
        ):
            for _ in range(2):
                got = await client.post(f"{url}/echo", json={"amount": 1})
                assert (got.status_code, got.http_version) == (200, "HTTP/1.1")
                assert got.json()["body"] == '{"amount":1}'
            assert (await client.get(f"{url}/big")).content == BIG

    run(check())


@pytest.mark.parametrize(
    ("name", "trusted", "why"),
    [("127.0.0.1", False, "verify failed"), ("elsewhere.test", True, "IP address mismatch")],
)
def test_a_certificate_that_is_not_trusted_is_a_connect_error(
    run: Run, tmp_path: Path, name: str, trusted: bool, why: str
) -> None:
    async def check() -> None:
        async with (
            secured(tmp_path, name) as url,
            client_of(verify=trusting() if trusted else True) as client,
        ):
            with pytest.raises(httpx.ConnectError, match=why):
                await client.get(f"{url}/echo")

    run(check())


def test_a_certificate_may_be_left_unread(run: Run, tmp_path: Path) -> None:
    async def check() -> None:
        async with secured(tmp_path, "elsewhere.test") as url, client_of(verify=False) as client:
            assert (await client.get(f"{url}/echo")).status_code == 200

    run(check())


def test_plain_http_to_a_port_that_speaks_tls_and_the_reverse_end_in_an_error(
    run: Run, tmp_path: Path
) -> None:
    async def check() -> None:
        async with secured(tmp_path, "127.0.0.1") as url, client_of(verify=trusting()) as client:
            with pytest.raises(httpx.TransportError):
                await client.get(url.replace("https", "http"))
            async with playing(stays(ACCEPTED)) as port, asyncio.timeout(5):
                with pytest.raises(httpx.TransportError):
                    await client.get(f"https://127.0.0.1:{port}/", timeout=0.3)

    run(check())


def test_http_2_shares_one_connection(run: Run, tmp_path: Path) -> None:
    async def check() -> None:
        async with (
            secured(tmp_path, "127.0.0.1") as url,
            client_of(verify=trusting(), http2=True) as client,
        ):
            await client.get(f"{url}/echo")
            got = await asyncio.gather(*[client.get(f"{url}/{n}") for n in range(30)])
            assert {each.http_version for each in got} == {"HTTP/2"}
            assert [each.json()["path"] for each in got] == [f"/{n}" for n in range(30)]
            peers = {
                each.extensions["network_stream"].get_extra_info("client_addr") for each in got
            }
            assert len(peers) == 1

    run(check())


def test_stock_transports_get_few_connections(run: Run, tmp_path: Path) -> None:
    """Their pools cost the square of what is in flight."""

    async def check() -> None:
        async with (
            secured(tmp_path, "127.0.0.1") as url,
            client_of(verify=trusting(), connections=3) as client,
        ):
            got = await asyncio.gather(*[client.get(f"{url}/echo") for _ in range(20)])
            peers = {
                each.extensions["network_stream"].get_extra_info("client_addr") for each in got
            }
            assert 1 <= len(peers) <= 3

    run(check())


def test_more_requests_at_once_take_more_transports_within_the_limit(
    run: Run, tmp_path: Path
) -> None:
    async def check() -> None:
        async with (
            secured(tmp_path, "127.0.0.1") as url,
            client_of(verify=trusting(), connections=20) as client,
        ):
            for _ in range(2):
                got = await asyncio.gather(*[client.get(f"{url}/echo") for _ in range(40)])
                peers = {
                    each.extensions["network_stream"].get_extra_info("client_addr") for each in got
                }
                assert 9 <= len(peers) <= 20

    run(check())


def test_what_a_request_waits_for_a_connection_is_blocked_time_over_https_too(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = """
import asyncio

async def user(client, ctx):
    await asyncio.gather(*[client.get("{url}/echo") for _ in range(3)])
    await client.get("{url}/echo", extensions={{"name": "alone"}})
"""

    async def check() -> None:
        CA.cert_pem.write_to_path(tmp_path / "ca.pem")
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
        async with secured(tmp_path, "127.0.0.1") as url:
            played = await play(
                tmp_path, code.format(url=url), segments=population(1), load_ns=S, connections=1,
                timeout_ns=5 * S, **CLOSED,
            )  # fmt: skip
        assert {row["status"] for row in played.rows} == {200}
        first, second, third = sorted(played.rows[:3], key=lambda row: row["sent_ns"])
        assert first["done_ns"] <= second["sent_ns"]
        assert second["done_ns"] <= third["sent_ns"]
        assert all(row["blocked_ns"] > 0 for row in (first, second, third))
        assert third["blocked_ns"] > first["done_ns"] - first["sent_ns"]
        alone = [row["blocked_ns"] for row in played.rows if row["queue"] == "alone"]
        assert set(alone) == {0}, "a connection was at hand"

    run(check())


def test_a_proxy_is_asked_for_the_whole_url_and_without_one_nobody_is(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await read_request(reader):
            asked.append(request.split(b"\r\n", 1)[0])
            writer.write(ACCEPTED)

    async def check() -> None:
        async with playing(proxy) as port, playing(stays(ACCEPTED)) as server:
            # What a shell says is no business of ours.
            monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
            monkeypatch.setenv("ALL_PROXY", f"http://127.0.0.1:{port}")
            async with client_of() as client:
                assert (await client.get(f"http://127.0.0.1:{server}/")).status_code == 202
            assert asked == []
            async with client_of(proxy=f"http://127.0.0.1:{port}") as client:
                got = await client.get("http://somewhere.test/a?b=1")
            assert got.status_code == 202
            assert asked == [b"GET http://somewhere.test/a?b=1 HTTP/1.1"]

    run(check())


def test_a_journey_counts_and_names_a_certificate_that_is_not_trusted(
    run: Run, tmp_path: Path
) -> None:
    async def check() -> None:
        async with secured(tmp_path, "127.0.0.1") as url:
            code = f"async def user(client, ctx):\n    await client.get('{url}/echo')\n"
            played = await play(
                tmp_path, code, segments=population(1), load_ns=S, timeout_ns=5 * S, **CLOSED
            )
        assert {row["error"] for row in played.rows} == {"certificate"}
        assert played.outcomes == {"ConnectError at journey.py:2"}

    run(check())
