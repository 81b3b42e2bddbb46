"""Servers that log the delay they applied, and what a client must then have seen.

    python -m tests.load.truth KIND LOG

prints its port, answers until its stdin ends, then writes LOG: JSON, for each id the delay that
the server's law gave its request once it was whole, and how much later its reply left (ns).
`replayed` says from these what a client with N connections sees: slow, obvious, and without a line
of the generator's.

The law of a server that stalls, or takes one after the other, depends on when a request comes. Its
delays as they were applied hold for the arrivals as they were: each is shorter by what the request
lost on its way. Replayed as they are they would lose that way again and again, one connection's
turn after the other, and a queue that grows would seem to grow less than it did: with 20
connections in 20 s by a thousand times the way. So the law itself is replayed, at the instants of
the replay, and only the lateness is taken from the log.
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

Law = Callable[[int], int]
"""From the instant a request is whole to how long its reply is held back, in nanoseconds. Asked
once for each request, in the order of their instants; the first is a law's own zero."""


def constant() -> Law:
    """5 ms each."""
    return lambda now_ns: BASE_NS


def lognormal(sigma: float = 0.8) -> Law:
    """Median 5 ms; one in a hundred takes six times as long."""
    draws = random.Random(1)
    return lambda now_ns: round(BASE_NS * math.exp(sigma * draws.gauss(0, 1)))


def stalling(every_ns: int, for_ns: int) -> Law:
    """5 ms, but who comes in a stall waits for its end first; one begins each ``every_ns``."""
    first: list[int] = []

    def delay(now_ns: int) -> int:
        if not first:
            first.append(now_ns)
        into_ns = (now_ns - first[0]) % every_ns
        begin_ns = every_ns - for_ns  # the last part of each period
        return BASE_NS + (every_ns - into_ns if into_ns >= begin_ns else 0)

    return delay


def limited(per_s: float) -> Law:
    """One after the other, so many in a second."""
    free_ns = 0

    def delay(now_ns: int) -> int:
        nonlocal free_ns
        free_ns = max(now_ns, free_ns) + round(SECOND / per_s)
        return free_ns - now_ns

    return delay


KINDS: Final[Mapping[str, Callable[[], Law]]] = {
    "constant": constant,
    "lognormal": lognormal,
    "stall": lambda: stalling(10 * SECOND, SECOND),
    "short-stall": lambda: stalling(SECOND // 2, SECOND // 5),
    "limited": lambda: limited(500.0),
    "short-limited": lambda: limited(200.0),
}


class Holding(BareServer):
    """Holds each reply back, and notes for how long it should, and how much longer it did."""

    law: Law
    log: dict[str, tuple[int, int]]

    def answer(self, request: bytes) -> None:
        now_ns = monotonic_ns()
        reply = accepted(request)
        delay_ns = self.law(now_ns)
        asyncio.get_running_loop().call_later(
            delay_ns / SECOND, self._reply, reply, now_ns, delay_ns
        )

    def _reply(self, reply: bytes, whole_ns: int, delay_ns: int) -> None:
        self.transport.write(reply)
        name = reply.partition(b'"id":"')[2].partition(b'"')[0].decode()
        self.log[name] = delay_ns, monotonic_ns() - whole_ns - delay_ns


def replayed(
    intended_ns: Sequence[int], law: Law, lateness_ns: Sequence[int], connections: int
) -> tuple[list[int], list[int]]:
    """Latencies of a schedule (sorted): from the intended and from the sent instant.

    A request takes the connection that is free first, and holds it for the law's delay at that
    instant and its own lateness.
    """
    free_ns = [0] * connections
    from_intended, from_sent = [], []
    for due_ns, late_ns in zip(intended_ns, lateness_ns, strict=True):
        sent_ns = max(due_ns, heapq.heappop(free_ns))
        delay_ns = law(sent_ns) + late_ns
        heapq.heappush(free_ns, sent_ns + delay_ns)
        from_intended.append(sent_ns + delay_ns - due_ns)
        from_sent.append(delay_ns)
    return from_intended, from_sent


def law_of(kind: str, log: Sequence[tuple[int, int]]) -> Law:
    """The law of a kind, to be asked anew; ``log`` is the server's, in order of the schedule.

    Where delays are drawn, and the instant does not matter, each request has the one it had.
    """
    if kind == "lognormal":
        drawn = iter([delay_ns for delay_ns, _ in log])
        return lambda now_ns: next(drawn)
    return KINDS[kind]()


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
    log_of = json.loads(log.read_text())
    assert len(log_of) == len(rows)
    intended = [row["intended_ns"] for row in rows]
    logged = [tuple(log_of[row["job_id"]]) for row in rows]
    lateness = [late_ns for _, late_ns in logged]
    truth = replayed(intended, law_of(kind, logged), lateness, connections)
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
    Holding.law = staticmethod(KINDS[kind]())
    Holding.log = {}
    with asyncio.Runner(loop_factory=event_loop()[1]) as runner:
        runner.run(serve_until_stdin_ends(Holding))
    Path(log).write_text(json.dumps(Holding.log))
    return 0


if __name__ == "__main__":
    sys.exit(main())
