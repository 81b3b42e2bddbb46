"""A generator in a process of its own: what it says, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from time import monotonic_ns
from typing import Any

import pytest

from perfkit.errors import UsageError
from perfkit.load import process
from perfkit.load.arrivals import Segment
from perfkit.load.rows import recover
from perfkit.load.spec import JourneySpec, LoadSpec
from tests.load.specs import S, population, read_requests, spec_for
from tests.waiting import wait_until

LONG = {"segments": (Segment(60 * S, 100.0, 100.0),), "load_ns": 60 * S}


class _Jobs(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"id": self.headers["Idempotency-Key"]}).encode()
        self.send_response(202)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Say nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """A server of the standard library in a thread."""
    with ThreadingHTTPServer(("127.0.0.1", 0), _Jobs) as server:
        server.daemon_threads = True
        thread = Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


class Child:
    """The process, and the lines it says."""

    def __init__(self, spec: LoadSpec, *arguments: str, **popen: Any) -> None:
        path = Path(spec.output) / "spec.json"
        path.write_text(spec.to_json())
        self.output = Path(spec.output)
        self.process = subprocess.Popen(
            [sys.executable, "-m", "perfkit.load", str(path), *arguments],
            **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True} | popen,
        )

    def says(self) -> dict[str, Any]:
        """The next line."""
        assert self.process.stdout is not None
        line: dict[str, Any] = json.loads(self.process.stdout.readline())
        return line

    def until_it_has_sent(self, count: int) -> None:
        """Read its figures up to there."""
        while self.says().get("sent", 0) < count:
            pass

    def ended(self) -> tuple[int, str]:
        """Exit code and what it said on stderr."""
        _, errors = self.process.communicate(timeout=10)
        return self.process.returncode, errors

    @property
    def summary(self) -> dict[str, Any]:
        summary: dict[str, Any] = json.loads((self.output / "generator.json").read_text())
        return summary


@contextmanager
def child(spec: LoadSpec, *arguments: str, **popen: Any) -> Iterator[Child]:
    """A generator that is gone afterwards, whatever happens."""
    made = Child(spec, *arguments, **popen)
    try:
        yield made
    finally:
        made.process.kill()
        made.process.communicate()


def test_it_says_what_it_does_and_leaves_its_files(url: str, tmp_path: Path) -> None:
    spec = spec_for(tmp_path, url, segments=(Segment(S, 100.0, 100.0),), load_ns=S)
    with child(LoadSpec.from_json(spec.to_json())) as generator:
        assert generator.says() == {"loaded": True}
        ready = generator.says()
        assert ready["ready"] is True
        figures = generator.says()
        assert figures.keys() == {
            *("elapsed_s", "planned", "sent", "in_flight", "done", "dropped", "errors", "lag_ms")
        }
        last = figures
        while "finished" not in last:
            last = generator.says()
        assert last == {"finished": True, "interrupted": False}
        assert generator.ended() == (0, "")
        summary = generator.summary
        assert (summary["planned"], summary["accepted"], summary["errors"]) == (100, 100, {})
        assert summary["interrupted"] is False
        assert summary["wall_ns"] > 0
        assert summary["cpu_ns"] > 0
        assert summary["loop"].startswith("uvloop")
        assert len(read_requests(tmp_path)) == 100
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == ["generator.json", "requests.arrow", "spec.json"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_in_good_order(url: str, tmp_path: Path, number: signal.Signals) -> None:
    with child(spec_for(tmp_path, url, **LONG)) as generator:
        generator.until_it_has_sent(20)
        generator.process.send_signal(number)
        assert generator.ended() == (0, "")
        assert generator.summary["interrupted"] is True
        assert len(read_requests(tmp_path)) == generator.summary["planned"] >= 20


def test_it_ends_when_its_parent_is_gone(url: str, tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    arguments = ("--lifeline-fd", str(read_end))
    with child(spec_for(tmp_path, url, **LONG), *arguments, pass_fds=(read_end,)) as generator:
        os.close(read_end)
        generator.until_it_has_sent(10)
        os.close(write_end)
        assert generator.ended() == (0, "")
        assert generator.summary["interrupted"] is True


def test_load_starts_when_it_is_told_to_go(url: str, tmp_path: Path) -> None:
    spec = spec_for(tmp_path, url, start_ns=0, segments=(Segment(S, 100.0, 100.0),))
    arguments = ("--lifeline-fd", "0", "--await-go")
    with child(spec, *arguments, stdin=subprocess.PIPE) as generator:
        assert generator.says() == {"loaded": True}
        start_ns = monotonic_ns() + S // 5
        assert generator.process.stdin is not None
        generator.process.stdin.write(f"{start_ns}\n")
        generator.process.stdin.flush()
        while "finished" not in generator.says():
            pass
        rows = read_requests(tmp_path)
        assert [row["intended_ns"] - start_ns for row in rows] == [n * S // 100 for n in range(20)]
        assert generator.summary["late"] < len(rows)


@pytest.mark.parametrize("end", ["signal", "parent"])
def test_without_a_go_it_ends_and_measures_nothing(url: str, tmp_path: Path, end: str) -> None:
    arguments = ("--lifeline-fd", "0", "--await-go")
    with child(spec_for(tmp_path, url), *arguments, stdin=subprocess.PIPE) as generator:
        assert generator.says() == {"loaded": True}
        if end == "signal":
            generator.process.send_signal(signal.SIGTERM)
        else:
            assert generator.process.stdin is not None
            generator.process.stdin.close()
            generator.process.stdin = None
        assert generator.ended() == (0, "")
        assert [path.name for path in tmp_path.iterdir()] == ["spec.json"]


def journey_of(folder: Path, code: str) -> dict[str, Any]:
    """Users with this code, as fields of a spec; its output is a folder beside."""
    (folder / "journey.py").write_text(code)
    (folder / "output").mkdir()
    journey = JourneySpec(name="user", user="journey.py:user", folder=str(folder))
    return {"jobs": (), "journey": journey, "model": "closed", "segments": population(1)}


@pytest.mark.parametrize(
    "begun",
    [
        "threading.Thread(target=threading.Event().wait).start()",
        "asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)",
        "KEPT.append(asyncio.create_task(stubborn()))",
    ],
)
def test_what_user_code_began_besides_does_not_keep_it_from_its_end(
    url: str, tmp_path: Path, begun: str
) -> None:
    code = f"""
