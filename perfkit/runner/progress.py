"""What a run says of itself while it works, and how it is told to stop."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from queue import Empty, SimpleQueue
from types import FrameType
from typing import Any, Literal

__all__ = ["Interrupt", "Listener", "Phase", "Progress"]

Phase = Literal["start", "warm-up", "measure", "drain", "collect", "sealed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Where a run stands."""

    phase: Phase
    trial: int  # from 0
    trials: int
    label: str
    elapsed_s: float  # since the run began
    left_s: float  # least time still needed
    figures: Mapping[str, float] = field(default_factory=dict)  # sent, done, waiting, ...
    has_stack: bool = True  # one is started for the trial
    warning: str | None = None  # something that makes the numbers worth less, told once

    def document(self) -> dict[str, Any]:
        """As JSON's types."""
        return asdict(self)


Listener = Callable[[Progress], None]


class Interrupt:
    """Ctrl-C once: stop measuring and seal what there is. Twice: give up at once.

    Installed as a context manager around a run; outside the main thread it does nothing, and
    ``request`` is then the only way in.
    """

    def __init__(self) -> None:
        self._asked = False
        # Its `put` may come in a signal handler, and in one within another; `Event.set` may not:
        # it would wait for a lock that the very code it has interrupted holds.
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._previous: dict[int, Any] = {}

    def request(self) -> None:
        """Ask for a clean stop."""
        self._asked = True
        self._wake.put(None)

    @property
    def asked(self) -> bool:
        """Whether a stop was asked for."""
        return self._asked

    def wait(self, timeout_s: float) -> bool:
        """Let time pass until asked to stop; True when asked."""
        if not self._asked:
            with contextlib.suppress(Empty):
                self._wake.get(timeout=max(0.0, timeout_s))
        return self._asked

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._asked:
            raise KeyboardInterrupt
        self.request()

    def __enter__(self) -> Interrupt:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                self._previous[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()
