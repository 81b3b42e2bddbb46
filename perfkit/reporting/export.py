"""One HTML file from an executed notebook.

Nothing is fetched: styles, pictures and plotly.js (the cartesian bundle, gzipped and base64, which
the page's script inflates) are inside. The Content-Security-Policy names the two scripts by hash,
so a name that became markup could still run nothing. Without script the static pictures stay.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from dataclasses import dataclass
from functools import cache
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Final

from jinja2 import FileSystemLoader
from nbconvert.exporters import templateexporter
from nbconvert.filters import highlight
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath

import perfkit
from perfkit.errors import ReportFailed
from perfkit.figures import sheet, style
from perfkit.reporting import document
from perfkit.reporting.outputs import Outputs

__all__ = ["BYTES_LIMIT", "PLOTLY_VERSION", "export_html", "external_references"]

PLOTLY_VERSION: Final = "4.1.1"
"""Of the vendored bundle: that of the plotly.py this was made with."""

BYTES_LIMIT: Final = 3_000_000
"""A larger report is refused: it could not be mailed, and a browser would crawl."""

_HERE: Final = Path(__file__).resolve().parent
_BUNDLE: Final = _HERE / "assets" / f"plotly-cartesian-{PLOTLY_VERSION}.min.js.gz"
# They have no types. Not HTMLExporter: it parses and rewrites the whole page once more.
_EXPORTER: Any = templateexporter.TemplateExporter
_HIGHLIGHT: Any = highlight.Highlight2HTML
_FETCHING: Final = frozenset({"src", "href", "xlink:href", "srcset", "poster", "data", "action"})
_PAPERMILL_NOTES: Final = frozenset({"papermill-error-cell-tag"})
_HEADING: Final = re.compile(r"<h([12])>(.*?)</h\1>", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Entry:
    anchor: str
    text: str


@dataclass(frozen=True, slots=True)
class _Block:
    kind: str
    html: str = ""
    source: str = ""
    outputs: tuple[str, ...] = ()


def export_html(notebook: Path, target: Path, *, about: str = "", failed: str = "") -> int:
    """Write ``notebook`` as ``target``; returns its size in bytes.

    Args:
        about: what it reports on, for the title of the page beside its heading.
        failed: why the notebook is not complete; the page then says FAILED first.

    Raises:
        ReportFailed: larger than `BYTES_LIMIT`, or it would fetch something.
    """
    page = _rendered(document.read(notebook), about, failed).encode()
    if len(page) > BYTES_LIMIT:
        raise ReportFailed(
            f"the report of {notebook.name} has {len(page):,} bytes, more than {BYTES_LIMIT:,}",
            "draw fewer trials or fewer points",
        )
    if outside := external_references(page.decode()):
        raise ReportFailed(
            f"the report of {notebook.name} would fetch {', '.join(outside[:3])}",
            "put what it needs into the notebook itself",
        )
    partial = target.with_name(target.name + ".partial")
    partial.write_bytes(page)
    partial.replace(target)
    return len(page)


def external_references(page: str) -> list[str]:
    """Addresses in ``src``, ``href`` and the like that are neither inside the page nor data."""
    found: list[str] = []

    class References(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            for name, value in attrs:
                if name in _FETCHING and value and not value.startswith(("#", "data:")):
                    found.append(value)

    References(convert_charrefs=True).feed(page)
    return found


def _rendered(notebook: Any, about: str, failed: str) -> str:
    blocks, contents, charts = _blocks(notebook)
    title = unescape(re.sub(r"<[^>]+>", "", contents[0].text)) if contents else "Report"
    title += f" · {about}" if about else ""
    script = (_HERE / "template" / "page.js").read_text()
    packed, bundle_hash = _bundle() if charts else ("", "")
    page = {
        "title": f"FAILED: {title}" if failed else title,
        "failed": failed,
        "policy": _policy([_hash(script), bundle_hash] if charts else []),
        "font": style.FONT,
        "sheet": sheet.sheet(),
        "css": (_HERE / "template" / "page.css").read_text(),
        "blocks": blocks,
        "contents": contents[1:],
        "dark_colours": json.dumps(style.dark_of_light()),
        "plotly": packed,
        "script": script,
        "footer": f"perfkit {perfkit.__version__}. Charts by plotly.js {PLOTLY_VERSION} (MIT).",
    }
    exporter = _EXPORTER(
        template_file="page.html.j2",
        template_paths=[str(_HERE / "template")],
        extra_loaders=[FileSystemLoader(_HERE / "template")],
    )
    exporter.register_filter("highlight_code", _HIGHLIGHT(pygments_lexer="ipython3"))
    rendered, _ = exporter.from_notebook_node(notebook, resources={"perfkit": page})
    return str(rendered)


def _blocks(notebook: Any) -> tuple[list[_Block], list[_Entry], int]:
    outputs = Outputs()
    contents: list[_Entry] = []

    def anchored(match: re.Match[str]) -> str:
        entry = _Entry(f"section-{len(contents)}", re.sub(r"<[^>]+>", "", match[2]))
        contents.append(entry)
        return f'<h{match[1]} id="{entry.anchor}">{match[2]}</h{match[1]}>'

    blocks = []
    for cell in notebook.cells:
        if _PAPERMILL_NOTES & set(cell.metadata.get("tags", ())):
            continue  # the page says it itself
        if cell.cell_type == "markdown":
            blocks.append(_Block("markdown", html=_HEADING.sub(anchored, _prose(cell.source))))
        elif cell.cell_type == "code":
            shown = tuple(part for part in map(outputs.html, cell.outputs) if part)
            blocks.append(_Block("code", source=cell.source, outputs=shown))
    return blocks, contents, outputs.charts


def _prose(source: str) -> str:
    """Markdown as HTML; tags in it are text."""
    renderer = IPythonRenderer(escape=True, exclude_anchor_links=True)
    return str(MarkdownWithMath(renderer=renderer).render(source))


def _policy(hashes: list[str]) -> str:
    scripts = " ".join(f"'sha256-{digest}'" for digest in hashes) or "'none'"
    return (
        f"default-src 'none'; script-src {scripts}; style-src 'unsafe-inline';"
        " img-src data: blob:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cache
def _bundle() -> tuple[str, str]:
    """plotly.js as base64 of gzip, and the hash of what it inflates to."""
    packed = _BUNDLE.read_bytes()
    return base64.b64encode(packed).decode(), _hash(gzip.decompress(packed).decode())