import asyncio
import threading

KEPT = []

async def stubborn():
    while True:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            pass

async def user(client, ctx):
    if ctx.iteration == 0:
        {begun}
    await client.post("/", content=b"")
"""
    with child(spec_for(tmp_path / "output", url, **journey_of(tmp_path, code))) as generator:
        code, said = generator.ended()
        assert (code, "Traceback" in said) == (0, False)
        assert generator.summary["accepted"] == generator.summary["planned"] > 0


def test_children_of_user_code_neither_take_its_go_nor_speak_in_its_place(
    url: str, tmp_path: Path
) -> None:
    code = """
import os
import subprocess

subprocess.run(["cat"])
subprocess.run(["echo", "from a child"])
os.write(1, b"3\\n")

async def user(client, ctx):
    await client.post("/", content=b"")
"""
    spec = spec_for(tmp_path / "output", url, start_ns=0, **journey_of(tmp_path, code))
    arguments = ("--lifeline-fd", "0", "--await-go")
    with child(spec, *arguments, stdin=subprocess.PIPE) as generator:
        assert generator.says() == {"loaded": True}
        assert generator.process.stdin is not None
        generator.process.stdin.write(f"{monotonic_ns()}\n")
        generator.process.stdin.flush()
        while "finished" not in generator.says():
            pass
        generator.process.stdin.close()
        generator.process.stdin = None
        assert generator.ended() == (0, "from a child\n3\n")
        assert generator.summary["accepted"] > 0


def test_the_rows_of_a_killed_generator_are_recovered(url: str, tmp_path: Path) -> None:
    with child(spec_for(tmp_path, url, **LONG)) as generator:
        generator.until_it_has_sent(20)
        generator.process.kill()
        generator.ended()
        assert not (tmp_path / "requests.arrow").exists()
        assert recover(tmp_path)
        rows = read_requests(tmp_path)
        assert len(rows) >= 20
        assert sum(row["status"] == 202 for row in rows) >= 19
        assert generator.summary["interrupted"] is True


def test_a_generator_that_is_about_to_write_its_files_is_waited_for(
    url: str, tmp_path: Path
) -> None:
    read_end, write_end = os.pipe()
    arguments = ("--lifeline-fd", str(read_end))
    with child(spec_for(tmp_path, url, **LONG), *arguments, pass_fds=(read_end,)) as generator:
        os.close(read_end)
        generator.until_it_has_sent(10)
        os.close(write_end)
        assert not recover(tmp_path), "it did that itself"
        assert generator.summary["cpu_ns"] > 0
        assert generator.ended() == (0, "")


def test_a_generator_that_was_too_slow_leaves_what_was_recovered_alone(
    url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "trial=0000.partial"
    folder.mkdir()
    with child(spec_for(folder, url, **LONG)) as generator:
        generator.until_it_has_sent(10)
        assert recover(folder, 0)
        moved = folder.rename(tmp_path / "trial=0000")
        rows = read_requests(moved)
        generator.process.send_signal(signal.SIGTERM)
        assert generator.ended() == (0, "")
        assert not folder.exists()
        assert read_requests(moved) == rows


def test_nobody_needs_to_read_what_it_says(url: str, tmp_path: Path) -> None:
    read_end, write_end = os.pipe()
    os.set_blocking(write_end, False)
    try:
        while True:
            os.write(write_end, b"x" * 4096)
    except BlockingIOError:
        pass
    spec = spec_for(tmp_path, url, segments=(Segment(S, 100.0, 100.0),))
    with child(spec, stdout=write_end) as generator:
        os.close(write_end)
        wait_until((tmp_path / "generator.json").exists, 10, "it has written its files")
        assert generator.ended() == (0, "")
    os.close(read_end)


def test_a_server_that_is_not_there_is_measured_as_errors(tmp_path: Path) -> None:
    with child(spec_for(tmp_path, segments=(Segment(S, 100.0, 100.0),))) as generator:
        generator.says()
        assert generator.says() == {"ready": True, "connections": 0}
        assert generator.ended()[0] == 0
        assert generator.summary["errors"] == {"connect": 20}


@pytest.mark.parametrize(
    ("ports", "hard", "words"),
    [("40000\t40099\n", 10**6, "100 local ports"), ("1 65535", 150, "limit of 150 open files")],
)
def test_more_connections_than_the_host_can_have_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ports: str, hard: int, words: str
) -> None:
    (tmp_path / "range").write_text(ports)
    monkeypatch.setattr(process, "_PORT_RANGE", tmp_path / "range")
    monkeypatch.setattr("resource.getrlimit", lambda _: (100, hard))
    with pytest.raises(UsageError, match=words):
        process.run_process(spec_for(tmp_path, connections=101))


def test_what_can_not_be_done_is_one_clear_error(tmp_path: Path) -> None:
    cases: list[tuple[dict[str, Any], str]] = [
        ({"connections": 10**9}, "local ports"),
        ({"cpus": (4095,)}, "CPUs"),
        ({"output": str(tmp_path / "none")}, "No such file"),
        ({"start_ns": "soon"}, "not a load spec"),
    ]
    for wrong, words in cases:
        path = tmp_path / "spec.json"
        path.write_text(json.dumps(json.loads(spec_for(tmp_path).to_json()) | wrong))
        done = subprocess.run(
            [sys.executable, "-m", "perfkit.load", str(path)],
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
        assert (done.returncode, done.stdout.count("ready")) == (2, 0)
        assert words in done.stderr
        assert "mend:" in done.stderr
        assert "Traceback" not in done.stderr
