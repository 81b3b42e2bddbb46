"""Servers that log the delay they applied, and what a client must then have seen.

    python -m tests.load.truth KIND LOG

prints its port, answers until its stdin ends, then writes LOG: JSON, for each id the nanoseconds
from the whole request to the reply. `replayed` says from these what a client with N connections
sees: slow, obvious, and without a line of the generator's.
"""

from __future__ import annotations

import asyncio
import heapq
import json
import math
import os
import random
import secrets
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from typing import Final

from perfkit.load.arrivals import Segment
from perfkit.load.bare import BareServer, accepted, serve_until_stdin_ends
from perfkit.load.loops import event_loop
from perfkit.load.spec import JobShare, LoadSpec
from tests.load.sending import child, send
from tests.load.specs import read_requests

MS: Final = 1_000_000
SECOND: Final = 1_000_000_000
BASE_NS: Final = 5 * MS

Delay = Callable[[int], int]
"""From the instant a request is whole to how long its reply is held back, in nanoseconds."""


def constant() -> Delay:
    """5 ms each."""
    return lambda now_ns: BASE_NS


def lognormal(sigma: float = 0.8) -> Delay:
    """Median 5 ms; one in a hundred takes six times as long."""
    draws = random.Random(1)
    return lambda now_ns: round(BASE_NS * math.exp(sigma * draws.gauss(0, 1)))


def stalling(every_ns: int, for_ns: int) -> Delay:
    """5 ms, but who comes in a stall waits for its end first; one begins each ``every_ns``."""
    first: list[int] = []

    def delay(now_ns: int) -> int:
        if not first:
            first.append(now_ns)
        into_ns = (now_ns - first[0]) % every_ns
        begin_ns = every_ns - for_ns  # the last part of each period
        return BASE_NS + (every_ns - into_ns if into_ns >= begin_ns else 0)

    return delay


def limited(per_s: float) -> Delay:
    """One after the other, so many in a second."""
    free_ns = 0

    def delay(now_ns: int) -> int:
        nonlocal free_ns
        free_ns = max(now_ns, free_ns) + round(SECOND / per_s)
        return free_ns - now_ns

    return delay


KINDS: Final[Mapping[str, Callable[[], Delay]]] = {
    "constant": constant,
    "lognormal": lognormal,
    "stall": lambda: stalling(10 * SECOND, SECOND),
    "short-stall": lambda: stalling(SECOND // 2, SECOND // 5),
    "limited": lambda: limited(500.0),
    "short-limited": lambda: limited(200.0),
}


class Holding(BareServer):
    """Holds each reply back, and notes for how long it really did."""

    delay: Delay
    log: dict[str, int]

    def answer(self, request: bytes) -> None:
        now_ns = monotonic_ns()
        reply = accepted(request)
        asyncio.get_running_loop().call_later(
            self.delay(now_ns) / SECOND, self._reply, reply, now_ns
        )

    def _reply(self, reply: bytes, whole_ns: int) -> None:
        self.transport.write(reply)
        name = reply.partition(b'"id":"')[2].partition(b'"')[0].decode()
        self.log[name] = monotonic_ns() - whole_ns


def replayed(
    intended_ns: Sequence[int], delays_ns: Sequence[int], connections: int
) -> tuple[list[int], list[int]]:
    """Latencies of a schedule (sorted): from the intended and from the sent instant.

    A request takes the connection that is free first, and holds it for its delay.
    """
    free_ns = [0] * connections
    from_intended, from_sent = [], []
    for due_ns, delay_ns in zip(intended_ns, delays_ns, strict=True):
        sent_ns = max(due_ns, heapq.heappop(free_ns))
        heapq.heappush(free_ns, sent_ns + delay_ns)
        from_intended.append(sent_ns + delay_ns - due_ns)
        from_sent.append(delay_ns)
    return from_intended, from_sent


def quantile(values: Sequence[int], share: float) -> int:
    """The smallest value with that share of all at or below it."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


@dataclass(frozen=True, slots=True)
class Views:
    """Latencies in ns by schedule order: measured, and replayed from the server's log."""

    intended: list[int]
    sent: list[int]
    true_intended: list[int]
    true_sent: list[int]
    waited: float
    """Share of the time in which server or client could run and had no core: the larger one."""


def measured(
    kind: str,
    folder: Path,
    *,
    rate: float,
    seconds: float,
    connections: int,
    server_cpus: Sequence[int] = (),
    client_cpus: tuple[int, ...] = (),
) -> Views:
    """Send a constant schedule to a server of that kind, each in a process of its own.

    Raises:
        AssertionError: a request was not answered, or the server knows another number of them.
    """
    log = folder / "delays.json"
    with child("tests.load.truth", kind, str(log)) as (server, port):
        if server_cpus:
            os.sched_setaffinity(server.pid, server_cpus)
        before_ns = _waited_ns(server.pid)
        said = send(
            LoadSpec(
                base_url=f"http://127.0.0.1:{port}",
                model="open",
                trial=0,
                nonce=secrets.token_hex(8),
                seed=1,
                jobs=(JobShare("payments", 1.0),),
                start_ns=0,
                load_ns=round(seconds * SECOND),
                output=str(folder),
                segments=(Segment(round(seconds * SECOND), rate, rate),),
                connections=connections,
                max_in_flight=1_000_000,
                timeout_ns=60 * SECOND,
                grace_ns=60 * SECOND,
                cpus=client_cpus,
            )
        )
        waited_ns = [_waited_ns(server.pid) - before_ns, said["run_queue_wait_ns"] or 0]
    rows = read_requests(folder)
    assert said["accepted"] == len(rows) == round(rate * seconds), said
    delays = json.loads(log.read_text())
    assert len(delays) == len(rows)
    intended = [row["intended_ns"] for row in rows]
    truth = replayed(intended, [delays[row["job_id"]] for row in rows], connections)
    return Views(
        [row["done_ns"] - row["intended_ns"] for row in rows],
        [row["done_ns"] - row["sent_ns"] for row in rows],
        *truth,
        waited=max(waited_ns) / said["wall_ns"],
    )


def _waited_ns(pid: int) -> int:
    """How long a process could run and had no core, since its start."""
    try:
        return int(Path(f"/proc/{pid}/schedstat").read_text().split()[1])
    except (OSError, IndexError):
        return 0


def main() -> int:
    kind, log = sys.argv[1:]
    Holding.delay = staticmethod(KINDS[kind]())
    Holding.log = {}
    with asyncio.Runner(loop_factory=event_loop()[1]) as runner:
        runner.run(serve_until_stdin_ends(Holding))
    Path(log).write_text(json.dumps(Holding.log))
    return 0


if __name__ == "__main__":
    sys.exit(main())
