"""The books: every planned request in exactly one class, and what proves it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import pandas as pd

from perfkit.figures.chart import Table
from perfkit.figures.markup import Block, table, text
from perfkit.figures.multiples import titles
from perfkit.units import format_count

if TYPE_CHECKING:
    from perfkit.verdict import Accounting

__all__ = ["accounting"]

_HEALTHY: Final = frozenset({"planned", "sent", "accepted", "done"})
_BESIDE: Final = 4  # with more trials than this they stand below each other
_ALARMING: Final = frozenset({"lost", "unexplained", "double_charges"})
_MEANING: Final = {
    "planned": "requests that came due",
    "sent": "of these, sent",
    "dropped": "of these, not sent: the cap of requests in flight was reached",
    "late": "sent more than 10 ms after they were intended",
    "blocked": "waited for a connection",
    "accepted": "answered 2xx",
    "refused": "answered with another status",
    "errored": "no whole reply",
    "done": "finished and acknowledged",
    "done_unacked": "finished, acknowledgement lost",
    "dead": "gave up after the last retry",
    "pending": "still waiting in a list",
    "stranded": "only in an acknowledgement set",
    "lost": "gone, and the mechanism is known",
    "unexplained": "gone, without explanation",
    "phantom": "ran although the client saw an error",
    "duplicated": "one attempt started or finished more than once",
    "redelivered": "delivered more than once",
    "ambiguous": "no answer and no known id",
    "double_charges": "payments that were charged more than once",
    "charges_stopped": "executions that were kept from charging again",
    "stalled_max": "messages that waited for recovery at once, at the most",
}


def accounting(trials: pd.DataFrame, read: Callable[[int | None], Accounting]) -> Block:
    """The classes over all trials and in each, and the identities and counters that prove them.

    Args:
        trials: ``run.trials()``.
        read: ``run.accounting``.
    """
    whole = read(None)
    parts = {name: read(trial) for trial, name in titles(trials).items()}
    partial = trials["trial"][trials["state"] == "partial"]
    cut = sum(read(int(trial)).unexplained for trial in partial)
    sentence = _sentence(whole, parts, cut)
    examples = "".join(
        f'<details class="pk-more"><summary>ids: {text(name.replace("_", " "))}'
        f"</summary><p>{text(', '.join(ids))}</p></details>"
        for name, ids in whole.ids.items()
        if ids
    )
    html = (
        f'<p class="pk-finding"><strong>{text(sentence)}</strong></p>'
        f"{_identities(whole)}{_counters(parts)}{_classes(whole, parts)}{examples}"
    )
    counts = whole.counts().items()
    plain = "\n".join([sentence, *(f"{name}: {count}" for name, count in counts if count)])
    return Block(html=html, plain=plain)


def _sentence(whole: Accounting, parts: Mapping[str, Accounting], cut: int) -> str:
    identities = whole.identities()
    broken = sum(not each.holds for each in identities)
    disagree = sum(not each.holds for part in parts.values() for each in part.counters)
    wrong = []
    if broken:
        wrong.append(f"{broken} of {len(identities)} identities {_are(broken)} broken")
    if disagree:
        verb = "disagrees" if disagree == 1 else "disagree"
        wrong.append(f"{disagree} independent {_many('counter', disagree)} {verb}")
    if lost := whole.unexplained:
        jobs = f"{format_count(lost)} accepted {_many('job', lost)}"
        share = "all" if cut == lost else format_count(cut)
        where = f", {share} of them in trials cut short" if cut else ""
        wrong.append(f"{jobs} {_are(lost)} unexplained{where}")
    if wrong:
        return f"The books do not balance: {'; '.join(wrong)}."
    if not whole.jobs_known:
        return "Every request that was sent is accounted for. There were only requests, no jobs."
    return "The books balance: every accepted job is in exactly one class."


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _many(noun: str, count: int) -> str:
    return noun if count == 1 else f"{noun}s"


def _identities(whole: Accounting) -> str:
    identities = whole.identities()
    shown = Table(
        columns=("", "identity", "left", "right"),
        rows=tuple(
            (
                "balanced" if each.holds else "BROKEN",
                each.text,
                format_count(each.left),
                format_count(each.right),
            )
            for each in identities
        ),
        note="Left: what the generator counted. Right: what the recorded rows add up to.",
    )
    return table(shown, marks=["" if each.holds else "bad" for each in identities])


def _counters(parts: Mapping[str, Accounting]) -> str:
    """Counters of others than the generator; those that disagree stand open, all lie folded."""
    rows = [
        (
            each.holds,
            (
                "agrees" if each.holds else "DISAGREES",
                name,
                each.name,
                format_count(each.count),
                format_count(each.must_equal),
            ),
        )
        for name, part in parts.items()
        for each in part.counters
    ]
    if not rows:
        return ""
    columns = ("", "trial", "kept by others", "counted", "must equal")
    wrong = tuple(row for holds, row in rows if not holds)
    shown = Table(
        columns=columns,
        rows=tuple(row for _, row in rows),
        note="After a death a count may be larger: what a process did last is not always recorded.",
    )
    opened = table(Table(columns=columns, rows=wrong), marks=["bad"] * len(wrong)) if wrong else ""
    summary = f"{len(rows)} independent counters, {len(rows) - len(wrong)} agree"
    return (
        f'{opened}<details class="pk-more"><summary>{summary}</summary>'
        f"{table(shown, marks=['' if holds else 'bad' for holds, _ in rows])}</details>"
    )


def _classes(whole: Accounting, parts: Mapping[str, Accounting]) -> str:
    counts = whole.counts()
    many = len(parts) > _BESIDE
    each = {} if many or len(parts) == 1 else {n: part.counts() for n, part in parts.items()}
    present = [
        name for name, count in counts.items() if count or (name in _HEALTHY and count is not None)
    ]
    none = ", ".join(name.replace("_", " ") for name, count in counts.items() if count == 0)
    shown = Table(
        columns=("class", "all trials" if len(parts) > 1 else "requests", *each, "meaning"),
        rows=tuple(
            (
                name.replace("_", " "),
                _number(counts[name]),
                *(_number(part[name]) for part in each.values()),
                _MEANING.get(name, ""),
            )
            for name in present
        ),
        note=f"None at all: {none}." if none else "",
    )
    marks = [
        "" if name in _HEALTHY else "bad" if name in _ALARMING else "unsure" for name in present
    ]
    return table(shown, marks=marks) + (_by_trial(parts, present) if many else "")


def _number(count: int | None) -> str:
    return "n/a" if count is None else format_count(count)


def _by_trial(parts: Mapping[str, Accounting], present: list[str]) -> str:
    """A row a trial, folded: where there are many, columns of them would run off the page."""
    rows = [(name, part.counts()) for name, part in parts.items()]
    shown = Table(
        columns=("trial", *(name.replace("_", " ") for name in present)),
        rows=tuple((name, *(_number(counts[each]) for each in present)) for name, counts in rows),
    )
    marks = ["bad" if any(counts[each] for each in _ALARMING) else "" for _, counts in rows]
    return (
        f'<details class="pk-more"><summary>in each of {len(rows)} trials</summary>'
        f"{table(shown, marks=marks)}</details>"
    )
