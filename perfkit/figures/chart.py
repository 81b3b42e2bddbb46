"""What a chart is, before anything draws it.

A `Chart` is plain frozen data: a finding, how to read it, and panels of marks. `interactive` turns
it into plotly's JSON, `static` into SVG, `markup` into HTML with a table; all three see the same
numbers. In a notebook it displays itself through `_repr_mimebundle_`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, TypeAlias

__all__ = [
    "OPEN_PANELS",
    "POINTS_PER_LINE",
    "Axis",
    "Bars",
    "Box",
    "Chart",
    "Dash",
    "Instant",
    "Intervals",
    "Line",
    "Mark",
    "Note",
    "Panel",
    "Points",
    "Rule",
    "Span",
    "Table",
    "numbers",
    "thinned",
    "time_ticks",
]

POINTS_PER_LINE: Final = 600
"""A line with more points is thinned, keeping its lows and highs."""

OPEN_PANELS: Final = 6
"""With more panels than this only the finding of a chart stands open on a page."""

_POINTS_PER_CHART: Final = 7000
_DOZEN: Final = 12

Dash: TypeAlias = Literal["solid", "dash", "dot"]
Number: TypeAlias = float | None
"""None is a gap: unknown, or not finite."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """One axis.

    Attributes:
        title: what it shows, with the unit in words: "time since load began, s".
        scale: ``category`` takes its labels from the marks.
        ticks: places and labels that take the place of automatic ones.
        zero: the axis begins at zero.
    """

    title: str
    scale: Literal["linear", "log", "category"] = "linear"
    ticks: tuple[tuple[float, str], ...] = ()
    zero: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """Values joined by a line; where all are short, their values are drawn as points too."""

    name: str
    x: tuple[float, ...]
    y: tuple[Number, ...]
    colour: str
    dash: Dash = "solid"
    step: bool = False
    width: float = 1.8


@dataclass(frozen=True, slots=True, kw_only=True)
class Points:
    """Values that no line joins."""

    name: str
    x: tuple[float, ...]
    y: tuple[Number, ...]
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """Values with the interval of each; ``across``: it lies along x, and so do low and high."""

    name: str
    x: tuple[float, ...]
    y: tuple[Number, ...]
    low: tuple[Number, ...]
    high: tuple[Number, ...]
    colour: str
    across: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Bars:
    """One series of bars over categories."""

    name: str
    x: tuple[str, ...]
    y: tuple[Number, ...]
    colour: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of the x axis, shaded: the measured window."""

    start: float
    end: float
    label: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Box:
    """A shaded field of both axes: a margin."""

    left: float
    right: float
    bottom: float
    top: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Instant:
    """A place on the x axis where something was done; ``row`` keeps labels from each other."""

    x: float
    label: str
    colour: str = "muted"
    row: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """A level across the panel, such as a limit."""

    y: float
    label: str
    colour: str = "muted"


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Words at a place, such as why a line ends there; they lie to the left of it or the right."""

    x: float
    y: float
    text: str
    colour: str = "muted"
    left: bool = False


Mark: TypeAlias = Line | Points | Intervals | Bars | Span | Box | Instant | Rule | Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One pair of axes with its marks."""

    x: Axis
    y: Axis
    marks: tuple[Mark, ...]
    title: str = ""
    bars: Literal["group", "stack"] = "group"
    horizontal: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What "view as table" shows: texts, ready to read."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """A finding, drawn.

    Attributes:
        title: the finding, as a sentence.
        reading: one line that says how to read it.
        panels: small multiples; more than one share their y axis where ``shared`` says so.
        empty: the sentence shown instead of panels when there is nothing to draw.
        table: made from the marks when left out.
        summary: for those who can't see it; made from the marks when left out.
        height: of one panel, in CSS pixels.
        beside: so many panels stand side by side on a wide page, at most.
    """

    title: str
    reading: str
    panels: tuple[Panel, ...] = ()
    empty: str = ""
    table: Table | None = None
    summary: str = ""
    shared: bool = True
    height: int = 240
    beside: int = 3

    def __post_init__(self) -> None:
        if bool(self.panels) == bool(self.empty):
            raise ValueError("a chart has panels, or a sentence that says why it has none")

    @property
    def columns(self) -> int:
        """Panels side by side on a wide page."""
        count = len(self.panels)
        return 2 if count == 4 else max(1, min(self.beside, count))

    def points_per_line(self, most: int, share: float = 1.0) -> int:
        """At most ``most``, fewer where many lines share the chart: a report must stay small.

        Args:
            share: of the points that a chart may have.
        """
        lines = sum(isinstance(mark, Line) for panel in self.panels for mark in panel.marks)
        return max(_DOZEN * 4, min(most, int(_POINTS_PER_CHART * share) // max(1, lines)))

    @property
    def folded(self) -> bool:
        """Whether so many panels stay folded on a page until somebody wants them."""
        return len(self.panels) > OPEN_PANELS

    @property
    def dotted(self) -> bool:
        """Whether lines get a dot for each value: where no line has a dozen of them."""
        lines = [mark for panel in self.panels for mark in panel.marks if isinstance(mark, Line)]
        return max((_known(line.y) for line in lines), default=0) < _DOZEN

    @property
    def alt(self) -> str:
        """The chart in words."""
        if self.summary or self.empty:
            return f"{self.title}. {self.summary or self.empty}"
        return f"{self.title}. {_described(self.panels)}"

    def plotly(self) -> dict[str, Any]:
        """Plotly's JSON: ``data``, ``layout``, ``config``."""
        from perfkit.figures import interactive

        return interactive.render(self)

    def svg(self) -> str:
        """A static picture; the same chart always gives the same bytes."""
        from perfkit.figures import static

        return static.render(self)

    def html(self) -> str:
        """Caption, static picture with its name for screen readers, and table."""
        from perfkit.figures import markup

        return markup.figure(self)

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        bundle: dict[str, Any] = {"text/plain": f"{self.title}\n{self.reading}"}
        bundle["text/html"] = self.html()
        if self.panels:
            bundle["image/svg+xml"] = self.svg()
            bundle["application/vnd.plotly.v1+json"] = self.plotly()
        return bundle


