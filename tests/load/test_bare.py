"""The bare server answers each request once, with its id, however the bytes come in."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from typing import Any, cast

import httptools
import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.load.bare import BareServer
from perfkit.runner.bare import serving
from tests.leaks import no_leaks


class Wire:
    """Takes what is written."""

    def __init__(self) -> None:
        self.written = b""
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.written += data

    def abort(self) -> None:
        self.aborted = True


class Replies:
    """Bodies and statuses of the replies in a stream of bytes."""

    def __init__(self, data: bytes) -> None:
        self.bodies: list[bytes] = []
        self.statuses: list[int] = []
        self._parser: Any = httptools.HttpResponseParser(self)
        self._parser.feed_data(data)

    def on_headers_complete(self) -> None:
        self.statuses.append(self._parser.get_status_code())

    def on_body(self, body: bytes) -> None:
        self.bodies.append(body)


def connected() -> tuple[BareServer, Wire]:
    server, wire = BareServer(), Wire()
    server.connection_made(cast(Any, wire))
    return server, wire


def request(name: str, body: str, header: str = "Idempotency-Key") -> bytes:
    head = f"POST /jobs/x HTTP/1.1\r\nHost: a\r\n{header}: {name}\r\nContent-Length: {len(body)}"
    return f"{head}\r\n\r\n{body}".encode()


@given(
    st.lists(
        st.tuples(st.from_regex(r"[a-z0-9-]{1,40}", fullmatch=True), st.text('ab{}:"', max_size=9)),
        min_size=1,
        max_size=5,
    ),
    st.sampled_from(["Idempotency-Key", "idempotency-key", "IDEMPOTENCY-KEY"]),
    st.data(),
)
def test_every_request_gets_one_reply_with_its_id_however_the_bytes_are_cut(
    asked: list[tuple[str, str]], header: str, data: st.DataObject
) -> None:
    stream = b"".join(request(name, body, header) for name, body in asked)
    cuts = data.draw(st.lists(st.integers(0, len(stream)), max_size=6).map(sorted))
    server, wire = connected()
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        if end > start:
            server.data_received(stream[start:end])
    replies = Replies(wire.written)
    assert replies.statuses == [202] * len(asked)
    assert [json.loads(body)["id"] for body in replies.bodies] == [name for name, _ in asked]


def test_a_request_that_never_ends_costs_its_connection() -> None:
    server, wire = connected()
    server.data_received(b"POST / HTTP/1.1\r\nX: " + b"x" * (1 << 20))
    assert wire.aborted
    assert wire.written == b""


def test_it_serves_as_long_as_its_parent_wants_and_no_longer() -> None:
    with no_leaks(), serving() as url:
        asked = urllib.request.Request(url, b"{}", {"Idempotency-Key": "one"})
        with urllib.request.urlopen(asked) as reply:
            assert (reply.status, json.load(reply)["id"]) == (202, "one")


def test_it_ends_when_its_parent_dies() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "perfkit.load.bare"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        assert server.stdout.readline().strip().isdigit()
        server.stdin.close()
        assert server.wait(5) == 0


@pytest.mark.parametrize("body", [b"", b"{}"])
def test_a_request_without_an_id_is_answered_too(body: bytes) -> None:
    server, wire = connected()
    server.data_received(b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
    assert Replies(wire.written).statuses == [202]
