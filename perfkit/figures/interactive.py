"""A chart as plotly's JSON, written by hand: reading a report needs no plotly import.

Panels stand side by side on a wide page. ``layout.meta.narrow`` holds the changes that stack them,
which the report's own script applies on a narrow one.
"""

from __future__ import annotations

import math
from typing import Any, Final

from perfkit.figures import style
from perfkit.figures.chart import (
    POINTS_PER_LINE,
    Axis,
    Bars,
    Box,
    Chart,
    Instant,
    Intervals,
    Line,
    Mark,
    Note,
    Number,
    Panel,
    Points,
    Rule,
    Span,
    thinned,
)

__all__ = ["render"]

_TOP: Final = 96  # title, reading line, legend
_BOTTOM: Final = 44
_GAP: Final = 66  # between stacked panels: axis title below, panel title above
_ROW: Final = 14  # between labels one below the other
_DASHES: Final = {"solid": "solid", "dash": "dash", "dot": "dot"}


def render(chart: Chart) -> dict[str, Any]:
    """``data``, ``layout`` and ``config`` as plotly's MIME type holds them."""
    data: list[dict[str, Any]] = []
    layout: dict[str, Any] = {
        "autosize": True,
        "paper_bgcolor": style.value("paper"),
        "plot_bgcolor": style.value("paper"),
        "font": {"family": style.FONT, "size": 12, "color": style.value("ink")},
        "hovermode": "x unified",
        "hoverlabel": {"bgcolor": style.value("raised"), "font": {"color": style.value("ink")}},
        "margin": {"l": 36, "r": 16, "t": _TOP, "b": _BOTTOM},
        "legend": {"orientation": "h", "x": 0, "xanchor": "left", "yanchor": "bottom"},
        "annotations": [],
        "shapes": [],
        "title": {
            "text": _plain(chart.title),
            "subtitle": {"text": _plain(chart.reading), "font": {"color": style.value("muted")}},
            "x": 0,
            "xref": "paper",
            "y": 1,
            "yref": "container",
            "yanchor": "top",
            "pad": {"t": 10},
            "font": {"size": 15},
        },
    }
    if any(panel.bars == "stack" for panel in chart.panels):
        layout["barmode"] = "stack"
    if any(isinstance(mark, Intervals) for panel in chart.panels for mark in panel.marks):
        layout["hovermode"] = "closest"
    if any(isinstance(mark, Bars) for panel in chart.panels for mark in panel.marks):
        layout["hovermode"] = "closest"
        layout["bargap"] = 0.35
    named: set[str] = set()
    for index, panel in enumerate(chart.panels):
        _panel(chart, panel, index, data, layout, named)
    layout |= _nested(_placement(chart, chart.columns), layout)
    layout["meta"] = {"narrow": _placement(chart, 1)}
    return {
        "data": data,
        "layout": layout,
        "config": {"displaylogo": False, "responsive": True, "displayModeBar": False},
    }


def _suffix(index: int) -> str:
    return "" if index == 0 else str(index + 1)


def _placement(chart: Chart, columns: int) -> dict[str, Any]:
    """Dotted layout keys that put the panels into so many columns."""
    count = len(chart.panels)
    rows = math.ceil(count / columns)
    inner = rows * chart.height + (rows - 1) * _GAP
    placed: dict[str, Any] = {
        "height": inner + _TOP + _BOTTOM,
        "legend.y": 1 + 24 / inner,
    }
    gap = 0.075 if columns > 1 else 0.0
    width = (1 - gap * (columns - 1)) / columns
    for index in range(count):
        row, column = divmod(index, columns)
        left = column * (width + gap)
        top = 1 - row * (chart.height + _GAP) / inner
        placed[f"xaxis{_suffix(index)}.domain"] = [_short(left), _short(min(1.0, left + width))]
        placed[f"yaxis{_suffix(index)}.domain"] = [
            _short(max(0.0, top - chart.height / inner)),
            _short(top),
        ]
    return placed


def _nested(dotted: dict[str, Any], layout: dict[str, Any]) -> dict[str, Any]:
    changed: dict[str, Any] = {}
    for key, value in dotted.items():
        head, _, tail = key.partition(".")
        if tail:
            changed[head] = {**layout[head], **changed.get(head, {}), tail: value}
        else:
            changed[head] = value
    return changed


