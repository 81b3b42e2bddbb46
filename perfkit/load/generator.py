"""Carries a plan out: whatever comes due is sent, and each request leaves one row.

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
from pathlib import Path
from time import monotonic_ns
from typing import Final

from perfkit.load.connection import Connection
from perfkit.load.demand import Due
from perfkit.load.exchange import NEVER_NS, ErrorKind, Exchange
from perfkit.load.foreign import ForeignIds, foreign_id
from perfkit.load.frame import BREATH_NS, INTERRUPT_NS, Frame, Progress, first_of
from perfkit.load.jobs import JobRequests
from perfkit.load.ledger import Ledger
from perfkit.load.opening import comings, has_own_connections, openings
from perfkit.load.pool import Pool
from perfkit.load.rows import FOREIGN_IDS
from perfkit.load.spec import LoadSpec

__all__ = ["Generator"]

_ACCEPTED: Final = 202
_SECOND: Final = 1_000_000_000
_OPEN_AT_ONCE: Final = 100  # users' connections, and at most 2,000 in a second, of all shards
_OPEN_EVERY_S: Final = 0.05


class _Request(Exchange):
    """An exchange that knows its row."""

    __slots__ = ("due", "place", "planned_id", "row")

    due: Due
    place: int
    planned_id: bytes
    row: int


class Generator(Frame):
    """The built-in requests of one load."""

    def __init__(self, spec: LoadSpec, ledger: Ledger) -> None:
        self._jobs = JobRequests(spec)
        super().__init__(spec, ledger)
        self._breath_ns = max(0, BREATH_NS - spec.think.low_ns)
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
        self._on_ended, self._on_sent = self._ended, self._sent  # bound once, not per request
        self._foreign = ForeignIds(Path(spec.output) / FOREIGN_IDS)
        self._in_flight = self._dropped = self._unsent = 0
        self._done = self._errors = self._lag_max_ns = 0
        self._opener: asyncio.Task[None] | None = None
        self._is_closing = False  # the load is over: only replies are awaited
        self._quiet = asyncio.Event()  # nothing is in flight, and nothing comes due any more

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

    def progress(self) -> Progress:
        """A reading for the live view; it starts the next reading of ``lag_ms``."""
        lag_ns, self._lag_max_ns = self._lag_max_ns, 0
        self._foreign.flush()
        return self._told(
            unsent=self._dropped + self._unsent,
            in_flight=self._in_flight,
            done=self._done,
            errors=self._errors,
            lag_ns=lag_ns,
            waiting=self._pool.waiting,
        )

    # The hot path

    def _take_up(self) -> None:
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
        self._demand.ended(due.user, due.iteration, ended_ns)
        self._look(ended_ns)
        if self._is_closing:
            self._note_quiet()

    # Around it

    def _begin(self) -> None:
        self._opener = self._loop.create_task(self._open_ahead())

    async def _release(self) -> None:
        if self._opener is not None:
            self._opener.cancel()
        await self._pool.close()
        self._foreign.close()

    async def _endings(self) -> None:
        """Wait until nothing is in flight or due, but not for ever; then give the rest up."""
        self._is_closing = True
        self._note_quiet()
        await first_of(self._spec.grace_ns, self._quiet, self._stopped)
        if self.interrupted:
            await first_of(INTERRUPT_NS, self._quiet)
        self._forgo(NEVER_NS - 1)
        self._pool.abandon()

    def _note_quiet(self) -> None:
        if self._in_flight == 0 and self._demand.next_ns == NEVER_NS:
            self._quiet.set()

    def _leave(self) -> None:
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
