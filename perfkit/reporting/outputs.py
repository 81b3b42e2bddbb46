"""What a cell gave, as HTML for the report.

A chart of ours becomes its static figure with plotly's JSON beside it; any other output is shown in
its richest form that needs no script. Text is escaped; scripts in foreign HTML are dropped.
"""

from __future__ import annotations

import html
import json
import re
from collections.abc import Mapping
from typing import Any, Final

from nbconvert import filters

__all__ = ["Outputs"]

_COLOURED: Any = filters.ansi2html  # it has no types
_PLOTLY: Final = "application/vnd.plotly.v1+json"
_FIGURE: Final = '<figure class="pk-chart"'
_ACTIVE: Final = re.compile(r"<(script|style)\b.*?</\1\s*>", re.DOTALL | re.IGNORECASE)


class Outputs:
    """Turns outputs into HTML and counts the charts among them."""

    def __init__(self) -> None:
        self.charts = 0

    def html(self, output: Mapping[str, Any]) -> str:
        """One output of a code cell; empty where there is nothing to show."""
        match output["output_type"]:
            case "stream":
                css = "stderr" if output["name"] == "stderr" else "stdout"
                return f'<pre class="{css}">{_COLOURED(output["text"])}</pre>'
            case "error":
                trace = "\n".join(output["traceback"]) or f"{output['ename']}: {output['evalue']}"
                return f'<pre class="error">{_COLOURED(trace)}</pre>'
            case _:
                return self._bundle(output["data"])

    def _bundle(self, data: Mapping[str, Any]) -> str:
        shown = _ACTIVE.sub("", _text(data.get("text/html", "")))
        if _PLOTLY in data:
            return self._chart(shown, data[_PLOTLY])
        if shown:
            return _tidy(shown)
        if "image/svg+xml" in data:
            return _ACTIVE.sub("", _text(data["image/svg+xml"]))
        for kind in ("image/png", "image/jpeg"):
            if kind in data:
                alt = html.escape(_text(data.get("text/plain", "picture")), quote=True)
                encoded = "".join(_text(data[kind]).split())
                return f'<img alt="{alt}" src="data:{kind};base64,{encoded}">'
        plain = _text(data.get("text/plain", ""))
        return f"<pre>{html.escape(plain)}</pre>" if plain else ""

    def _chart(self, shown: str, plotly: Mapping[str, Any]) -> str:
        number = self.charts
        self.charts += 1
        packed = json.dumps(plotly, separators=(",", ":")).replace("<", "\\u003c")
        source = f'<script type="application/json" id="chart-{number}">{packed}</script>'
        if _FIGURE in shown:
            mark = f'{_FIGURE} data-chart="{number}" data-captioned="1"'
            return shown.replace(_FIGURE, mark, 1) + source
        title = plotly.get("layout", {}).get("title", {})
        name = title.get("text", "chart") if isinstance(title, Mapping) else str(title)
        return (
            f'{_FIGURE} data-chart="{number}" role="img"'
            f' aria-label="{html.escape(str(name), quote=True)}">'
            f'<figcaption class="pk-note">{html.escape(str(name))}: drawn by a script</figcaption>'
            f"</figure>{source}"
        )


def _text(value: str | list[str]) -> str:
    return "".join(value) if isinstance(value, list) else value


def _tidy(shown: str) -> str:
    """A DataFrame without pandas' own border and sheet, in a box that scrolls by itself."""
    if 'class="dataframe"' not in shown:
        return shown
    return f'<div class="pk-scroll">{shown.replace(" border=" + chr(34) + "1" + chr(34), "")}</div>'
