"""A chart as SVG by matplotlib: for paper, mail, and pages that run no script.

No pyplot and no global state: the settings below are the whole context, so the same chart gives the
same bytes in every process (`svg.hashsalt`, no date).
"""

from __future__ import annotations

import html
import io
import math
from functools import lru_cache
from typing import Any, Final

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, MaxNLocator, NullFormatter

from perfkit.figures import style
from perfkit.figures.chart import (
    Axis,
    Bars,
    Box,
    Chart,
    Instant,
    Intervals,
    Line,
    Note,
    Number,
    Panel,
    Points,
    Rule,
    Span,
    thinned,
)
from perfkit.figures.svg import compact

__all__ = ["render"]

_POINTS: Final = 160  # a static line is never zoomed
_WIDTH: Final = 10.0  # inches, at 72 points
_DASHES: Final = {"solid": "-", "dash": (0, (5, 3)), "dot": (0, (1.5, 2))}
_SETTINGS: Final[Any] = {
    "svg.hashsalt": "perfkit",
    "svg.fonttype": "none",
    "font.family": "DejaVu Sans",
    "font.size": 9,
    "text.parse_math": False,
    "axes.unicode_minus": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "path.simplify": True,
    "path.simplify_threshold": 0.5,
}


def render(chart: Chart, *, named: bool = True) -> str:
    """An ``<svg>`` element, with the chart's words as its name unless what holds it has them."""
    name = f'role="img" aria-label="{html.escape(chart.alt)}"' if named else 'aria-hidden="true"'
    return _picture(chart).replace("<svg ", f"<svg {name} ", 1)


@lru_cache(maxsize=4)  # a display asks twice: alone, and inside its HTML
def _picture(chart: Chart) -> str:
    """Only the element, without what a page would find twice or has no use for."""
    with rc_context(_SETTINGS):
        buffer = io.StringIO()
        _draw(chart).savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return compact(buffer.getvalue())


def _draw(chart: Chart) -> Figure:
    panels = chart.panels
    rows = max(1, math.ceil(len(panels) / chart.columns))
    height = (rows * (chart.height + 58) + 26) / 100
    figure = Figure(figsize=(_WIDTH, height), dpi=72, layout="constrained")
    FigureCanvasSVG(figure)
    figure.patch.set_facecolor(style.value("paper"))
    if not panels:
        figure.set_size_inches(_WIDTH, 0.6)
        figure.text(0.01, 0.5, chart.empty, va="center", color=style.value("muted"))
        return figure
    grid = list(
        figure.subplots(
            rows, chart.columns, squeeze=False, sharey=chart.shared, sharex=chart.shared
        ).flat
    )
    handles: dict[str, Any] = {}
    for axes in grid[len(panels) :]:
        axes.remove()
    for place, (panel, axes) in enumerate(zip(panels, grid, strict=False)):
        _panel(panel, axes, handles, chart)
        if chart.shared:
            # Where scales are the same their labels stand once, at the edge.
            left, last = place % chart.columns == 0, place + chart.columns >= len(panels)
            axes.tick_params(labelleft=left, labelbottom=last)
            axes.set_xlabel(axes.get_xlabel() if last else "")
    if len(handles) > 1:
        figure.legend(
            handles.values(),
            handles.keys(),
            loc="outside upper left",
            ncols=min(6, len(handles)),
            frameon=False,
            labelcolor=style.value("ink"),
        )
    return figure


