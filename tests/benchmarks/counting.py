"""The bare server, with a count and the arrivals of what it answered.

    python -m tests.benchmarks.counting

Prints its port; for each line on its stdin, one JSON line: ``{"count", "wrong"}`` for "count";
for a path, which it fills with the arrivals (int64 ns, in order, since the last time), the same.
"wrong": requests without a body, or with an id that another one had since then: not the work of a
run.
"""

from __future__ import annotations

import array
import asyncio
import json
import os
import sys
from pathlib import Path
from time import monotonic_ns
from typing import ClassVar

from perfkit.load.bare import BareServer, serve
from perfkit.load.loops import event_loop

_KEY = b"dempotency-Key: "  # however a client writes its first letter
_ID_BYTES = 36


class Counting(BareServer):
    """Counts over all connections."""

    count = wrong = 0
    arrivals = array.array("q")
    names: ClassVar[set[bytes]] = set()

    def answer(self, request: bytes) -> None:
        cls = Counting
        cls.count += 1
        cls.arrivals.append(monotonic_ns())
        if not request.endswith(b"}") or b'"key"' not in request:
            cls.wrong += 1
        place = request.find(_KEY) + len(_KEY)
        cls.names.add(request[place : place + _ID_BYTES])
        super().answer(request)


async def _serve() -> None:
    server = await serve(Counting)
    ended = asyncio.Event()

    def hear() -> None:
        said = os.read(0, 4096).decode()
        if not said:
            ended.set()
            return
        wrong = Counting.wrong + len(Counting.arrivals) - len(Counting.names)
        if (path := said.strip()) != "count":
            Path(path).write_bytes(Counting.arrivals.tobytes())
            Counting.arrivals = array.array("q")
            Counting.names = set()
        print(json.dumps({"count": Counting.count, "wrong": wrong}), flush=True)

    asyncio.get_running_loop().add_reader(0, hear)
    print(server.sockets[0].getsockname()[1], flush=True)
    await ended.wait()
    server.close()


def main() -> int:
    with asyncio.Runner(loop_factory=event_loop()[1]) as runner:
        runner.run(_serve())
    return 0


if __name__ == "__main__":
    sys.exit(main())
