"""Loads of user code carried out in the running loop, and what they left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from perfkit.load.arrivals import Think
from perfkit.load.happenings import happenings_table
from perfkit.load.journey import JourneyGenerator
from perfkit.load.rows import finish, new_ledger, read_ledger
from perfkit.load.spec import JobIdRule, JourneySpec, LoadSpec
from perfkit.load.usercode import load_user
from tests.load.servers import Script, read_request
from tests.load.specs import MS, read_requests, spec_for

Rows = list[dict[str, Any]]


def reply(status: int, body: bytes = b"{}", *headers: bytes) -> bytes:
    head = b"".join(header + b"\r\n" for header in headers)
    return b"HTTP/1.1 %d X\r\n%bcontent-length: %d\r\n\r\n%b" % (status, head, len(body), body)


def serving(answer: Callable[[bytes], bytes]) -> Script:
    """Every request of a connection gets the answer to it."""

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await read_request(reader):
            writer.write(answer(request))

    return script


def accepts(request: bytes) -> bytes:
    """A job for each POST; pages for all others."""
    if request.startswith(b"POST"):
        number = json.loads(request.partition(b"\r\n\r\n")[2])["key"]
        return reply(
            202, json.dumps({"id": f"job-{number}"}).encode(), b"x-job: %b" % number.encode()
        )
    return reply(200, b'{"page": 1}')


class Played:
    """A load of user code that was carried out, and what it left."""

    def __init__(self, output: Path) -> None:
        self.rows: Rows = read_requests(output)
        self.counts: dict[str, Any] = json.loads((output / "generator.json").read_text())
        self.happened: Rows = happenings_table(output, 3).to_pylist()

    def of(self, metric: str) -> list[tuple[str, float]]:
        """Subject and value of each record of a metric."""
        return [(each["subject"], each["value"]) for each in self.happened
                if each["metric"] == metric]  # fmt: skip

    @property
    def outcomes(self) -> set[str]:
        return {subject for subject, _ in self.of("journey.iteration")}


async def play(tmp_path: Path, code: str, port: int = 9, **more: Any) -> Played:
    """Carry a journey out in the running loop; the counts must balance, whatever it was."""
    (tmp_path / "journey.py").write_text(code)
    output = tmp_path / "output"
    output.mkdir()
    journey = JourneySpec(
        name="user",
        user="journey.py:user",
        folder=str(tmp_path),
        **more.pop("journey", {"job_id": JobIdRule(pointer="/id")}),
    )
    load_user.cache_clear()
    spec = spec_for(output, f"http://127.0.0.1:{port}", jobs=(), journey=journey, **more)
    return await carry_out(spec)


async def carry_out(spec: LoadSpec) -> Played:
    output = Path(spec.output)
    ledger = new_ledger(spec)
    generator = JourneyGenerator(spec, ledger)
    await generator.run()
    progress = generator.progress()
    ledger.close()
    finish(output, read_ledger(output), {})
    played = Played(output)
    counts = played.counts
    assert counts["planned"] == len(played.rows) == counts["sent"] + counts["dropped"]
    assert counts["sent"] == counts["accepted"] + counts["refused"] + counts["errored"]
    assert (progress.planned, progress.sent, progress.in_flight) == (
        counts["planned"], counts["sent"], 0)  # fmt: skip
    for row in played.rows:
        stamps = [row[f"{name}_ns"] for name in ("intended", "sent", "first_byte", "done")]
        there = [stamp for stamp in stamps if stamp is not None]
        assert there == sorted(there), "nothing is sent before it is due"
    return played


CLOSED: dict[str, Any] = {"model": "closed", "think": Think("constant", 20 * MS)}

SHOP = """
import asyncio

async def user(client, ctx):
    await client.get("/items/4711")
    came = asyncio.Event()  # something of their own, which takes its time
    asyncio.get_running_loop().call_later(0.02, came.set)
    await came.wait()
    paid = await client.post("/jobs/payments", json={"key": ctx.key}, extensions={"name": "pay"})
    ctx.check("accepted", paid.status_code == 202)
    ctx.metric("size", ctx.random.random(), "kg")
    ctx.name("last")
    await client.get("/")
"""
