"""Fault x configuration: what was expected beside what was observed, in words and in colour."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any, Final

import pandas as pd

from perfkit.figures import sheet
from perfkit.figures.chart import Axis, Chart, Panel, Points, Table
from perfkit.figures.markup import Block, sentence, table, text
from perfkit.units import format_count, format_duration

__all__ = [
    "OUTCOMES",
    "cells",
    "commands",
    "matrix",
    "mechanisms",
    "outcome",
    "recorded",
    "recovery_times",
]

OUTCOMES: Final = {
    "not measured": "zero",
    "unexplained": "broken",
    "loses jobs": "bad",
    "jobs stuck": "unsure",
    "runs jobs twice": "",
    "safe": "good",
}
"""What a combination does to jobs, the worst first after the first, and the CSS class of it."""

_COUNTS: Final = ("lost", "duplicated", "redelivered", "stuck")
_SHORT: Final = {
    "lost": "lost",
    "duplicated": "twice",
    "redelivered": "redelivered",
    "stuck": "stuck",
}
_LEGEND: Final = (
    ("loses jobs", "accepted, and gone"),
    ("jobs stuck", "not lost and not done when the trial was over"),
    ("runs jobs twice", "an attempt started more than once"),
    ("safe", "each job done once"),
)
_OPEN: Final = 12


def outcome(cell: Mapping[str, Any] | pd.Series) -> str:
    """One of `OUTCOMES`: the worst that a combination did in any of its turns."""
    if not cell["turns"]:
        return "not measured"
    if cell["unexplained"]:
        return "unexplained"
    if cell["lost_most"] > 0:
        return "loses jobs"
    if cell["stuck_most"] > 0:
        return "jobs stuck"
    return "runs jobs twice" if cell["duplicated_most"] > 0 else "safe"


def matrix(frame: pd.DataFrame, configurations: Mapping[str, str]) -> Block:
    """Faults down, configurations across; a cell says its outcome, what was expected and observed.

    Args:
        frame: ``reliability().cells``.
        configurations: name -> in words, in the order of the columns.
    """
    if frame.empty:
        return sentence("No combination of a fault and a configuration was measured.")
    finding = _finding(frame)
    found = {(row["fault"], row["configuration"]): row for _, row in frame.iterrows()}
    across = [name for name in configurations if (frame["configuration"] == name).any()]
    head = "".join(f"<th scope=col><b>{text(name)}</b></th>" for name in across)
    body = "".join(
        f"<tr><th scope=row>{text(fault)}</th>"
        f"{''.join(_cell(found.get((fault, name))) for name in across)}</tr>"
        for fault in dict.fromkeys(frame["fault"])
    )
    legend = "; ".join(f"{name}: {words}" for name, words in _LEGEND)
    meaning = "".join(
        f"<li><b>{text(name)}</b>: {text(configurations[name])}</li>" for name in across
    )
    note = (
        f"{legend}. Numbers are the least and the most of all turns. Expected in every turn: some;"
        " in any: maybe. ≠ marks what differs from what was expected. Stuck: pending or stranded."
        " Flows again: mended, the backlog back at its level, and the first job that was taken"
        " started again. –: not part of the campaign."
    )
    plain = [f"{row['fault']} | {row['configuration']}: {_plain(row)}" for row in found.values()]
    return Block(
        html=f"{sentence(finding, strong=True).html}"
        '<div class="pk-scroll"><table class="pk-table pk-matrix pk-cells"><thead><tr>'
        f"<th scope=col>fault</th>{head}</tr></thead><tbody>{body}</tbody></table></div>"
        f'<p class="pk-note">{text(note)}</p><ul class="pk-note">{meaning}</ul>',
        plain="\n".join([finding, *plain]),
    )


def cells(frame: pd.DataFrame) -> Block:
    """A row a combination, expected beside observed; those that differ come first.

    Args:
        frame: ``reliability().cells``.
    """
    if frame.empty:
        return sentence("Nothing was measured.")
    differs = frame["deviations"].map(bool)
    ordered = pd.concat([frame[differs], frame[~differs]])
    rows, marks = [], []
    for _, row in ordered.iterrows():
        rows.append(
            (
                "differs"
                if row["deviations"]
                else "as expected"
                if row["turns"]
                else "not measured",
                str(row["fault"]),
                str(row["configuration"]),
                *(f"{_told(row[f'expected_{name}'])}: {_range(row, name)}" for name in _COUNTS),
                f"{_limit(float(row['within_s']))}: {_times(row)}",
                format_count(float(row["turns"])),
                "; ".join(row["deviations"]),
            )
        )
        marks.append("unsure" if row["deviations"] else "")
    shown = Table(
        columns=(
            "",
            "fault",
            "configuration",
            *(_SHORT[name] for name in _COUNTS),
            "time to recover",
            "turns",
            "what differs",
        ),
        rows=tuple(rows),
        note="Expected: observed, the latter as the least to the most of all turns.",
    )
    count = int(differs.sum())
    measured = int((frame["turns"] > 0).sum())
    said = f"{count} of {measured} combinations differ from what was expected"
    finding = said if count else f"All {measured} combinations did what was expected of them"
    return _tabled(finding, shown, marks)


def mechanisms(frame: pd.DataFrame) -> Block:
    """A row a combination and mechanism: how many jobs, by what, and what was foreseen.

    Args:
        frame: ``reliability().cells``.
    """
    rows, marks = [], []
    for _, row in frame.iterrows():
        for mechanism, count in sorted(row["why"].items(), key=lambda each: -each[1]):
            rows.append(
                (
                    outcome(row),
                    str(row["fault"]),
                    str(row["configuration"]),
                    format_count(float(count)),
                    str(mechanism),
                    str(row["source"]),
                    str(row["mechanism"]),
                )
            )
            marks.append(OUTCOMES[outcome(row)] if outcome(row) != "safe" else "")
    if not rows:
        return sentence("No combination lost a job, kept one back or ran one twice.")
    kinds = len({row[4] for row in rows})
    shown = Table(
        columns=("", "fault", "configuration", "jobs", "observed", "source", "foreseen"),
        rows=tuple(rows),
        note="Jobs: over all turns. Observed: the mechanism that the evidence of each job names."
        " Source: the section of the design's page on Dramatiq.",
    )
    unexplained = int(frame["unexplained"].sum())
    said = f"{kinds} mechanisms explain every job that was lost, kept back or run twice"
    if unexplained:
        said = f"{format_count(unexplained)} jobs are unexplained beside {kinds} known mechanisms"
    return _tabled(said, shown, marks)


def recovery_times(trials: pd.DataFrame) -> Chart | Block:
    """Time to recover of every turn, a line a combination, from the slowest to the fastest.

    Args:
        trials: ``reliability().trials``.
    """
    known = trials[trials["recovered_s"].notna()] if len(trials) else trials
    if known.empty:
        return sentence("No trial says how long it took to recover.")
    back = known[~known["recovered_s"].map(math.isinf)]
    groups = [
        (f"{fault} | {configuration}", rows["recovered_s"])
        for (fault, configuration), rows in known.groupby(["fault", "configuration"], sort=False)
    ]
    groups.sort(key=lambda group: sorted(group[1])[len(group[1]) // 2])
    top = max(float(back["recovered_s"].max()) if len(back) else 0.0, 1.0)
    beyond = 1.15 * top
    dots = [
        (beyond if math.isinf(each) else float(each), float(place), math.isinf(each))
        for place, (_, times) in enumerate(groups)
        for each in sorted(times)
    ]
    marks = tuple(
        Points(
            name=words,
            x=tuple(x for x, _, never in dots if never is wanted),
            y=tuple(y for _, y, never in dots if never is wanted),
            colour=colour,
        )
        for wanted, words, colour in (
            (False, "a turn", "blue"),
            (True, "a turn: not within the trial", "bad"),
        )
        if any(never is wanted for _, _, never in dots)
    )
    name, slowest = max(
        ((name, max(finite)) for name, times in groups if (finite := _finite(times))),
        key=lambda each: each[1],
        default=("", 0.0),
    )
    lost = sum(any(map(math.isinf, times)) for _, times in groups)
    said = f"The slowest recovery took {format_duration(slowest * 1e9)} ({name})" if name else ""
    if lost:
        said += f"{'; ' if said else ''}{lost} of {len(groups)} combinations do not always recover"
        said += " within their trial"
    return Chart(
        title=said,
        reading="From the fault until it was mended, the backlog was back at its level, and the"
        " first job that was taken had started again. A dot is a turn.",
        panels=(
            Panel(
                x=Axis(title="time to recover, s", zero=True),
                y=Axis(
                    title="",
                    ticks=tuple((float(place), name) for place, (name, _) in enumerate(groups)),
                ),
                marks=marks,
            ),
        ),
        table=Table(
            columns=("combination", "turns", "least", "most"),
            rows=tuple(
                (name, format_count(len(times)), _length(min(times)), _length(max(times)))
                for name, times in reversed(groups)
            ),
        ),
        height=max(240, 20 * len(groups)),
    )


def recorded(facts: Mapping[str, Any], trials: pd.DataFrame) -> Block:
    """When and where it was measured, and whether anything disturbed it; brings the style sheet.

    Args:
        facts: ``reliability().recorded``.
        trials: ``reliability().trials``.
    """
    days = sorted({str(facts["from"]), str(facts["to"])})
    said = f"{format_count(len(trials))} trials, measured {' to '.join(days)}"
    disturbed = int(trials["disturbed"].sum()) if len(trials) else 0
    if disturbed:
        said += (
            f"; beside {format_count(disturbed)} of them another measurement ran on the machine, so"
            " their times are worth little"
        )
    rows = [
        (name, key.replace("_", " "), str(value))
        for name, host in facts["hosts"].items()
        for key, value in host.items()
    ]
    block = _tabled(f"{said}.", Table(columns=("host", "", ""), rows=tuple(rows)), [])
    return Block(html=f"{sheet.element()}{block.html}", plain=block.plain)


def commands(frame: pd.DataFrame) -> Block:
    """The command that measures each combination again.

    Args:
        frame: ``reliability().cells``.
    """
    rows = tuple(
        (str(row["fault"]), str(row["configuration"]), str(row["command"]))
        for _, row in frame.iterrows()
    )
    shown = Table(
        columns=("fault", "configuration", "command"),
        rows=rows,
        note="In a checkout. A turn adds --set seed=1 (to 5).",
    )
    return _tabled("One command measures a combination again", shown, [])


def _finite(times: pd.Series) -> list[float]:
    return [float(each) for each in times if not math.isinf(each)]


def _tabled(finding: str, shown: Table, marks: list[str]) -> Block:
    plain = "\n".join("  ".join(row) for row in (shown.columns, *shown.rows))
    head = sentence(finding, strong=True)
    body = table(shown, css="pk-table pk-wrap", marks=marks, fold=_OPEN)
    return Block(html=f"{head.html}{body}", plain=f"{finding}\n{plain}")


def _finding(frame: pd.DataFrame) -> str:
    states = [outcome(row) for _, row in frame.iterrows()]
    measured = [state for state in states if state != "not measured"]
    said = f"{states.count('loses jobs')} of {len(measured)} combinations lose jobs"
    more = [
        f"{states.count(name)} {words}"
        for name, words in (
            ("jobs stuck", "more leave jobs stuck"),
            ("runs jobs twice", "run jobs twice and lose none"),
            ("safe", "do each job once"),
            ("unexplained", "have unexplained jobs"),
            ("not measured", "were not measured"),
        )
        if states.count(name)
    ]
    return ", ".join([said, *more])


def _cell(row: pd.Series | None) -> str:
    if row is None:
        return "<td class=zero>–</td>"
    state = outcome(row)
    css = OUTCOMES[state]
    differs = " ≠" if row["deviations"] else ""
    lines = [f"<b>{text(state + differs)}</b>", *(text(line) for line in _lines(row))]
    hint = text("; ".join(row["deviations"]) or row["mechanism"])
    head, *rest = lines
    attributes = f" class={css}" if css else ""
    return f'<td{attributes} title="{hint}">{head}<br><small>{"<br>".join(rest)}</small></td>'


def _lines(row: pd.Series) -> Iterator[str]:
    """Expected, observed: what is neither expected nor seen is left out."""
    wanted = [
        f"{_told(row[f'expected_{name}'])} {_SHORT[name]}"
        for name in _COUNTS
        if row[f"expected_{name}"] != "none"
    ]
    yield f"expected: {', '.join(wanted) or 'each job once'}; {_limit(float(row['within_s']))}"
    if not row["turns"]:
        return
    seen = [f"{_range(row, name)} {_SHORT[name]}" for name in _COUNTS if row[f"{name}_most"] > 0]
    yield f"observed: {', '.join(seen) or 'each job once'}; {_times(row)}"


def _plain(row: pd.Series) -> str:
    return "; ".join([outcome(row), *_lines(row), *row["deviations"]])


def _told(likelihood: str) -> str:
    return "maybe" if likelihood == "possible" else str(likelihood)


def _range(row: pd.Series, name: str) -> str:
    least, most = float(row[f"{name}_least"]), float(row[f"{name}_most"])
    if math.isnan(most):
        return "n/a"
    return format_count(most) if least == most else f"{format_count(least)}–{format_count(most)}"


def _limit(within_s: float) -> str:
    if math.isinf(within_s):
        return "may not flow again"
    return f"flows again within {within_s:g} s"


def _times(row: pd.Series) -> str:
    least, most = float(row["recovered_least_s"]), float(row["recovered_most_s"])
    if math.isnan(most):
        return "n/a"
    if math.isinf(least):
        return "does not flow again"
    if least == most:
        return f"flows again after {_length(most)}"
    return f"flows again after {_length(least)} to {_length(most)}"


def _length(seconds: float) -> str:
    if math.isinf(seconds):
        return "never"
    return format_duration(seconds * 1e9) if seconds else "0 s"
