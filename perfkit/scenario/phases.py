"""The course of a load: one piece after another.

level |            ________            ramp      before the window, from nothing
      |          _/        \\___        warm-up   before the window, at the first level
      |   ______/               \\      a phase   its ramp, if it has one, then its shape
      |  /
      |_/____|_________________|__ t
         ramp, warm-up   window

A piece is straight (`Stretch`), or of a phase that moves by design (`Shaped`): a sine is one piece,
steps and spikes are several.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any

from perfkit.scenario.load import WINDOW_NS, Load, Phase, Window
from perfkit.scenario.traces import replayed

__all__ = ["Shaped", "Stretch", "mean_level", "stretch_of", "stretches_of", "window_ns_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """A straight piece of load; offsets from its start, levels in users or jobs per second."""

    name: str  # "ramp", "warm-up", or the phase's name
    begin_ns: int
    end_ns: int
    level_start: float
    level_end: float
    phase: int | None  # index of the phase; None before the window

    @property
    def steady(self) -> bool:
        """Whether its level stays."""
        return self.level_start == self.level_end

    @property
    def area(self) -> float:
        """Its level times its length in ns, summed up."""
        # A level times a length is exact in integers for levels that are.
        return (self.level_start + self.level_end) * (self.end_ns - self.begin_ns) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Shaped(Stretch):
    """A piece of a phase whose load moves by design.

    A sine begins at ``low`` with its piece; its levels say where it begins and is cut off. A burst
    comes at the begin of its piece and then every ``every_ns``, on top of the level. The levels of
    a trace are its mean rates.
    """

    shape: str  # ramp, step, spike, sine, burst or trace
    low: float = 0.0
    high: float = 0.0
    period_ns: int = 0
    size: int = 0
    every_ns: int = 0

    @property
    def steady(self) -> bool:
        """Regular bursts beside one level are; nothing else is that moves by design."""
        return self.shape == "burst" and self.level_start == self.level_end

    @property
    def area(self) -> float:
        """As of a straight one, or that of the wave; and the bursts."""
        length_ns = self.end_ns - self.begin_ns
        if self.shape == "sine":
            swing = (self.high - self.low) / 2 * self.period_ns / (2 * math.pi)
            less = swing * math.sin(2 * math.pi * (length_ns % self.period_ns / self.period_ns))
            return (self.low + self.high) / 2 * length_ns - less
        area = (self.level_start + self.level_end) * length_ns / 2
        if self.every_ns:
            area += self.size * -(-length_ns // self.every_ns) * 1e9
        return area


def stretch_of(told: Mapping[str, Any]) -> Stretch:
    """A piece from the fields it was stored as.

    Raises:
        TypeError, KeyError: they are of no piece.
    """
    kind = Shaped if "shape" in told else Stretch
    return kind(**{each.name: told[each.name] for each in fields(kind)})


def window_ns_of(load: Load, window: Window) -> int:
    """Length of the measured window.

    As asked, else the sum of the phases, else what a trace holds behind the warm-up (to the
    instant after its last request), else the default.
    """
    if window.duration_ns is not None:
        return window.duration_ns
    if load.trace is not None:
        last_ns = int(replayed(load.trace, load.speed)[-1])
        return max(1, last_ns + 1 - window.warmup_ns)
    return sum(phase.duration_ns for phase in load.phase) or WINDOW_NS


def stretches_of(load: Load, window: Window) -> tuple[Stretch, ...]:
    """All pieces from the start of load to its end, without a gap; none is empty.

    Where ``window.duration`` is not the sum of the phases, their durations, ramps and spikes are
    stretched in proportion; periods and the time between bursts are not.
    """
    pieces = _of_trace(load, window) if load.trace is not None else _pieces(load, window)
    return tuple(each for each in pieces if each.end_ns > each.begin_ns)


def mean_level(stretches: tuple[Stretch, ...]) -> float:
    """Mean level over the window, weighted by time."""
    inside = [each for each in stretches if each.phase is not None]
    return sum(each.area for each in inside) / sum(each.end_ns - each.begin_ns for each in inside)


def _straight(
    name: str, begin_ns: int, end_ns: int, start: float, end: float, phase: int | None = None
) -> Stretch:
    return Stretch(
        name=name, begin_ns=begin_ns, end_ns=end_ns, level_start=start, level_end=end, phase=phase
    )


def _pieces(load: Load, window: Window) -> Iterator[Stretch]:
    level = load.phase[0].first if load.phase else load.peak
    begin_ns = load.ramp_ns + window.warmup_ns
    yield _straight("ramp", 0, load.ramp_ns, 0.0, level)
    yield _straight("warm-up", load.ramp_ns, begin_ns, level, level)
    length_ns = window_ns_of(load, window)
    if not load.phase:
        yield _straight("window", begin_ns, begin_ns + length_ns, level, level, 0)
        return
    asked_ns, passed_ns = sum(phase.duration_ns for phase in load.phase), 0
    for index, phase in enumerate(load.phase):
        name = phase.name or str(index + 1)
        # From the sums, in integers: the last phase ends exactly where the window does.
        edges = [0, phase.ramp_ns, phase.duration_ns]
        if phase.shape == "spike":
            edges[2:2] = _edges(phase)
        if phase.shape == "step":
            rest_ns = phase.duration_ns - phase.ramp_ns
            steps = phase.steps or 1
            edges[2:2] = [phase.ramp_ns + rest_ns * step // steps for step in range(1, steps)]
        at = [begin_ns + (passed_ns + edge) * length_ns // asked_ns for edge in edges]
        yield _straight(name, at[0], at[1], level, phase.first, index)
        yield from _shaped(phase, name, at[1:], index)
        level, passed_ns = _end(phase, at[-1] - at[1]), passed_ns + phase.duration_ns


def _edges(phase: Phase) -> list[int]:
    """Where a spike begins, is up, goes down and is over."""
    width_ns = phase.width_ns or 0
    at_ns = phase.at_ns
    if at_ns is None:
        at_ns = (phase.duration_ns - phase.ramp_ns - width_ns) // 2
    begin_ns = phase.ramp_ns + at_ns
    end_ns = begin_ns + width_ns
    return [begin_ns, begin_ns + phase.edge_ns, end_ns - phase.edge_ns, end_ns]


def _shaped(phase: Phase, name: str, at: list[int], index: int) -> Iterator[Stretch]:
    """What follows a phase's ramp; ``at`` are the instants of its pieces' begins, and its end."""
    if phase.shape == "flat":
        yield _straight(name, at[0], at[1], phase.level, phase.level, index)
        return
    first, low, high = phase.first, float(phase.low or 0), float(phase.high or 0)
    more: dict[str, Any] = {}
    levels = [(first, phase.last)]
    if phase.shape == "step":
        steps = len(at) - 1
        rise = (phase.last - first) / (steps - 1)
        levels = [(first + rise * step,) * 2 for step in range(steps - 1)] + [(phase.last,) * 2]
    elif phase.shape == "spike":
        levels = [(low, low), (low, high), (high, high), (high, low), (low, low)]
    elif phase.shape == "sine":
        levels = [(low, _end(phase, at[1] - at[0]))]
        more = {"low": low, "high": high, "period_ns": _period_ns(phase, at[1] - at[0])}
    elif phase.shape == "burst":
        more = {"size": phase.size or 0, "every_ns": phase.every_ns or 0}
    for begin_ns, end_ns, (start, end) in zip(at, at[1:], levels, strict=False):
        yield Shaped(
            name=name,
            begin_ns=begin_ns,
            end_ns=end_ns,
            level_start=start,
            level_end=end,
            phase=index,
            shape=phase.shape,
            **more,
        )


def _period_ns(phase: Phase, length_ns: int) -> int:
    return phase.period_ns or max(1, length_ns)


def _end(phase: Phase, length_ns: int) -> float:
    """The level a phase ends with, that of a sine where it is cut off."""
    if phase.shape != "sine":
        return phase.last
    low, high = float(phase.low or 0), float(phase.high or 0)
    period_ns = _period_ns(phase, length_ns)
    return low + (high - low) * math.sin(math.pi * (length_ns % period_ns) / period_ns) ** 2


def _of_trace(load: Load, window: Window) -> Iterator[Stretch]:
    """The warm-up and the window of a trace, each with its mean rate."""
    assert load.trace is not None
    times = replayed(load.trace, load.speed)
    end_ns = window.warmup_ns + window_ns_of(load, window)
    for name, begin, end, phase in (
        ("warm-up", 0, window.warmup_ns, None),
        ("window", window.warmup_ns, end_ns, 0),
    ):
        if end > begin:
            first, stop = times.searchsorted([begin, end])
            rate = float(stop - first) / (end - begin) * 1e9
            yield Shaped(
                name=name,
                begin_ns=begin,
                end_ns=end,
                level_start=rate,
                level_end=rate,
                phase=phase,
                shape="trace",
            )