def numbers(values: Iterable[Any], scale: float = 1.0) -> tuple[Number, ...]:
    """Values as floats times ``scale``; what is missing or not finite becomes a gap."""
    made: list[Number] = []
    for value in values:
        number = float("nan") if value is None else float(value) * scale
        made.append(number if math.isfinite(number) else None)
    return tuple(made)


def thinned(
    x: Sequence[float], y: Sequence[Number], limit: int = POINTS_PER_LINE
) -> tuple[tuple[float, ...], tuple[Number, ...]]:
    """At most ``limit`` points: of each stretch its lowest and its highest, in order of x."""
    if len(x) <= limit:
        return tuple(x), tuple(y)
    kept: list[int] = []
    stretches = limit // 2
    for stretch in range(stretches):
        inside = range(stretch * len(x) // stretches, (stretch + 1) * len(x) // stretches)
        known = [i for i in inside if y[i] is not None]
        if known:
            low = min(known, key=lambda i: y[i] or 0.0)
            high = max(known, key=lambda i: y[i] or 0.0)
            kept += sorted({low, high})
        else:
            kept.append(inside[0])
    return tuple(x[i] for i in kept), tuple(y[i] for i in kept)


def time_ticks(values_ms: Iterable[Number]) -> tuple[tuple[float, str], ...]:
    """Ticks of a logarithmic axis in milliseconds, labelled with the unit that suits each."""
    known = [value for value in values_ms if value is not None and value > 0]
    if not known:
        return ()
    first, last = math.floor(math.log10(min(known))), math.ceil(math.log10(max(known)))
    steps = (1, 2, 5) if last - first <= 2 else (1, 3) if last - first == 3 else (1,)
    places = [step * 10.0**decade for decade in range(first, last + 1) for step in steps]
    inside = [place for place in places if 0.8 * min(known) <= place <= 1.25 * max(known)]
    return tuple((place, _duration_label(place)) for place in inside)


def _duration_label(ms: float) -> str:
    if ms >= 1000:
        return f"{ms / 1000:g} s"
    return f"{ms:g} ms" if ms >= 1 else f"{ms * 1000:g} µs"


def _known(values: Sequence[Number]) -> int:
    return sum(value is not None for value in values)


def _described(panels: tuple[Panel, ...]) -> str:
    sentences = []
    for panel in panels:
        where = f"{panel.title}: " if panel.title else ""
        what = [
            f"{mark.name} {_range(mark.y)}"
            for mark in panel.marks
            if isinstance(mark, Line | Points | Intervals | Bars)
        ]
        what += [mark.text for mark in panel.marks if isinstance(mark, Note)]
        what += [
            f"{mark.label} at {mark.x:.4g}"
            for mark in panel.marks
            if isinstance(mark, Instant) and mark.label
        ]
        sentences.append(f"{where}{panel.y.title}; {', '.join(what)}" if what else where)
    return ". ".join(sentences) + "."


def _range(values: Sequence[Number]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "without values"
    low, high = min(known), max(known)
    return f"{low:.4g}" if low == high else f"from {low:.4g} to {high:.4g}"
