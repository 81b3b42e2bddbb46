"""The course of a load: one straight piece after another.

level |            ________            ramp      before the window, from nothing
      |          _/        \\___        warm-up   before the window, at the first level
      |   ______/               \\      a phase   its ramp, if it has one, then its level
      |  /
      |_/____|_________________|__ t
         ramp, warm-up   window
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from perfkit.scenario.load import WINDOW_NS, Load, Window

__all__ = ["Stretch", "mean_level", "stretches_of", "window_ns_of"]


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


def window_ns_of(load: Load, window: Window) -> int:
    """Length of the measured window: as asked, else the sum of the phases, else the default."""
    return window.duration_ns or sum(phase.duration_ns for phase in load.phase) or WINDOW_NS


def stretches_of(load: Load, window: Window) -> tuple[Stretch, ...]:
    """All pieces from the start of load to its end, without a gap; none is empty.

    Where ``window.duration`` is not the sum of the phases, their durations and ramps are stretched
    in proportion.
    """
    return tuple(
        Stretch(
            name=name,
            begin_ns=begin_ns,
            end_ns=end_ns,
            level_start=start,
            level_end=end,
            phase=phase,
        )
        for name, begin_ns, end_ns, start, end, phase in _pieces(load, window)
        if end_ns > begin_ns
    )


def mean_level(stretches: tuple[Stretch, ...]) -> float:
    """Mean level over the window, weighted by time."""
    inside = [each for each in stretches if each.phase is not None]
    # A level times its length is exact in integers for levels that are; so is the whole sum then.
    area = sum(
        (each.level_start + each.level_end) * (each.end_ns - each.begin_ns) for each in inside
    )
    return area / 2 / sum(each.end_ns - each.begin_ns for each in inside)


def _pieces(load: Load, window: Window) -> Iterator[tuple[str, int, int, float, float, int | None]]:
    level = load.phase[0].level if load.phase else load.peak
    begin_ns = load.ramp_ns + window.warmup_ns
    yield "ramp", 0, load.ramp_ns, 0.0, level, None
    yield "warm-up", load.ramp_ns, begin_ns, level, level, None
    length_ns = window_ns_of(load, window)
    if not load.phase:
        yield "window", begin_ns, begin_ns + length_ns, level, level, 0
        return
    asked_ns, passed_ns = sum(phase.duration_ns for phase in load.phase), 0
    for index, phase in enumerate(load.phase):
        # From the sums, in integers: the last phase ends exactly where the window does.
        first, ramped, last = (
            begin_ns + offset_ns * length_ns // asked_ns
            for offset_ns in (passed_ns, passed_ns + phase.ramp_ns, passed_ns + phase.duration_ns)
        )
        name = phase.name or str(index + 1)
        yield name, first, ramped, level, phase.level, index
        yield name, ramped, last, phase.level, phase.level, index
        level, passed_ns = phase.level, passed_ns + phase.duration_ns