def _panel(panel: Panel, axes: Axes, handles: dict[str, Any], chart: Chart) -> None:
    across, up = (panel.y, panel.x) if panel.horizontal else (panel.x, panel.y)
    axes.set_facecolor(style.value("paper"))
    for side in ("left", "bottom"):
        axes.spines[side].set_color(style.value("rule"))
    axes.tick_params(colors=style.value("muted"), labelcolor=style.value("muted"), length=0)
    axes.tick_params(labelleft=True, labelbottom=True)
    axes.tick_params(which="minor", length=0)
    axes.grid(True, axis="x" if panel.horizontal else "y", color=style.value("grid"), linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_xlabel(across.title, color=style.value("muted"))
    heading = "" if panel.horizontal else panel.y.title
    if panel.title:
        heading = f"{panel.title} · {heading}" if heading else panel.title
    axes.set_title(heading, loc="left", fontsize=9, color=style.value("muted"))
    _scale(axes, across, "x")
    _scale(axes, up, "y")
    stacked: dict[str, float] = {}
    series = [mark for mark in panel.marks if isinstance(mark, Bars)]
    for mark in panel.marks:
        artist = _mark(mark, panel, axes, series, stacked, chart)
        if artist is not None and not isinstance(mark, Span | Box | Instant | Rule | Note):
            handles.setdefault(mark.name, artist)
    if panel.horizontal and not axes.yaxis_inverted():
        axes.invert_yaxis()
    if any(isinstance(mark, Intervals) and mark.across for mark in panel.marks):
        axes.margins(y=0.12)  # the first row and the last stand on no edge
    if across.zero:
        axes.set_xlim(left=0)
    if up.zero:
        axes.set_ylim(0, axes.get_ylim()[1] * 1.1)


def _scale(axes: Axes, axis: Axis, name: str) -> None:
    this = axes.xaxis if name == "x" else axes.yaxis
    if axis.scale == "log":
        (axes.set_xscale if name == "x" else axes.set_yscale)("log")
        this.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        this.set_minor_formatter(NullFormatter())
    elif axis.scale == "linear" and not axis.ticks:
        this.set_major_locator(MaxNLocator(6))
        this.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if axis.ticks:
        this.set_ticks([place for place, _ in axis.ticks], [label for _, label in axis.ticks])


def _mark(
    mark: object,
    panel: Panel,
    axes: Axes,
    series: list[Bars],
    stacked: dict[str, float],
    chart: Chart,
) -> Any:
    if isinstance(mark, Line):
        x, y = thinned(mark.x, mark.y, chart.points_per_line(_POINTS, share=0.6))
        few = chart.dotted or sum(value is not None for value in y) < 2
        [line] = axes.plot(
            x,
            _gaps(y),
            color=style.value(mark.colour),
            linestyle=_DASHES[mark.dash],
            linewidth=mark.width * 0.9,
            marker="o" if few else None,
            markersize=4,
            drawstyle="steps-post" if mark.step else "default",
        )
        return line
    if isinstance(mark, Points):
        [dots] = axes.plot(
            mark.x,
            _gaps(mark.y),
            color=style.value(mark.colour),
            linestyle="none",
            marker="o",
            markersize=5,
        )
        return dots
    if isinstance(mark, Intervals):
        return _intervals(mark, axes)
    if isinstance(mark, Bars):
        return _bars(mark, panel, axes, series, stacked)
    if isinstance(mark, Box):
        wide, high = mark.right - mark.left, mark.top - mark.bottom
        field: dict[str, Any] = {"color": style.value("window"), "linewidth": 0, "zorder": 0}
        axes.add_patch(Rectangle((mark.left, mark.bottom), wide, high, **field))
    if isinstance(mark, Span):
        axes.axvspan(mark.start, mark.end, color=style.value("window"), linewidth=0, zorder=0)
        axes.text(
            mark.start,
            0.99,
            f" {mark.label}",
            transform=axes.get_xaxis_transform(),
            va="top",
            fontsize=8,
            color=style.value("muted"),
        )
    if isinstance(mark, Instant):
        axes.axvline(mark.x, color=style.value(mark.colour), linewidth=1, linestyle=(0, (1, 2)))
        axes.annotate(
            mark.label,
            (mark.x, 0.99),
            xycoords=axes.get_xaxis_transform(),
            xytext=(2, -10 * mark.row),
            textcoords="offset points",
            va="top",
            fontsize=8,
            color=style.value(mark.colour),
        )
    if isinstance(mark, Rule):
        axes.axhline(mark.y, color=style.value(mark.colour), linewidth=1, linestyle=(0, (5, 3)))
        axes.text(
            0.995,
            mark.y,
            mark.label,
            transform=axes.get_yaxis_transform(),
            va="bottom",
            ha="right",
            fontsize=8,
            color=style.value("muted"),
        )
    if isinstance(mark, Note):
        axes.annotate(
            mark.text,
            (mark.x, mark.y),
            xytext=(-4 if mark.left else 4, 0),
            textcoords="offset points",
            va="bottom" if mark.left else "center",
            ha="right" if mark.left else "left",
            fontsize=8,
            color=style.value(mark.colour),
        )
    return None


def _intervals(mark: Intervals, axes: Axes) -> Any:
    """Dots with whiskers; where an end is not known only the dot."""
    values = _gaps(mark.y) if not mark.across else list(mark.x)
    below = [value - end for value, end in zip(values, _gaps(mark.low), strict=True)]
    above = [end - value for value, end in zip(values, _gaps(mark.high), strict=True)]
    reach = [below, above]
    return axes.errorbar(
        mark.x,
        _gaps(mark.y),
        xerr=reach if mark.across else None,
        yerr=None if mark.across else reach,
        color=style.value(mark.colour),
        linestyle="none",
        marker="o",
        markersize=5,
        elinewidth=1.6,
        capsize=3,
    )


def _bars(
    mark: Bars, panel: Panel, axes: Axes, series: list[Bars], stacked: dict[str, float]
) -> Any:
    names = list(dict.fromkeys(name for bars in series for name in bars.x))
    places = [float(names.index(name)) for name in mark.x]
    sizes = [value or 0.0 for value in mark.y]
    colour: dict[str, Any] = {"color": style.value(mark.colour), "edgecolor": style.value("paper")}
    drawn: Any
    if panel.bars == "stack":
        base = [stacked.get(name, 0.0) for name in mark.x]
        thickness = 0.62
        for name, size in zip(mark.x, sizes, strict=True):
            stacked[name] = stacked.get(name, 0.0) + size
    else:
        base = [0.0] * len(sizes)
        thickness = 0.7 / max(1, len(series))
        shift = (series.index(mark) - (len(series) - 1) / 2) * thickness
        places = [place + shift for place in places]
    if panel.horizontal:
        drawn = axes.barh(places, sizes, height=thickness, left=base, linewidth=0.8, **colour)
        axes.set_yticks(range(len(names)), names)
    else:
        drawn = axes.bar(places, sizes, width=thickness, bottom=base, linewidth=0.8, **colour)
        axes.set_xticks(range(len(names)), names)
    return drawn


def _gaps(values: tuple[Number, ...]) -> list[float]:
    return [math.nan if value is None else value for value in values]
