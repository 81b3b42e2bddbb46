"""Whether an open load sends what came due: judged while it runs (`Load.abort_below`).

Over the last ``after`` of the measured window, requests that went out against requests that came
due. What is missing there either never left the generator's plan (it was late), or was taken up and
waited for a connection, or was dropped at the in-flight cap (the system was slow):

    due ----- taken up ----- sent
         late          held

A request may just be on its way, so one that is missing is none. Runs beside the measurement: no
pandas, no DuckDB, no numpy.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from typing import Final, NamedTuple

from perfkit.scenario.sending import AbortBelow
from perfkit.units import format_count, format_duration, format_percent

__all__ = ["MissedRate", "TargetRate"]

_ON_ITS_WAY: Final = 1.0
_COUNTS: Final = ("due", "planned", "sent")


class MissedRate(NamedTuple):
    """The rate was missed: share of what was due that was sent, and of the rest, what was late."""

    share: float
    behind: float
    text: str


class _Moment(NamedTuple):
    at_s: float
    due: float
    planned: float
    sent: float


class TargetRate:
    """One trial's rate; remembers the last ``after`` of it.

    Args:
        below: what is asked.
        window_s: length of the measured window.
    """

    def __init__(self, below: AbortBelow, window_s: float) -> None:
        self._below = below
        self._after_s = below.after_ns / 1e9
        self._window_s = window_s
        self._past: deque[_Moment] = deque()

    @property
    def name(self) -> str:
        """As the scenario has it, for people."""
        share, after = format_percent(self._below.rate, 0), format_duration(self._below.after_ns)
        return f"abort_below {share} of the rate for {after}"

    def look(self, figures: Mapping[str, float]) -> MissedRate | None:
        """Take in one moment, and judge the time up to it.

        Args:
            figures: ``elapsed_window_s``, and since the start of load ``due``, ``planned`` and
                ``sent``, where they are known.
        """
        at_s = figures.get("elapsed_window_s", -1.0)
        if not 0 <= at_s < self._window_s or any(name not in figures for name in _COUNTS):
            return None
        now = _Moment(at_s, *(figures[name] for name in _COUNTS))
        past = self._past
        past.append(now)
        while len(past) > 1 and past[1].at_s <= at_s - self._after_s:
            past.popleft()
        then = past[0]
        if now.at_s - then.at_s < self._after_s:
            return None
        return self._judged(then, now)

    def _judged(self, then: _Moment, now: _Moment) -> MissedRate | None:
        due, sent = now.due - then.due, now.sent - then.sent
        # Behind what it was behind already, it is not again; it may only have caught up.
        late = max(0.0, (now.due - now.planned) - (then.due - then.planned))
        missing = due - sent
        if missing <= _ON_ITS_WAY or sent >= self._below.rate * due:
            return None
        share, behind = sent / due, min(1.0, late / missing)
        lasted = format_duration((now.at_s - then.at_s) * 1e9)
        return MissedRate(
            share,
            behind,
            f"{self.name} failed {format_duration(now.at_s * 1e9)} into the window: of "
            f"{format_count(due)} requests that came due within {lasted}, {format_count(sent)} "
            f"({format_percent(share, 0)}) were sent; of the others, "
            f"{format_count(min(late, missing))} were not taken up in time, and "
            f"{format_count(missing - min(late, missing))} were dropped or waited for a connection",
        )
