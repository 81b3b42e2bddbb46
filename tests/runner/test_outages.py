"""Outages of the gateway: when they are, and that a gateway which does not take them ends it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from perfkit.errors import StackError
from perfkit.runner.outages import announce_outages, outages_of
from perfkit.scenario import load_document, parse, with_values

S = 1_000_000_000


def test_an_outage_counts_from_the_start_of_the_window() -> None:
    document, _ = load_document("light")
    values = {"gateway.payments.outage_from": "10s", "gateway.payments.outage_until": "20s"}
    scenario = parse(with_values(document, values), "case")
    assert outages_of(scenario, 1000 * S) == {"payments": [(1010 * S, 1020 * S, "refuse")]}


def test_without_an_outage_nothing_is_said_and_no_gateway_is_needed() -> None:
    document, _ = load_document("light")
    assert outages_of(parse(document, "case"), 0) == {}
    announce_outages(None, {})


def test_an_outage_of_a_gateway_that_is_not_there_is_an_error() -> None:
    with pytest.raises(StackError, match="no gateway"):
        announce_outages(None, {"payments": [(0, 1, "refuse")]})
    with pytest.raises(StackError, match="did not take its outages"):
        announce_outages("http://127.0.0.1:9", {"payments": [(0, 1, "refuse")]})


class _Refusing(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(400)
        self.end_headers()
        self.wfile.write(b"no queue is named paymnts")

    def log_message(self, *_: object) -> None:
        return


@pytest.fixture
def refusing() -> Iterator[str]:
    """A gateway that takes no outage, and says why."""
    with HTTPServer(("127.0.0.1", 0), _Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_reason_of_the_gateway_is_in_the_error(refusing: str) -> None:
    with pytest.raises(StackError, match=r"\(400\): no queue is named paymnts"):
        announce_outages(refusing, {"paymnts": [(0, 1, "refuse")]})
