"""Carries a plan of journeys out: whatever comes due begins one iteration of user code.

    due --> as many iterations as may be?  yes --> dropped: a row without sent_ns
             | no
             v
            user(client, ctx) --> each request a row (`perfkit.load.wire`)
             |
             v
            returned | raised --> one record (`happenings.ITERATION`): how it ended, and how long
                                  after its intended instant

The model knows iterations only. Within one, a request is intended when the reply before it came,
or after the pause that user code makes by itself; the first one at the iteration's instant.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic_ns
from typing import Final

from perfkit.errors import ResultsNotWritable
from perfkit.load.client import Client
from perfkit.load.context import Context
from perfkit.load.demand import Due
from perfkit.load.exchange import NEVER_NS
from perfkit.load.frame import BREATH_NS, INTERRUPT_NS, Frame, Progress, first_of
from perfkit.load.happenings import BLOCKED, ITERATION, Happenings
from perfkit.load.ledger import Ledger
from perfkit.load.spec import JourneySpec, LoadSpec
from perfkit.load.template import fixed_headers, secrets_of, template_user
from perfkit.load.usercode import UserFunction, load_user, place_of
from perfkit.load.watchdog import Watchdog
from perfkit.load.wire import Wire

__all__ = ["JourneyGenerator", "prepare_journey"]

_SECOND: Final = 1_000_000_000
_DONE: Final = "done"
_ABANDONED: Final = "abandoned"


def prepare_journey(spec: JourneySpec) -> UserFunction:
    """The coroutine function of a journey; the code of a user is imported once.

    Raises:
        UsageError: it can't be imported, or a variable of the environment is missing.
    """
    fixed_headers(spec)
    if not spec.user:
        return template_user(spec)
    return load_user(spec.user, Path(spec.folder) if spec.folder else None)


class JourneyGenerator(Frame):
    """One load by user code.

    An iteration that raised, or asked for nothing, is followed by the next one `BREATH_NS` later.

    Raises:
        UsageError: the user code can't be imported, or a variable of the environment is missing.
    """

    def __init__(self, spec: LoadSpec, ledger: Ledger) -> None:
        journey = spec.journey
        assert journey is not None
        self._user = prepare_journey(journey)
        super().__init__(spec, ledger)
        self._headers = fixed_headers(journey)
        secrets = secrets_of(journey)
        self._wire = Wire(spec, ledger, secrets)
        self._happenings = Happenings(Path(spec.output), secrets)
        self._watchdog = Watchdog(Path(spec.output), self._note_blocked)
        self._not_begun = journey.name if not journey.user else f"{journey.name}: not begun"
        self._clients: dict[int, Client] = {}  # of users who are not in an iteration
        self._arrivals = 0
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closing = False  # the load is over: only endings are awaited
        self._quiet = asyncio.Event()  # no iteration is under way, and none comes due any more

    @property
    def is_stuck(self) -> bool:
        """Whether user code goes on although it was cancelled: only the process's end ends it."""
        return bool(self._tasks)

    async def prepare(self) -> int:
        """Nothing is opened ahead: user code alone knows whom it will ask."""
        return 0

    def progress(self) -> Progress:
        """A reading for the live view; it starts the next reading of ``lag_ms``."""
        wire = self._wire
        lag_ns, wire.lag_max_ns = wire.lag_max_ns, 0
        return self._told(
            unsent=wire.unsent,
            in_flight=wire.in_flight,
            done=wire.done,
            errors=wire.errors,
            lag_ns=lag_ns,
        )

    def note_stray(self, error: BaseException) -> None:
        """A task that user code began raised, and nobody looked: that is user code's failure."""
        self._happenings.add(monotonic_ns(), ITERATION, f"in a task: {_named(error)}", 0.0)

    def _take_up(self) -> None:
        due, context = self._take()
        if len(self._tasks) >= self._spec.max_in_flight:
            self._wire.drop(context, self._not_begun)
            self._demand.ended(due.user, due.iteration, monotonic_ns() + BREATH_NS)
            return
        task = self._loop.create_task(self._iterate(context))
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _take(self) -> tuple[Due, Context]:
        due = self._demand.take()
        if due.user >= 0:
            return due, Context(due, due.key, due.user, self._happenings)
        # In an open model each arrival is a user of its own; its number is its iteration's, too,
        # so that the rows of one arrival are known by it.
        number = self._spec.shard + self._arrivals * self._spec.shards
        self._arrivals += 1
        due = due._replace(iteration=number)
        return due, Context(due, due.key, number, self._happenings)

    async def _iterate(self, context: Context) -> None:
        due = context.due
        client = self._clients.pop(due.user, None) or self._client()
        client.context = context
        context.since_ns = monotonic_ns()
        try:
            try:
                await self._user(client, context)
                outcome = _DONE
            except ResultsNotWritable:
                raise
            except asyncio.CancelledError as error:
                outcome = _ABANDONED if self._wire.is_over else _named(error)
            except BaseException as error:  # noqa: BLE001 - also SystemExit: the load goes on
                outcome = _named(error)
            ended_ns = monotonic_ns()
            took_s = (ended_ns - due.intended_ns) / _SECOND
            self._happenings.add(due.intended_ns, ITERATION, outcome, took_s)
        except Exception as error:  # noqa: BLE001 - nothing can be recorded any more
            self._loop.call_exception_handler({"message": "not recorded", "exception": error})
            return
        client.context = None
        if due.user >= 0:
            self._clients[due.user] = client
        breath_ns = 0 if outcome == _DONE and context.requests else BREATH_NS
        self._demand.ended(due.user, due.iteration, ended_ns + breath_ns)
        self._look(ended_ns)

    def _client(self) -> Client:
        return Client(
            self._wire,
            base_url=self._spec.base_url,
            headers=self._headers,
            timeout_s=self._spec.timeout_ns / _SECOND,
        )

    def _begin(self) -> None:
        self._watchdog.start()

    async def _release(self) -> None:
        await self._wire.close()
        self._watchdog.close()
        self._happenings.close()

    async def _endings(self) -> None:
        """Wait for the iterations that are under way, but not for ever."""
        self._is_closing = True
        self._note_quiet()
        await first_of(self._spec.grace_ns, self._quiet, self._stopped)
        if self.interrupted:
            await first_of(INTERRUPT_NS, self._quiet)
        self._forgo(NEVER_NS - 1)
        self._demand.stop()
        self._wire.is_over = True
        for task in list(self._tasks):
            task.cancel()
        self._note_quiet()
        await first_of(INTERRUPT_NS, self._quiet)

    def _finished(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if self._is_closing:
            self._note_quiet()

    def _note_quiet(self) -> None:
        if not self._tasks and self._demand.next_ns == NEVER_NS:
            self._quiet.set()

    def _leave(self) -> None:
        _, context = self._take()
        self._wire.drop(context, self._not_begun)

    def _note_blocked(self, place: str, seconds: float) -> None:
        self._happenings.add(monotonic_ns(), BLOCKED, place, seconds)


def _named(error: BaseException) -> str:
    """Its type, and the line of user code; never its words, which may hold a secret."""
    place = place_of(error.__traceback__)
    return f"{type(error).__name__}{f' at {place}' if place else ''}"