def _panel(
    chart: Chart,
    panel: Panel,
    index: int,
    data: list[dict[str, Any]],
    layout: dict[str, Any],
    named: set[str],
) -> None:
    suffix = _suffix(index)
    across, up = (panel.y, panel.x) if panel.horizontal else (panel.x, panel.y)
    layout[f"xaxis{suffix}"] = _axis(across, anchor=f"y{suffix}", title=True)
    layout[f"yaxis{suffix}"] = _axis(up, anchor=f"x{suffix}", title=False)
    if panel.horizontal:
        layout[f"yaxis{suffix}"] |= {"autorange": "reversed", "showgrid": False}
        layout[f"yaxis{suffix}"].pop("rangemode", None)
    if chart.shared and index > 0:
        layout[f"yaxis{suffix}"]["matches"] = "y"
        layout[f"xaxis{suffix}"]["matches"] = "x"
    heading = "" if panel.horizontal else panel.y.title
    bold = f"<b>{_plain(panel.title)}</b>  " if panel.title else ""
    layout["annotations"].append(
        {
            "text": bold + _plain(heading),
            "showarrow": False,
            "xref": f"x{suffix} domain",
            "yref": f"y{suffix} domain",
            "x": 0,
            "xanchor": "left",
            "y": 1,
            "yanchor": "bottom",
            "yshift": 3,
            "font": {"size": 12, "color": style.value("muted")},
        }
    )
    points = chart.points_per_line(POINTS_PER_LINE)
    for mark in panel.marks:
        if isinstance(mark, Span | Box | Instant | Rule):
            _shape(mark, suffix, layout)
            continue
        if isinstance(mark, Note):
            layout["annotations"].append(_note(mark, panel, suffix))
            continue
        traces = _traces(mark, panel, dotted=chart.dotted, points=points)
        for trace in traces:
            trace |= {"xaxis": f"x{suffix}", "yaxis": f"y{suffix}"}
            trace["legendgroup"] = _plain(mark.name)
            trace["showlegend"] = trace.get("showlegend", True) and mark.name not in named
        named.add(mark.name)
        data.extend(traces)


def _axis(axis: Axis, *, anchor: str, title: bool) -> dict[str, Any]:
    made: dict[str, Any] = {
        "anchor": anchor,
        "gridcolor": style.value("grid"),
        "linecolor": style.value("rule"),
        "zerolinecolor": style.value("rule"),
        "tickfont": {"color": style.value("muted")},
        "automargin": True,
        "type": axis.scale,
        "zeroline": False,
    }
    if title and axis.title:
        made["title"] = {
            "text": _plain(axis.title),
            "standoff": 6,
            "font": {"size": 12, "color": style.value("muted")},
        }
    if axis.ticks:
        made |= {
            "tickmode": "array",
            "tickvals": [_short(place) for place, _ in axis.ticks],
            "ticktext": [_plain(label) for _, label in axis.ticks],
        }
    if axis.zero:
        made["rangemode"] = "tozero"
    return made


def _traces(mark: Mark, panel: Panel, *, dotted: bool, points: int) -> list[dict[str, Any]]:
    if isinstance(mark, Line):
        x, y = thinned(mark.x, mark.y, points)
        alone = sum(value is not None for value in y) < 2
        trace: dict[str, Any] = {
            "type": "scatter",
            "mode": "lines+markers" if dotted or alone else "lines",
            "name": _plain(mark.name),
            "x": _shorts(x),
            "y": _shorts(y),
            "line": {
                "color": style.value(mark.colour),
                "width": mark.width,
                "dash": _DASHES[mark.dash],
            },
            "marker": {"size": 6},
        }
        if mark.step:
            trace["line"]["shape"] = "hv"
        return [trace]
    if isinstance(mark, Points):
        return [
            {
                "type": "scatter",
                "mode": "markers",
                "name": _plain(mark.name),
                "x": _shorts(mark.x),
                "y": _shorts(mark.y),
                "marker": {"size": 7, "color": style.value(mark.colour)},
            }
        ]
    if isinstance(mark, Intervals):
        return [_intervals(mark)]
    if isinstance(mark, Bars):
        bars: dict[str, Any] = {
            "type": "bar",
            "name": _plain(mark.name),
            "marker": {
                "color": style.value(mark.colour),
                "line": {"color": style.value("paper"), "width": 1},
            },
            "orientation": "h" if panel.horizontal else "v",
        }
        names, values = [_plain(name) for name in mark.x], _shorts(mark.y)
        bars["x"], bars["y"] = (values, names) if panel.horizontal else (names, values)
        return [bars]
    raise TypeError(f"{type(mark).__name__} is not drawn by a trace")


