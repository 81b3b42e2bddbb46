"""A comparison in words and tables: the answer, the effects, and what both rest on."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pandas as pd

from perfkit.figures import sheet
from perfkit.figures.banner import origin_line
from perfkit.figures.chart import Table
from perfkit.figures.markup import Block, sentence, table, text, warned
from perfkit.units import format_ms, format_percent, format_rate

if TYPE_CHECKING:
    from perfkit.verdict import Outcome

__all__ = ["answer", "effects", "noise_floor", "unlike_arms", "validity"]

_SHOWN: Final[Mapping[str, tuple[str, str]]] = {
    "worse: unstable": ("WORSE: UNSTABLE", "FAIL"),
    "worse": ("WORSE", "FAIL"),
    "inconclusive": ("NOT ABLE TO TELL", "INCONCLUSIVE"),
    "slightly worse": ("SLIGHTLY WORSE", "INCONCLUSIVE"),
    "better: baseline unstable": ("BETTER: BASELINE UNSTABLE", "PASS"),
    "better": ("BETTER", "PASS"),
    "slightly better": ("SLIGHTLY BETTER", "PASS"),
    "no detectable difference": ("NO DETECTABLE DIFFERENCE", "INCONCLUSIVE"),
    "equivalent": ("EQUIVALENT", "PASS"),
}
"""Of each outcome its badge, and the verdict whose colour it has."""

_ROW_MARKS: Final = {
    "FAIL": "bad", "INCONCLUSIVE": "unsure", "PASS": "",
}  # fmt: skip
_HUGE: Final = 100.0
_AT_EQUAL_SPEED: Final = (
    " At equal speed: without what a fixed loop, run on the same cores meanwhile, says of how fast"
    " they were; how far a job follows it is learnt from the other pairs."
)


def answer(said: Outcome, sentences: Sequence[str], manifest: Mapping[str, Any]) -> Block:
    """The first screen: better, worse, equivalent, or not able to tell; and where.

    Args:
        said: ``compared.outcome``.
        sentences: ``compared.sentences()``: the verdict, where it changed, what it rests on.
        manifest: ``compared.manifest``.
    """
    badge, colour = _SHOWN[said]
    verdict, where, *rest = sentences
    # The headline is the effect with its interval; noise and counts follow it in small.
    head, more, tail = verdict.partition("). ")
    head = f"{head}{').' if more else ''}"
    lines = [where, *([tail] if tail else [])]
    listed = "".join(f"<li>{text(line)}</li>" for line in lines)
    folded = "".join(f"<li>{text(line)}</li>" for line in rest)
    asked: Mapping[str, Any] = manifest.get("comparison") or {}
    arms = (
        f"A is {asked.get('baseline')}, the baseline; B is {asked.get('candidate')}, the candidate."
    )
    html = (
        f"{sheet.element()}"
        f'<div class="pk-banner pk-{colour}" role="status">'
        f'<p><span class="pk-status">{text(badge)}</span>{text(arms)}</p>'
        f'<p class="pk-sentence">{text(head)}</p>'
        f'<ul class="pk-lines">{listed}</ul>'
        f'<details class="pk-more"><summary>what this rests on</summary>'
        f'<ul class="pk-reasons">{folded}</ul></details></div>'
        f'<p class="pk-small">{text(origin_line(manifest))}</p>'
        f"{warned(manifest.get('warnings') or ())}"
    )
    plain = "\n".join([f"{badge}: {arms}", head, *(f"  - {line}" for line in (*lines, *rest))])
    return Block(html=html, plain=plain)


def effects(frame: pd.DataFrame) -> Block:
    """One row per metric, the worst first: what B is against A, and how sure that is.

    Args:
        frame: ``compared.effects()``.
    """
    if frame.empty:
        return sentence("No metric is known in both arms, so nothing is compared.")
    rows = tuple(
        (
            str(row["metric"]),
            str(row["outcome"]),
            signed(row["point"], row["scale"]),
            f"{signed(row['low'], row['scale'])} … {signed(row['high'], row['scale'])}",
            f"±{plain(row['margin'], row['scale'])}",
            probability(row["p_adjusted"]),
            value(row["baseline"], row["unit"]),
            value(row["candidate"], row["unit"]),
            plain(row["mde"], row["scale"]),
            "n/a" if math.isnan(row["correlation"]) else f"{row['correlation']:.2f}",
        )
        for row in frame.to_dict("records")
    )
    shown = Table(
        columns=(
            "metric", "outcome", "B against A", "interval", "margin", "p, all metrics", "A", "B",
            "could be found", "correlation",
        ),
        rows=rows,
        note="Effects are means over pairs of B / A - 1 (of a rate of errors, of B - A), and A and"
        " B are means over trials. p: sign flips over all metrics together. Could be found: the"
        " least effect found with a power of 80 %, from the noise of A/A pairs. Correlation: of the"
        " arms over pairs, what the same draws gained."
        + (_AT_EQUAL_SPEED if "work" in set(frame["kind"]) else ""),
    )  # fmt: skip
    marks = [_ROW_MARKS[_SHOWN[str(said)][1]] for said in frame["outcome"]]
    marks = [
        "total" if str(said).endswith("better") else mark
        for said, mark in zip(frame["outcome"], marks, strict=True)
    ]
    return _block(shown, marks)


def noise_floor(floor: pd.DataFrame, effects: pd.DataFrame, ledger: str) -> Block:
    """What pairs of the same thing differ by here, beside what the pairs of this comparison do.

    Args:
        floor: ``compared.noise_floor``.
        effects: ``compared.effects()``.
        ledger: the sentence on false alarms, the last of ``compared.sentences()``.
    """
    own: dict[str, Any] = {str(each["metric"]): each for each in effects.to_dict("records")}
    rows = []
    for row in floor.to_dict("records"):
        metric = str(row["metric"])
        known = own.get(metric)
        scale = "ratio" if known is None else str(known["scale"])
        of = "this scenario" if row["own"] else "others"
        rows.append(
            (
                metric,
                plain(row["sd_log"], scale),
                f"{row['pairs']:.0f} pairs of {of}" if row["pairs"] else "none yet",
                "n/a" if known is None else plain(float(known["sd"]), scale),
                plain(row["mde"], scale),
            )
        )
    shown = Table(
        columns=("metric", "s_d of A/A pairs", "known from", "s_d of these pairs",
                 "could be found"),
        rows=tuple(rows),
        note="s_d: standard deviation of the pairs' log ratios. `perfkit compare SCENARIO SCENARIO`"
        " feeds the ledger of this machine.",
    )  # fmt: skip
    block = _block(shown, [])
    html = f'<p class="pk-finding"><strong>{text(ledger)}</strong></p>{block.html}'
    return Block(html=html, plain=f"{ledger}\n{block.plain}")


def validity(frame: pd.DataFrame, names: tuple[str, str]) -> Block:
    """How many trials of each arm count, and what was wrong with the others.

    Args:
        frame: ``compared.trials()``.
        names: of the baseline and of the candidate.
    """
    rows = []
    for arm, name in zip("AB", names, strict=True):
        mine = frame[frame["arm"] == arm]
        counts = (
            len(mine),
            int((mine["valid"] & ~mine["replaced"]).sum()),
            int((~mine["valid"]).sum()),
            int(mine["replaced"].sum()),
            int(mine["unstable"].sum()),
        )
        rows.append((f"{arm}: {name}", *map(str, counts)))
    odd = frame[~frame["valid"] | frame["unstable"]]
    reasons = [
        f"Trial {row['trial']} ({row['arm']}, pair {row['pair'] + 1}) is "
        f"{'INVALID' if not row['valid'] else 'unstable'}: {row['reasons'] or 'no reason is known'}"
        for row in odd.to_dict("records")
    ]
    shown = Table(
        columns=("arm", "measured", "counted", "invalid", "measured again", "unstable"),
        rows=tuple(rows),
        note="Validity is judged before anything is compared, and each trial by itself. Unstable: "
        "it did not sustain its load.",
    )
    invalid = [int((~frame[frame["arm"] == arm]["valid"]).sum()) for arm in "AB"]
    finding = (
        f"All {len(frame)} trials are valid"
        if not any(invalid)
        else f"{sum(invalid)} of {len(frame)} trials are INVALID: {invalid[0]} of A, "
        f"{invalid[1]} of B"
    )
    block = _block(shown, [])
    listed = "".join(f'<p class="pk-note">{text(each)}</p>' for each in reasons)
    html = f'<p class="pk-finding"><strong>{text(finding)}</strong></p>{block.html}{listed}'
    return Block(html=html, plain="\n".join([finding, block.plain, *reasons]))


def unlike_arms(difference: Sequence[tuple[str, str, str]], names: tuple[str, str]) -> Block:
    """What the arms were asked, or ran with, that is not the same.

    Args:
        difference: ``compared.environment_difference``.
        names: of the baseline and of the candidate.
    """
    if not difference:
        return sentence("The arms were asked for the same and ran with the same.", strong=True)
    count = len(difference)
    finding = f"The arms differ in {count} {'thing' if count == 1 else 'things'}"
    block = _block(
        Table(
            columns=("", f"A: {names[0]}", f"B: {names[1]}"),
            rows=tuple(difference),
            note="Settings, server and versions of the first pair; what is not listed is the same.",
        ),
        [],
    )
    html = f'<p class="pk-finding"><strong>{text(finding)}</strong></p>{block.html}'
    return Block(html=html, plain=f"{finding}\n{block.plain}")


def signed(number: float, scale: str) -> str:
    """An effect with its sign; a ratio in percent."""
    shown = plain(number, scale)
    return f"+{shown}" if number > 0 and not shown.startswith("≥") else shown


def plain(number: float, scale: str) -> str:
    """A ratio in percent, a difference as it is."""
    if math.isinf(number):
        return "∞" if number > 0 else "-∞"
    if scale == "ratio":
        # Two or three pairs give intervals that no number of digits makes clearer.
        return "≥10\u202f000 %" if number >= _HUGE else format_percent(number)
    return "n/a" if math.isnan(number) else f"{number:.3g}"


def probability(p: float) -> str:
    """A p in as many digits as it is worth."""
    return "n/a" if math.isnan(p) else f"{p:.4f}" if p < 0.1 else f"{p:.2f}"


def value(number: float, unit: str) -> str:
    """A metric's own value with its unit."""
    if unit == "ns":
        shown = format_ms(number)
        return shown if shown == "n/a" else f"{shown} ms"
    if unit == "per_s":
        return format_rate(number)
    if unit == "share":
        return format_percent(number, 2)
    return "n/a" if math.isnan(number) else f"{number:#.3g} {unit}"


def _block(shown: Table, marks: Sequence[str]) -> Block:
    lines = "\n".join("  ".join(row) for row in (shown.columns, *shown.rows))
    return Block(html=table(shown, marks=marks), plain=lines)
