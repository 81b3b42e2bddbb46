"""HTML of figures and tables. Every name from outside goes through `text`."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from perfkit.figures.chart import Bars, Chart, Line, Number, Panel, Points, Table

__all__ = ["Block", "figure", "sentence", "table", "text", "warned"]

_TABLE_ROWS: Final = 24


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of HTML with its plain text, shown by JupyterLab and by the report alike."""

    html: str
    plain: str

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, Any]:
        return {"text/plain": self.plain, "text/html": self.html}


def text(value: object) -> str:
    """A value as text that can be neither a tag nor the end of an attribute."""
    return html.escape(str(value), quote=True)


def sentence(words: str, *, strong: bool = False) -> Block:
    """A line of its own: a finding, or that there is nothing to show."""
    shown = text(words)
    if strong:
        return Block(f'<p class="pk-finding"><strong>{shown}</strong></p>', words)
    return Block(f'<p class="pk-reading">{shown}</p>', words)


def warned(words: Iterable[object]) -> str:
    """What makes the numbers worth less, a line each; empty where there is nothing."""
    return "".join(
        f'<p class="pk-small"><strong>Warning:</strong> {text(each)}</p>' for each in words
    )


def figure(chart: Chart) -> str:
    """Caption, picture (or the sentence that there is none), and "view as table"."""
    from perfkit.figures import static
    from perfkit.figures.svg import themed

    caption = (
        f'<p class="pk-finding"><strong>{text(chart.title)}</strong></p>'
        f'<p class="pk-reading">{text(chart.reading)}</p>'
    )
    if not chart.panels:
        return f'<div class="pk-figure">{caption}<p class="pk-empty">{text(chart.empty)}</p></div>'
    picture = themed(static.render(chart, named=False))
    shown = chart.table or _table_of(chart.panels)
    drawn = f'<figure class="pk-chart" role="img" aria-label="{text(chart.alt)}">{picture}</figure>'
    if chart.folded:
        summary = f"show {len(chart.panels)} panels"
        drawn = f'<details class="pk-more"><summary>{summary}</summary>{drawn}</details>'
    return (
        f'<div class="pk-figure">{caption}{drawn}'
        f'<details class="pk-data"><summary>view as table</summary>{table(shown)}</details></div>'
    )


def table(shown: Table, *, css: str = "pk-table", marks: Sequence[str] = (), fold: int = 0) -> str:
    """A table; numbers align right.

    Args:
        css: classes of the table.
        marks: CSS classes, one a row.
        fold: rows after so many lie folded; nought folds none.
    """
    if fold and len(shown.rows) > fold + 2:
        first = Table(columns=shown.columns, rows=shown.rows[:fold])
        rest = Table(columns=shown.columns, rows=shown.rows[fold:], note=shown.note)
        return (
            f"{table(first, css=css, marks=marks[:fold])}"
            f'<details class="pk-more"><summary>{len(rest.rows)} more rows</summary>'
            f"{table(rest, css=css, marks=marks[fold:])}</details>"
        )
    numeric = [
        all(_is_numeric(row[column]) for row in shown.rows) for column in range(len(shown.columns))
    ]

    def cells(tag: str, row: Iterable[str]) -> str:
        return "".join(
            f"<{tag}{' class=num' if number else ''}{' scope=col' if tag == 'th' else ''}>"
            f"{text(cell)}</{tag}>"
            for cell, number in zip(row, numeric, strict=True)
        )

    rows = "".join(
        f"<tr{f' class={marks[i]}' if i < len(marks) and marks[i] else ''}>{cells('td', row)}</tr>"
        for i, row in enumerate(shown.rows)
    )
    note = f'<p class="pk-note">{text(shown.note)}</p>' if shown.note else ""
    return (
        f'<div class="pk-scroll"><table class="{css}"><thead><tr>{cells("th", shown.columns)}</tr>'
        f"</thead><tbody>{rows}</tbody></table></div>{note}"
    )


def _is_numeric(cell: str) -> bool:
    return cell in ("", "–", "∞", "-∞", "n/a") or cell.lstrip("-+≤≥ ")[:1].isdigit()


def _table_of(panels: tuple[Panel, ...]) -> Table:
    """The marks as rows, thinned evenly to what a person would read."""
    many = len(panels) > 1
    names: list[str] = []
    rows: list[tuple[str, dict[str, str], str]] = []
    total = 0
    for panel in panels:
        by_x: dict[Any, dict[str, str]] = {}
        for mark in panel.marks:
            if isinstance(mark, Line | Points | Bars):
                if mark.name not in names:
                    names.append(mark.name)
                for x, y in zip(mark.x, mark.y, strict=True):
                    by_x.setdefault(x, {})[mark.name] = _cell(y)
        labels = dict(panel.x.ticks)
        total += len(by_x)
        places = list(by_x) if panel.x.scale == "category" else sorted(by_x)
        limit = max(4, _TABLE_ROWS // len(panels))
        step = max(1, -(-len(places) // limit))
        rows += [(panel.title, by_x[x], labels.get(x) or _place(x)) for x in places[::step]]
    note = f"{len(rows)} of {total} rows, evenly spaced" if len(rows) < total else ""
    head = ("", panels[0].x.title) if many else (panels[0].x.title,)
    unit = panels[0].y.title
    return Table(
        columns=(*head, *names),
        rows=tuple(
            ((title, x) if many else (x,)) + tuple(cells.get(name, "–") for name in names)
            for title, cells, x in rows
        ),
        note=f"values: {unit}" + (f"; {note}" if note else ""),
    )


def _cell(value: Number) -> str:
    return "–" if value is None else f"{value:.4g}" if abs(value) < 1e4 else f"{value:.0f}"


def _place(x: object) -> str:
    return f"{x:.4g}" if isinstance(x, float) else str(x)
