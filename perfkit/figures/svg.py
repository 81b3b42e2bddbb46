"""SVG as text: matplotlib's, made half as long, and coloured by the page it stands in."""

from __future__ import annotations

import re
from typing import Final

from perfkit.figures import style

__all__ = ["compact", "themed"]

_TOKENS: Final = {colour: token for token, colour in style.LIGHT.colours.items()}
_FAMILY: Final = "DejaVu Sans, Verdana, sans-serif"
_LABELS: Final = ("font-size:9px", "text-anchor:start", f"fill:{style.value('muted')}")
_ROOT: Final = (
    f'<svg font-family="{_FAMILY}" style="{";".join(_LABELS)}"'
    ' stroke-linejoin="round" stroke-linecap="butt"'
    ' xmlns:xlink="http://www.w3.org/1999/xlink" xmlns="http://www.w3.org/2000/svg"'
)


def compact(document: str) -> str:
    """Only the ``<svg>`` element of matplotlib's document, drawing the same picture.

    What every element says of the font moves to the root; so do the style sheet, which inside a
    page would reach the whole of it, and the look of most labels. Coordinates keep a tenth of a
    point.
    """
    body = document[document.index("<svg") :].strip()
    body = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->|<style.*?</style>", "", body, flags=re.S)
    body = re.sub(r'<g id="[^"]*"', "<g", body)
    body = re.sub(r' transform="rotate\(-?0 [^"]*\)"', "", body)
    body = re.sub(r" font-family: '[^']*';", "", body)
    body = re.sub(r"-?\d+\.\d+", lambda number: f"{float(number[0]):.1f}".removesuffix(".0"), body)
    body = re.sub(r' d="([^"]*)"', lambda path: f' d="{_path(path[1])}"', body)
    body = re.sub(r' style="([^"]*)"', lambda rules: f' style="{_rules(rules[1])}"', body)
    body = re.sub(r' (?:version|xmlns|xmlns:xlink)="[^"]*"', "", body)
    body = _without_bare_groups(re.sub(r"<defs>\s*</defs>|<g/>", "", body))
    body = re.sub(r'(<text style=")([^"]*)"', lambda text: f'{text[1]}{_label(text[2])}"', body)
    return re.sub(r">\s+<", "><", body).replace("<svg", _ROOT, 1)


def themed(svg: str) -> str:
    """The same picture with its colours as CSS variables, for a page that can be dark."""

    def variable(match: re.Match[str]) -> str:
        token = _TOKENS.get(match[0].lower())
        return f"var(--pk-{token},{match[0]})" if token else match[0]

    return re.sub(r"#[0-9a-fA-F]{6}\b(?=[^<>]*>)", variable, svg)


def _path(steps: str) -> str:
    return re.sub(r"\s*([A-Za-z])\s*", r"\1", " ".join(steps.split()))


def _label(rules: str) -> str:
    """What of a text's rules is not the root's already."""
    return ";".join(rule for rule in rules.split(";") if rule not in _LABELS)


def _rules(rules: str) -> str:
    return re.sub(r"\s*([:;])\s*", r"\1", rules).replace("stroke-dashoffset:0;", "")


def _without_bare_groups(body: str) -> str:
    """Groups without an attribute group nothing."""
    kept: list[bool] = []

    def tag(match: re.Match[str]) -> str:
        if match[0] == "</g>":
            return match[0] if kept.pop() else ""
        kept.append(match[0] != "<g>")
        return match[0] if kept[-1] else ""

    return re.sub(r"<g(?: [^>]*)?>|</g>", tag, body)
