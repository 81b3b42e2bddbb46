"""The advisor's findings, the worst first: evidence, the knob, the experiment that would prove it.

Names in them come from outside, of errors and workers, and every word is escaped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from perfkit.figures.chart import Table
from perfkit.figures.markup import Block, table, text

if TYPE_CHECKING:
    from perfkit.findings import Advice, Finding

__all__ = ["findings"]

_NAMED: Final = 4
_NOTE: Final = (
    "A finding is measured, its cause is not proved: the command beside it is the experiment that"
    " would prove it."
)


def findings(advice: Advice, names: Mapping[int, str]) -> Block:
    """A piece per finding; where there is none, what was looked at.

    Args:
        advice: ``run.findings()``.
        names: ``titles(trials)``.
    """
    pieces = [_piece(each, names) for each in advice.found]
    html = "".join(each for each, _ in pieces)
    plain = [line for _, lines in pieces for line in lines]
    looked, looked_plain = _looked(advice)
    if not advice.found:
        html = f'<p class="pk-finding"><strong>{text(advice.sentence)}</strong></p>'
        plain = [advice.sentence]
    else:
        html += f'<p class="pk-note">{text(_NOTE)}</p>'
        looked = f'<details class="pk-more"><summary>what was looked at</summary>{looked}</details>'
    return Block(html=html + looked, plain="\n".join([*plain, *looked_plain]))


def _piece(found: Finding, names: Mapping[int, str]) -> tuple[str, list[str]]:
    where = _where(found, names)
    evidence = Table(columns=("measured", ""), rows=found.evidence)
    css = "bad" if found.severity in ("critical", "high") else "unsure"
    html = (
        f'<p class="pk-finding"><strong>{text(found.title)}</strong> '
        f'<span class="pk-{css}">{text(found.severity)}</span></p>'
        f'<p class="pk-reading">{text(where)}</p>{table(evidence)}'
        f'<p class="pk-reading">Turn: {text(found.knob)}</p>'
        f'<code class="pk-command">{text(found.experiment)}</code>'
    )
    plain = [
        f"{found.severity}: {found.title} ({where})",
        *(f"  {name}: {value}" for name, value in found.evidence),
        f"  turn: {found.knob}",
        f"  $ {found.experiment}",
    ]
    return html, plain


def _where(found: Finding, names: Mapping[int, str]) -> str:
    """The trials it was found in, the one that the evidence is of first."""
    titles = [names.get(trial, f"trial {trial}") for trial in found.trials]
    more = f" and {len(titles) - _NAMED} more" if len(titles) > _NAMED else ""
    alone = len(titles) == 1
    first = f"In {titles[0]}." if alone else f"Figures of {titles[0]}; also in "
    return first if alone else f"{first}{', '.join(titles[1:_NAMED])}{more}."


def _looked(advice: Advice) -> tuple[str, list[str]]:
    why = dict(advice.not_asked)
    rows = tuple(
        (
            name,
            looks_at,
            f"{trials} of {advice.trials}",
            why.get(name, "") if not trials else "",
        )
        for name, looks_at, trials in advice.looked_at
    )
    shown = Table(columns=("rule", "looks at", "trials", "why not"), rows=rows)
    return table(shown), ["  ".join(row) for row in rows]
