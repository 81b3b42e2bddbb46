"""Waking at an instant."""

from __future__ import annotations

import asyncio
from time import monotonic_ns

from perfkit.load.exchange import NEVER_NS
from perfkit.load.pacer import Pacer
from tests.load.conftest import Run
from tests.load.specs import MS


def test_it_wakes_at_the_instant_and_never_before(run: Run) -> None:
    async def check() -> None:
        woken = asyncio.Event()
        pacer = Pacer(woken.set)
        for offset_ns in (0, -5 * MS, 20 * MS, 300_000):
            instant_ns = monotonic_ns() + offset_ns
            pacer.arm(instant_ns)
            await woken.wait()
            assert monotonic_ns() >= instant_ns
            assert pacer.armed_ns == NEVER_NS
            woken.clear()
        pacer.arm(-1)
        await woken.wait()
        pacer.close()

    run(check())


def test_the_last_instant_that_was_given_holds(run: Run) -> None:
    async def check() -> None:
        loop = asyncio.get_running_loop()
        woken: list[int] = []
        pacer = Pacer(lambda: woken.append(monotonic_ns()))
        begun_ns = monotonic_ns()
        pacer.arm(begun_ns + 10 * MS)
        pacer.arm(NEVER_NS)
        pacer.arm(begun_ns + 40 * MS)
        over: asyncio.Future[None] = loop.create_future()
        loop.call_later(0.08, over.set_result, None)
        await over
        assert len(woken) == 1
        assert woken[0] >= begun_ns + 40 * MS
        pacer.close()
        pacer.arm(0)
        pacer.close()

    run(check())
