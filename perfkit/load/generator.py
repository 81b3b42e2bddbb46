"""Carries a plan out: whatever comes due is sent, and each request leaves one row.

Intended instants come from the plan only. A wake-up sends everything that is due; when the
generator is behind, the backlog is worked off, never forgiven, and the rows show it as send lag.

    due --> in flight = cap?  yes --> dropped: a row without sent_ns, never sent later
             | no
             v
            connection at hand?  no --> blocked until one is free or opens
             | yes
             v
            sent --> reply (status) or error --> row

After the load it waits `grace_ns` for replies (2 s once interrupted); then what is in flight ends
as `abandoned`, and what never got a connection as `unsent` (which counts as dropped).
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from dataclasses import dataclass
from pathlib import Path
from time import monotonic_ns
from typing import Final

from perfkit.load.connection import Connection
from perfkit.load.demand import Demand, Due, demand_of
from perfkit.load.exchange import NEVER_NS, ErrorKind, Exchange
from perfkit.load.foreign import ForeignIds, foreign_id
from perfkit.load.jobs import JobRequests
from perfkit.load.ledger import Ledger
from perfkit.load.opening import comings, has_own_connections, openings
from perfkit.load.pacer import Pacer
from perfkit.load.pool import Pool
from perfkit.load.rows import FOREIGN_IDS
from perfkit.load.spec import LoadSpec
from perfkit.load.usage import Cost, Usage

__all__ = ["Generator", "Progress"]

_ACCEPTED: Final = 202
_SECOND: Final = 1_000_000_000
_SLICE: Final = 32  # requests between two looks at replies, when many are due at once
_OPEN_AT_ONCE: Final = 100  # users' connections, and at most 2,000 in a second, of all shards
_OPEN_EVERY_S: Final = 0.05
_INTERRUPT_NS: Final = 2_000_000_000
_BREATH_NS: Final = 100_000_000
"""A user without think time comes back so long after an error: a refusal takes no time at all, and
a loop of them would spin."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Counts up to now. ``lag_ms``: the largest send lag since the last reading."""

    elapsed_s: float
    planned: int
    sent: int
    in_flight: int
    done: int
    dropped: int
    errors: int
    lag_ms: float


class _Request(Exchange):
    """An exchange that knows its row."""

    __slots__ = ("due", "place", "planned_id", "row")

    due: Due
    place: int
    planned_id: bytes
    row: int


