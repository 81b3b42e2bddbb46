"""The first screen: the verdict, the answer in words, and the figures behind it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from perfkit.figures import sheet
from perfkit.figures.instrument import instrument_line
from perfkit.figures.load import load_line
from perfkit.figures.markup import Block, table, text, warned
from perfkit.figures.tables import marks, trials_table

if TYPE_CHECKING:
    from perfkit.verdict import Headline, Verdict

__all__ = ["first_screen", "origin_line"]

_FEW: Final = 2
_SCENARIOS: Final = 3  # with more of them the words about each lie folded
_NAMED: Final = 4


def first_screen(
    verdict: Verdict,
    headline: Headline,
    trials: pd.DataFrame,
    manifest: Mapping[str, Any],
    facts: Callable[[int], Mapping[str, Any]],
) -> Block:
    """Verdict, headline, three lines, the load, one row a trial, and what the instrument cost.

    Args:
        verdict: ``run.verdict()``.
        headline: ``run.headline()``.
        trials: ``run.trials()``.
        manifest: ``run.manifest``.
        facts: ``run.trial_facts``.
    """
    sentence = headline.sentence.removeprefix(f"{verdict.status}: ")
    sentence = "" if sentence == verdict.status else sentence[:1].upper() + sentence[1:]
    answer, *rest = headline.lines
    lines = "".join(f"<li>{text(line)}</li>" for line in rest)
    reasons = [reason for reason in verdict.reasons if reason not in headline.sentence]
    load = load_line(trials, facts)
    lines = f'<ul class="pk-lines">{lines}<li>{text(load)}</li></ul>'
    if trials["scenario"].nunique() > _SCENARIOS:
        lines = lines.replace("<li>", f"<li>{text(answer)}</li><li>", 1)
        lines = f'<details class="pk-more"><summary>scenario by scenario</summary>{lines}</details>'
        answer = _overall(trials)
    html = (
        f"{sheet.element()}"
        f'<div class="pk-banner pk-{text(verdict.status)}" role="status">'
        f'<p><span class="pk-status">{text(verdict.status)}</span>{text(sentence)}</p>'
        f'<p class="pk-sentence">{text(answer)}</p>'
        f"{lines}"
        f"{_reasons(reasons)}</div>"
        f"{table(trials_table(trials), marks=marks(trials))}"
        f'<p class="pk-small">{text(instrument_line(trials, facts))}</p>'
        f'<p class="pk-small">{text(origin_line(manifest))}</p>'
        f"{warned(manifest.get('warnings') or ())}"
    )
    plain = "\n".join(
        [
            f"{verdict.status}: {sentence}",
            *(f"  - {line}" for line in (*headline.lines, load)),
            *(f"  {reason}" for reason in reasons),
            *(f"  warning: {words}" for words in manifest.get("warnings") or ()),
        ]
    )
    return Block(html=html, plain=plain)


def _overall(trials: pd.DataFrame) -> str:
    """Who carries the load, when there are too many scenarios to speak of each."""
    carried = int((trials["state"] == "carried").sum())
    said = [f"{carried} of {len(trials)} trials carry their offered load"]
    for state, words in (
        ("saturated", "saturated"),
        ("undecided", "undecided"),
        ("partial", "cut short"),
        ("idle", "without load"),
    ):
        named = [str(title) for title in trials["title"][trials["state"] == state]]
        if named:
            more = f" and {len(named) - _NAMED} more" if len(named) > _NAMED else ""
            said.append(f"{len(named)} {words} ({', '.join(named[:_NAMED])}{more})")
    return f"{'; '.join(said)}."


def _reasons(reasons: list[str]) -> str:
    if len(reasons) <= _FEW:
        return f'<p class="pk-reasons">{text("; ".join(reasons))}</p>'
    listed = "".join(f"<li>{text(reason)}</li>" for reason in reasons)
    return (
        f'<details class="pk-more"><summary>{len(reasons)} more reasons</summary>'
        f'<ul class="pk-reasons">{listed}</ul></details>'
    )


def origin_line(manifest: Mapping[str, Any]) -> str:
    """Which run it is, when and where it was measured, and what must be known of that."""
    host = manifest.get("host") or {}
    when = pd.Timestamp(int(manifest.get("created_ns") or 0), unit="ns", tz="UTC")
    parts = [
        f"{manifest.get('name')} {manifest.get('run_id')}",
        f"{when:%Y-%m-%d %H:%M} UTC",
        f"{host.get('cpus') or '?'} CPUs, {host.get('cpu_model') or 'unknown model'}"
        if any(host.values())
        else "measured elsewhere",
        f"perfkit {manifest.get('perfkit_version')}",
    ]
    if manifest.get("status") != "complete":
        parts.append(f"PARTIAL: {manifest.get('reason') or 'not all trials were measured'}")
    if manifest.get("synthetic"):
        parts.append("simulated example data, not a measurement")
    return " · ".join(parts)
