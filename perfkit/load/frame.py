"""What all senders do alike: take what comes due at its instant, end in order, say how it stands.

    due --> taken up (`_take_up`), at its instant or as soon after it as the loop can
             |
             v
            ended (`_look`) --> what has come due meanwhile goes out first, before further replies
                                that lie unread

Intended instants come from the plan only. A wake-up takes up all that is due; when the sender is
behind, the backlog is worked off, never forgiven, and the rows show it as send lag.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from time import monotonic_ns
from typing import Final

from perfkit.load.demand import Demand, demand_of
from perfkit.load.exchange import NEVER_NS
from perfkit.load.ledger import Ledger
from perfkit.load.pacer import Pacer
from perfkit.load.spec import LoadSpec
from perfkit.load.usage import Cost, Usage

__all__ = ["BREATH_NS", "INTERRUPT_NS", "Frame", "Progress", "first_of"]

INTERRUPT_NS: Final = 2_000_000_000
"""How long an interrupted sender waits for what is under way."""
BREATH_NS: Final = 100_000_000
"""A user without think time comes back so long after an error: a refusal takes no time at all, and
a loop of them would spin."""

_SECOND: Final = 1_000_000_000
_SLICE: Final = 32  # taken up between two looks at replies, when many are due at once


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


class Frame(ABC):
    """One load, in the running loop: `prepare`, then `run`; `stop` ends it early."""

    def __init__(self, spec: LoadSpec, ledger: Ledger) -> None:
        self._spec = spec
        self._ledger = ledger
        self._loop = asyncio.get_running_loop()
        self._demand: Demand = demand_of(spec)
        self._pacer = Pacer(self._send_due)
        self._slice_follows = False
        self._stopped = asyncio.Event()
        self.interrupted = False

    async def run(self) -> Cost:
        """Carry the load out; returns when every row has its end."""
        try:
            self._begin()
            self._pacer.arm(self._demand.next_ns)
            await self._sleep_until(self._spec.start_ns)
            begin = Usage.now()
            await self._sleep_until(self._spec.end_ns)
            cost = begin.until(Usage.now())
            await self._endings()
            return cost
        finally:
            self._demand.stop()
            self._pacer.close()
            await self._release()

    def stop(self) -> None:
        """Send nothing more, and wait a short while for what is under way."""
        if not self.interrupted:
            self.interrupted = True
            self._stopped.set()
            self._pacer.arm(NEVER_NS)
            try:
                self._forgo(monotonic_ns())
            finally:
                self._demand.stop()

    # What a sender does in its own way

    @abstractmethod
    async def prepare(self) -> int:
        """Open what is needed at the start of load; returns how many connections are open."""

    @abstractmethod
    def progress(self) -> Progress:
        """A reading for the live view; it starts the next reading of ``lag_ms``."""

    @abstractmethod
    def _take_up(self) -> None:
        """Take what is due next, and send or begin it."""

    @abstractmethod
    def _leave(self) -> None:
        """Take what is due next, and leave a row that says it was not sent."""

    @abstractmethod
    def _begin(self) -> None:
        """Begin what goes on beside the load."""

    @abstractmethod
    async def _endings(self) -> None:
        """Nothing comes due any more: wait for what is under way, but not for ever."""

    @abstractmethod
    async def _release(self) -> None:
        """Give back what was taken."""

    # The hot path

    def _send_due(self) -> None:
        """Take up all that is due, in slices, so that replies are not left lying meanwhile."""
        self._slice_follows = False
        demand = self._demand
        for _ in range(_SLICE):
            if demand.next_ns > monotonic_ns():
                self._pacer.arm(demand.next_ns)
                return
            self._take_up()
        self._slice_follows = True
        self._loop.call_soon(self._send_due)

    def _look(self, now_ns: int) -> None:
        """Something has ended: send what is due by now, or wake for what it made due earlier.

        The timer would tell too, but behind all replies that the loop has found with it.
        """
        next_ns = self._demand.next_ns
        if self._slice_follows:
            return
        if next_ns <= now_ns:
            self._send_due()
        elif next_ns < self._pacer.armed_ns:
            self._pacer.arm(next_ns)

    # Around it

    async def _sleep_until(self, instant_ns: int) -> None:
        """Until the instant, or until stopped."""
        while (left_ns := instant_ns - monotonic_ns()) > 0 and not self.interrupted:
            await first_of(left_ns, self._stopped)  # a loop's timers may be a millisecond early

    def _forgo(self, until_ns: int) -> None:
        """Leave a row for what came due and will not be sent any more."""
        while self._demand.next_ns <= until_ns:
            self._leave()

    def _told(
        self, *, unsent: int, in_flight: int, done: int, errors: int, lag_ns: int, waiting: int = 0
    ) -> Progress:
        """A reading; ``waiting``: rows that are neither sent nor given up."""
        planned = self._ledger.rows
        return Progress(
            elapsed_s=round((monotonic_ns() - self._spec.start_ns) / _SECOND, 3),
            planned=planned,
            sent=planned - unsent - waiting,
            in_flight=in_flight,
            done=done,
            dropped=unsent,
            errors=errors,
            lag_ms=round(lag_ns / 1e6, 3),
        )


async def first_of(timeout_ns: int, *events: asyncio.Event) -> None:
    """Until one of the events is set, or the time is over."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(
            waits, timeout=max(timeout_ns, 0) / _SECOND, return_when=asyncio.FIRST_COMPLETED
        )
    finally:
        for wait in waits:
            wait.cancel()
