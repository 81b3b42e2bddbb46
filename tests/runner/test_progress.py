"""How a run is told to stop."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from perfkit.runner import Interrupt


def test_the_first_signal_asks_and_the_second_ends_all_patience() -> None:
    with Interrupt() as interrupt:
        assert not interrupt.wait(0.0)
        os.kill(os.getpid(), signal.SIGINT)
        assert interrupt.wait(5)
        assert interrupt.asked
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_whoever_waits_wakes_up_when_another_thread_asks() -> None:
    interrupt = Interrupt()
    waiting = threading.Thread(target=interrupt.wait, args=(60.0,))
    waiting.start()
    interrupt.request()
    waiting.join(5)
    assert not waiting.is_alive()
    assert interrupt.wait(60.0)  # at once, from now on
