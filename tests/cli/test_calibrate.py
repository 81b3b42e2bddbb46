"""`perfkit calibrate`: what the generator can do, told and not judged; `doctor` keeps it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import perfkit
from tests.leaks import assert_gone, descendants_of, identities, no_leaks
from tests.load.servers import ACCEPTED, Script, playing, read_request, says
from tests.waiting import wait_until

Tell = Callable[..., tuple[int, str, str]]
VIEWS = ("p50", "p95", "p99", "max")


@contextlib.contextmanager
def somewhere(*scripts: Script) -> Iterator[str]:
    """A server in a thread, of whose connections the first is only looked at; yields its URL."""
    ports: list[int] = []
    ready, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with playing(says(), *scripts) as port:
            ports.append(port)
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(5)
        yield f"http://127.0.0.1:{ports[0]}"
    finally:
        over.set()
        thread.join()


def calibrated(tell: Tell, *arguments: str) -> dict[str, Any]:
    with no_leaks():
        code, out, _ = tell("calibrate", *arguments, "--json")
    assert code == 0
    document: dict[str, Any] = json.loads(out)
    return document


def test_the_document_is_that_of_the_contract(tell: Tell) -> None:
    found = calibrated(tell, "--rate", "200", "--duration", "500ms", "--connections", "4")
    assert {
        "requests_per_s",
        "requests",
        "errors",
        "cpu_us_per_request",
        "latency_ms",
        "send_lag_ms",
    } <= set(found)
    assert found["requests"] == 100, "exactly rate x duration"
    assert found["errors"] == 0
    assert 0 < found["requests_per_s"] <= 200
    assert found["cpu_us_per_request"] > 0
    views = [found["latency_ms"]["intended"], found["latency_ms"]["sent"], found["send_lag_ms"]]
    for view in views:
        assert set(view) == set(VIEWS)
        assert list(view.values()) == sorted(view.values()), "quantiles grow"
        assert view["p50"] >= 0
    assert all(views[0][name] >= views[1][name] for name in VIEWS), "intended comes before sent"


def test_without_a_rate_every_connection_sends_back_to_back(tell: Tell) -> None:
    found = calibrated(tell, "--duration", "500ms", "--connections", "3")
    assert found["errors"] == 0
    assert found["requests"] > 3
    assert found["requests_per_s"] == pytest.approx(found["requests"] / 0.5), "over the duration"


def test_the_same_is_there_in_python() -> None:
    found = perfkit.calibrate(rate=100, duration="200ms", connections=2)
    assert (found.requests, found.errors) == (20, 0)
    assert found.requests_per_s_per_core is not None


def test_for_a_person_it_is_a_small_table(tell: Tell) -> None:
    code, out, _ = tell("calibrate", "--rate", "100", "--duration", "200ms")
    assert code == 0
    for words in ("20 requests, 0 errors", "a core of its own", "P99", "send lag"):
        assert words in out


def test_a_url_without_a_path_is_sent_what_a_run_sends(tell: Tell) -> None:
    seen: list[bytes] = []
    with somewhere(taking(seen)) as url:
        found = calibrated(tell, "--url", url, "--rate", "50", "--duration", "200ms")
    assert found["errors"] == 0
    assert {request.split(b"\r\n")[0] for request in seen} == {b"POST /jobs/payments HTTP/1.1"}
    assert len({request.split(b"Idempotency-Key: ")[1][:36] for request in seen}) == 10
    assert len({request.partition(b"\r\n\r\n")[2] for request in seen}) == 10, "unique bodies"


def test_a_url_with_a_path_is_taken_as_it_is(tell: Tell) -> None:
    seen: list[bytes] = []
    with somewhere(taking(seen)) as url:
        calibrated(tell, "--url", f"{url}/a/b?c=d", "--rate", "50", "--duration", "100ms")
    assert {request.split(b"\r\n")[0] for request in seen} == {b"POST /a/b?c=d HTTP/1.1"}


def taking(seen: list[bytes]) -> Script:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await read_request(reader):
            seen.append(request)
            writer.write(ACCEPTED)

    return script


def test_what_goes_wrong_over_there_is_counted_and_named(tell: Tell) -> None:
    moved = b"HTTP/1.1 302 Found\r\nlocation: /elsewhere\r\ncontent-length: 0\r\n\r\n"
    failed = b"HTTP/1.1 503 Busy\r\ncontent-length: 0\r\n\r\n"
    big = b"HTTP/1.1 202 Fine\r\ncontent-length: 9000000\r\n\r\n" + b"x" * 2_000_000
    with somewhere(says(ACCEPTED, moved, failed, b"who are you?"), says(big), says(b"")) as url:
        found = calibrated(
            tell, "--url", url, "--rate", "20", "--duration", "400ms", "--connections", "1"
        )
    kinds = found["error_kinds"]
    assert found["requests"] == 8
    assert (kinds["status 302"], kinds["status 503"], kinds["protocol"]) == (1, 1, 1)
    assert (kinds["too_large"], kinds["reset"]) == (1, 3)
    assert found["errors"] == sum(kinds.values()) == 7


def test_a_server_that_never_answers_ends_as_timeouts_or_abandoned(
    tell: Tell, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("perfkit.api.calibrating._TIMEOUT_NS", 300_000_000)

    async def silent(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        while await reader.read(65536):
            pass

    with somewhere(silent) as url:
        found = calibrated(
            tell, "--url", url, "--rate", "20", "--duration", "200ms", "--connections", "4"
        )
    assert found["errors"] == found["requests"] == 4
    assert set(found["error_kinds"]) <= {"timeout", "abandoned"}
    assert found["requests_per_s"] == 0
    assert found["cpu_us_per_request"] is None
    assert set(found["latency_ms"]["intended"].values()) == {None}


def test_a_server_that_has_gone_is_not_asked_in_a_spin(tell: Tell) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]

    def look_and_leave() -> None:
        listener.accept()[0].close()
        listener.close()

    thread = threading.Thread(target=look_and_leave)
    thread.start()
    url = f"http://127.0.0.1:{port}"
    found = calibrated(tell, "--url", url, "--connections", "2", "--duration", "1s")
    thread.join()
    assert found["error_kinds"] == {"connect": found["requests"]}
    assert 2 <= found["requests"] <= 2 * 10, "a tenth of a second between two attempts"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--url", "http://nowhere.invalid"], ["can't be reached", "nowhere.invalid"]),
        (["--url", "http://127.0.0.1:1"], ["refused", "start the server"]),
        (["--url", "https://127.0.0.1:1"], ["TLS", "http://"]),
        (["--url", "ftp://127.0.0.1"], ["http://host:port"]),
        (["--url", "http://"], ["http://host:port"]),
        (["--url", "http://127.0.0.1:99999"], ["http://host:port"]),
        (["--url", "http://[::1"], ["http://host:port"]),
        (["--url", "http://a..b"], ["no host can be called so"]),
        (["--url", "http://me:hunter2@127.0.0.1:1"], ["password"]),
        (["--url", "http://127.0.0.1:1/a b"], ["%XX"]),
        (["--rate", "0"], ["above 0"]),
        (["--rate", "nan"], ["above 0"]),
        (["--rate", "inf"], ["above 0"]),
        (["--rate", "1e9", "--duration", "1h"], ["lower the rate"]),
        (["--duration", "0s"], ["1 ms"]),
        (["--duration", "5"], ["duration"]),
        (["--duration", "2h"], ["1 h"]),
        (["--duration", "11m"], ["back to back", "10m"]),
        (["--url", "http://127.0.0.1:0", "--rate", "1"], ["127.0.0.1:0 can't be reached"]),
        (["--connections", "0"], ["--connections"]),
        (["--connections", "99999999"], ["connections"]),
    ],
)
def test_what_can_not_be_calibrated_is_refused_with_its_mend(
    tell: Tell, arguments: list[str], words: list[str]
) -> None:
    code, out, err = tell("calibrate", *arguments)
    assert code == 2
    assert out == ""
    assert "hunter2" not in err
    for word in words:
        assert word in err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_whatever_ends_it_nothing_is_left_running(tmp_path: Path, number: signal.Signals) -> None:
    command = [sys.executable, "-m", "perfkit", "calibrate", "--duration", "60s", "--rate", "10"]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
        env=os.environ | {"TMPDIR": str(tmp_path)},
    ) as process:
        wait_until(lambda: len(descendants_of(process.pid)) == 2, 20, "server and sender run")
        children = identities(descendants_of(process.pid))
        os.kill(process.pid, number)
        _, err = process.communicate(timeout=15)
    if number != signal.SIGKILL:
        assert process.returncode == 130
        assert b"Traceback" not in err
        assert list(tmp_path.iterdir()) == [], "its folder is gone, too"
    assert_gone(children)


def test_doctor_keeps_the_ceiling_and_a_run_above_it_is_refused(tell: Tell, tmp_path: Path) -> None:
    _, out, _ = tell("doctor", "--results", str(tmp_path), "--json")
    (check,) = [each for each in json.loads(out)["checks"] if each["name"] == "generator"]
    assert check["ok"]
    (kept,) = tmp_path.glob(".host/*/generator.json")
    ceiling = json.loads(kept.read_text())
    assert {"requests_per_s_per_core", "date", "versions"} <= set(ceiling)
    above = str(ceiling["requests_per_s_per_core"] * 1.01)
    code, out, err = tell(
        "run", "smoke", "--rate", above, "--shards", "1", "--results", str(tmp_path)
    )
    assert (code, out) == (2, "")
    assert "--shards 2" in err
    assert [each.name for each in tmp_path.iterdir()] == [".host"]


def test_a_doctor_without_a_folder_to_keep_it_in_says_so(tell: Tell) -> None:
    _, out, _ = tell("doctor", "--results", "/proc/perfkit-results", "--json")
    (check,) = [each for each in json.loads(out)["checks"] if each["name"] == "generator"]
    assert check["ok"] is None
    assert "could not be kept" in check["detail"]
