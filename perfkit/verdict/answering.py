"""What can be said of a run without jobs: an import, or a load on a server elsewhere."""

from __future__ import annotations

from collections.abc import Iterator

import pandas as pd

from perfkit.store import StoredRun
from perfkit.units import format_count, format_duration, format_percent, format_rate
from perfkit.verdict.sustaining import saturation

__all__ = ["lines_of_requests", "only_requests", "origin"]


def only_requests(run: StoredRun) -> bool:
    """Whether no trial recorded jobs, though there are trials."""
    return bool(run.trials) and not any(run.facts(trial).jobs_recorded for trial in run.trials)


def origin(run: StoredRun) -> str:
    """What a reader must know of an import, in a few words; empty of a run of our own."""
    found = dict.fromkeys(
        omission.partition(":")[0]
        for trial in run.trials
        if (omission := run.facts(trial).omission) is not None
    )
    return "; ".join(found)


def lines_of_requests(run: StoredRun, table: pd.DataFrame) -> tuple[str, ...]:
    """What is known of the load, how fast it was answered, and what is not known.

    Args:
        run: one for which `only_requests` holds.
        table: of `perfkit.verdict.trials`.
    """
    if any(run.facts(trial).imported for trial in run.trials):
        first = "Only requests were recorded: whether the load was carried is not known."
    else:
        first = _carried(run, table)
    return (first, *_speeds(run, table), *_omissions(run), *_unseen(run))


def _carried(run: StoredRun, table: pd.DataFrame) -> str:
    """Whether the server kept up, by the requests that have no answer yet; the worst trial says."""
    found = {int(trial): saturation(run, int(trial)) for trial in table["trial"]}
    titles = dict(zip(table["trial"].astype(int), table["title"], strict=True))
    for state in ("saturated", "undecided", "partial", "idle"):
        mine = [trial for trial, each in found.items() if each.state == state]
        if not mine:
            continue
        each = found[mine[0]]
        where = (
            f" in {len(mine)} of {len(found)} trials ({titles[mine[0]]})"
            if found.keys() - mine
            else ""
        )
        why = f": {each.reasons[0]}" if each.reasons else ""
        match state:
            case "saturated":
                return f"The server does not sustain the offered load{where}{why}."
            case "undecided":
                return f"Whether the server sustains the offered load{where} is not decided{why}."
            case "partial":
                return f"The load was not carried to its end{where}."
            case _:
                return f"No request came due{where}."
    due = [each.due_per_s for each in found.values()]
    rates = dict.fromkeys(
        format_rate(each) for each in (min(due, default=0.0), max(due, default=0.0))
    )
    return f"The server keeps up with the {' to '.join(rates)} that came due."


def _unseen(run: StoredRun) -> Iterator[str]:
    if not any(run.facts(trial).imported for trial in run.trials):
        yield "Of the server only its answers are known; what limits it, nobody watched."


def _speeds(run: StoredRun, table: pd.DataFrame) -> Iterator[str]:
    for row in table.to_dict("records"):
        imported = run.facts(int(row["trial"])).omission is not None
        since = "the time of sending" if imported else "the intended time"
        where = f"{row['title']}: " if len(table) > 1 else ""
        p50, p95, p99 = (format_duration(row[name]) for name in ("p50_ns", "p95_ns", "p99_ns"))
        rates = f"{format_count(row['n'])} requests, {format_rate(row['due_per_s'])}"
        good = f"{format_rate(row['throughput_per_s'])} accepted"
        yield (
            f"{where}{rates}; {good}, {format_percent(row['errors_share'])} not; latency from "
            f"{since} to the whole answer P50 {p50}, P95 {p95}, P99 {p99}, where what was not "
            "accepted counts as ∞."
        )


def _omissions(run: StoredRun) -> Iterator[str]:
    found = (run.facts(trial).omission for trial in run.trials)
    for text in dict.fromkeys(each for each in found if each is not None):
        yield f"{text[:1].upper()}{text[1:]}."