def _intervals(mark: Intervals) -> dict[str, Any]:
    """Dots with whiskers; where an end is not known only the dot."""
    values = mark.x if mark.across else mark.y

    def reach(ends: tuple[Number, ...]) -> list[Number]:
        return [
            None if value is None or end is None else _short(abs(end - value))
            for value, end in zip(values, ends, strict=True)
        ]

    return {
        "type": "scatter",
        "mode": "markers",
        "name": _plain(mark.name),
        "x": _shorts(mark.x),
        "y": _shorts(mark.y),
        "marker": {"size": 8, "color": style.value(mark.colour)},
        "error_x" if mark.across else "error_y": {
            "type": "data",
            "symmetric": False,
            "array": reach(mark.high),
            "arrayminus": reach(mark.low),
            "color": style.value(mark.colour),
            "thickness": 1.6,
            "width": 4,
        },
    }


def _shape(mark: Span | Box | Instant | Rule, suffix: str, layout: dict[str, Any]) -> None:
    if isinstance(mark, Box):
        field: dict[str, Any] = {"xref": f"x{suffix}", "yref": f"y{suffix}", "type": "rect"}
        field |= {"x0": _short(mark.left), "x1": _short(mark.right)}
        field |= {"y0": _short(mark.bottom), "y1": _short(mark.top)}
        field |= {"line": {"width": 0}, "fillcolor": style.value("window"), "layer": "below"}
        layout["shapes"].append(field)
        return
    note: dict[str, Any] = {
        "text": _plain(mark.label),
        "showarrow": False,
        "font": {"size": 11, "color": style.value("muted")},
    }
    if isinstance(mark, Span):
        layout["shapes"].append(
            {
                "type": "rect",
                "xref": f"x{suffix}",
                "yref": f"y{suffix} domain",
                "x0": _short(mark.start),
                "x1": _short(mark.end),
                "y0": 0,
                "y1": 1,
                "line": {"width": 0},
                "fillcolor": style.value("window"),
                "layer": "below",
            }
        )
        note |= {"xref": f"x{suffix}", "yref": f"y{suffix} domain", "xanchor": "left"}
        note |= {"x": _short(mark.start), "y": 1, "yanchor": "top", "xshift": 2}
    elif isinstance(mark, Instant):
        layout["shapes"].append(
            {
                "type": "line",
                "xref": f"x{suffix}",
                "yref": f"y{suffix} domain",
                "x0": _short(mark.x),
                "x1": _short(mark.x),
                "y0": 0,
                "y1": 1,
                "line": {"color": style.value(mark.colour), "width": 1, "dash": "dot"},
            }
        )
        note["font"]["color"] = style.value(mark.colour)
        note |= {"xref": f"x{suffix}", "yref": f"y{suffix} domain", "xanchor": "left"}
        note |= {"x": _short(mark.x), "y": 1, "yanchor": "top", "xshift": 2}
        note["yshift"] = -_ROW * mark.row
    else:
        layout["shapes"].append(
            {
                "type": "line",
                "xref": f"x{suffix} domain",
                "yref": f"y{suffix}",
                "x0": 0,
                "x1": 1,
                "y0": _short(mark.y),
                "y1": _short(mark.y),
                "line": {"color": style.value(mark.colour), "width": 1.2, "dash": "dash"},
            }
        )
        note |= {"xref": f"x{suffix} domain", "yref": f"y{suffix}", "xanchor": "right"}
        note |= {"x": 1, "y": _short(mark.y), "yanchor": "bottom"}
    if note["text"]:
        layout["annotations"].append(note)


def _note(mark: Note, panel: Panel, suffix: str) -> dict[str, Any]:
    """An annotation; unlike a shape's, its place on a logarithmic axis is the exponent."""

    def place(value: float, axis: Axis) -> float:
        return _short(math.log10(value) if axis.scale == "log" else value)

    return {
        "text": _plain(mark.text),
        "showarrow": False,
        "font": {"size": 11, "color": style.value(mark.colour)},
        "xref": f"x{suffix}",
        "yref": f"y{suffix}",
        "x": place(mark.x, panel.x),
        "y": place(mark.y, panel.y),
        "xanchor": "right" if mark.left else "left",
        "xshift": -5 if mark.left else 5,
        "yanchor": "bottom" if mark.left else "middle",  # above the line it stands over
    }


def _shorts(values: tuple[Number, ...]) -> list[Number]:
    return [None if value is None else _short(value) for value in values]


def _short(value: float) -> float:
    """Five significant digits: more than a screen shows, in half the bytes."""
    rounded = float(f"{value:.5g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _plain(text: str) -> str:
    """Plotly reads a few tags in any text; a name from outside must not become one."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