class Generator:
    """One load, in the running loop: `prepare`, then `run`; `stop` ends it early."""

    def __init__(self, spec: LoadSpec, ledger: Ledger) -> None:
        self._spec = spec
        self._ledger = ledger
        self._jobs = JobRequests(spec)
        self._loop = asyncio.get_running_loop()
        self._demand: Demand = demand_of(spec)
        self._breath_ns = max(0, _BREATH_NS - spec.think.low_ns)
        self._private = has_own_connections(spec)
        self._own: dict[int, Connection] = {}
        self._comings = comings(spec) if self._private else []
        self._openings = openings(
            [on_ns for on_ns, _ in self._comings], spec.idle_limit_ns, spec.shards
        )
        self._at_once = max(1, _OPEN_AT_ONCE // spec.shards)
        self._opened = 0  # how many of them have been seen to
        self._promised: set[int] = set()  # users for whom one has been opened
        self._next_turn_s = 0.0  # of opening some, by the loop's clock
        self._pool = Pool(
            self._jobs.host,
            self._jobs.port,
            limit=spec.connections,
            connect_timeout_ns=spec.timeout_ns,
            idle_limit_ns=spec.idle_limit_ns,
            private=self._private,
        )
        self._pacer = Pacer(self._send_due)
        self._slice_follows = False
        self._on_ended, self._on_sent = self._ended, self._sent  # bound once, not per request
        self._foreign = ForeignIds(Path(spec.output) / FOREIGN_IDS)
        self._in_flight = self._dropped = self._unsent = 0
        self._done = self._errors = self._lag_max_ns = 0
        self._stopped = asyncio.Event()
        self._is_closing = False  # the load is over: only replies are awaited
        self._quiet = asyncio.Event()  # nothing is in flight, and nothing comes due any more
        self.interrupted = False

    async def prepare(self) -> int:
        """Open the first connections; returns how many are open (0: the server is not there).

        Open model, and shared connections: one, as a proof; others open when needed, in the ramp
        or the warm-up. Closed model: those of the users that begin with the load; see `opening`.
        """
        if not self._private:
            return await self._pool.open(1)
        while self._opened < bisect_right(self._openings, 0) and self._pool.refusal is None:
            await self._open_more(0)
        return self._pool.connections

    async def run(self) -> Cost:
        """Carry the load out; returns when every row has its end."""
        opener = self._loop.create_task(self._open_ahead())
        try:
            self._pacer.arm(self._demand.next_ns)
            await self._sleep_until(self._spec.start_ns)
            begin = Usage.now()
            await self._sleep_until(self._spec.end_ns)
            cost = begin.until(Usage.now())
            await self._replies()
            return cost
        finally:
            opener.cancel()
            self._demand.stop()
            self._pacer.close()
            await self._pool.close()
            self._foreign.close()

    def stop(self) -> None:
        """Send nothing more, and wait a short while for the replies that are due."""
        if not self.interrupted:
            self.interrupted = True
            self._stopped.set()
            self._pacer.arm(NEVER_NS)
            try:
                self._forgo(monotonic_ns())
            finally:
                self._demand.stop()

    def progress(self) -> Progress:
        """A reading for the live view; it starts the next reading of ``lag_ms``."""
        lag_ns, self._lag_max_ns = self._lag_max_ns, 0
        planned = self._ledger.rows
        self._foreign.flush()
        return Progress(
            elapsed_s=round((monotonic_ns() - self._spec.start_ns) / _SECOND, 3),
            planned=planned,
            sent=planned - self._dropped - self._unsent - self._pool.waiting,
            in_flight=self._in_flight,
            done=self._done,
            dropped=self._dropped + self._unsent,
            errors=self._errors,
            lag_ms=round(lag_ns / 1e6, 3),
        )

    # The hot path

    def _send_due(self) -> None:
        """Send all that is due, in slices, so that replies are not left lying meanwhile."""
        self._slice_follows = False
        demand = self._demand
        for _ in range(_SLICE):
            if demand.next_ns > monotonic_ns():
                self._pacer.arm(demand.next_ns)
                return
            self._send_next()
        self._slice_follows = True
        self._loop.call_soon(self._send_due)

    def _send_next(self) -> None:
        due = self._demand.take()
        queue = self._jobs.queue(due.key)
        ledger = self._ledger
        row = ledger.rows
        place = ledger.plan(due.intended_ns, due.user, due.iteration, queue)
        if self._in_flight >= self._spec.max_in_flight:
            self._dropped += 1
            return
        name = self._jobs.job_id(due.key)
        payload = self._jobs.payload(queue, due.key, name)
        request = _Request(payload, self._on_ended, self._spec.timeout_ns, on_sent=self._on_sent)
        request.due, request.row, request.place = due, row, place
        request.planned_id = name.encode()
        if self._private:
            request.connection = self._own.get(due.user)
        self._in_flight += 1
        self._pool.submit(request)
        # A request that waits for a connection has left our hands: its own lag ends there.
        lag_ns = (request.sent_ns or request.waiting_since_ns) - due.intended_ns
        if lag_ns > self._lag_max_ns:
            self._lag_max_ns = lag_ns

    def _sent(self, request: _Request) -> None:
        self._ledger.sent(request.place, request.sent_ns, request.blocked_ns)

    def _ended(self, request: _Request) -> None:
        """A reply is whole, or there will be none."""
        self._in_flight -= 1
        self._ledger.ended(request.place, request)
        due = request.due
        if request.error is None:
            ended_ns = request.done_ns
            self._done += 1
            if request.status == _ACCEPTED:
                other = foreign_id(request.body, request.planned_id)
                if other is not None:
                    self._foreign.add(request.row, other)
        else:
            ended_ns = monotonic_ns() + self._breath_ns
            if request.error is ErrorKind.UNSENT:
                self._unsent += 1
            else:
                self._errors += 1
        if self._private and request.connection is not None:
            self._own[due.user] = request.connection
        demand = self._demand
        demand.ended(due.user, due.iteration, ended_ns)
        if demand.next_ns < self._pacer.armed_ns and not self._slice_follows:
            if demand.next_ns <= ended_ns:
                self._send_due()
            else:
                self._pacer.arm(demand.next_ns)
        if self._is_closing:
            self._note_quiet()

    # Around it

    async def _sleep_until(self, instant_ns: int) -> None:
        """Until the instant, or until stopped."""
        while (left_ns := instant_ns - monotonic_ns()) > 0 and not self.interrupted:
            await _first_of(left_ns, self._stopped)  # a loop's timers may be a millisecond early

    async def _replies(self) -> None:
        """Wait until nothing is in flight or due, but not for ever; then give the rest up."""
        self._is_closing = True
        self._note_quiet()
        await _first_of(self._spec.grace_ns, self._quiet, self._stopped)
        if self.interrupted:
            await _first_of(_INTERRUPT_NS, self._quiet)
        self._forgo(NEVER_NS - 1)
        self._pool.abandon()

    def _note_quiet(self) -> None:
        if self._in_flight == 0 and self._demand.next_ns == NEVER_NS:
            self._quiet.set()

    def _forgo(self, until_ns: int) -> None:
        """Leave a row for what came due and will not be sent any more."""
        while self._demand.next_ns <= until_ns:
            due = self._demand.take()
            queue = self._jobs.queue(due.key)
            place = self._ledger.plan(due.intended_ns, due.user, due.iteration, queue)
            unsent = Exchange(b"", self._on_ended, 0)
            unsent.error = ErrorKind.UNSENT
            self._ledger.ended(place, unsent)
            self._unsent += 1

    def _keeps_connection(self, on_ns: int, user: int) -> bool:
        """Whether a user that comes then will find its connection; one too old is closed."""
        connection = self._own.get(user)
        if connection is None:
            is_promised = user in self._promised
            self._promised.add(user)
            return is_promised
        if connection.exchange is not None:
            return True
        back_ns = self._spec.start_ns + on_ns
        if connection.is_ready() and back_ns - connection.idle_since_ns < self._spec.idle_limit_ns:
            return True
        connection.close()
        del self._own[user]
        return False

    async def _open_ahead(self) -> None:
        start_ns = self._spec.start_ns
        while self._opened < len(self._openings):
            await asyncio.sleep(
                (self._openings[self._opened] + start_ns - monotonic_ns()) / _SECOND
            )
            await self._open_more(monotonic_ns() - start_ns)

    async def _open_more(self, offset_ns: int) -> None:
        """Open connections for the next users that come, as far as they should be open by then."""
        await asyncio.sleep(self._next_turn_s - self._loop.time())
        self._next_turn_s = self._loop.time() + _OPEN_EVERY_S
        first = self._opened
        until = bisect_right(
            self._openings, offset_ns, first, min(first + self._at_once, len(self._openings))
        )
        self._opened = until
        coming = self._comings[first:until]
        await self._pool.open(sum(not self._keeps_connection(*each) for each in coming))


async def _first_of(timeout_ns: int, *events: asyncio.Event) -> None:
    """Until one of the events is set, or the time is over."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(
            waits, timeout=max(timeout_ns, 0) / _SECOND, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        for wait in waits:
            wait.cancel()
