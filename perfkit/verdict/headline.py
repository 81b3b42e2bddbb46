"""The verdict in words, and the three lines a person wants to know."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final

import pandas as pd

from perfkit import frames
from perfkit.store import StoredRun
from perfkit.units import format_count, format_duration, format_percent, format_rate
from perfkit.verdict.judgement import Status, Verdict, judge, trials

__all__ = ["Headline", "headline"]

_WORDS: Final[dict[Status, str]] = {
    "PASS": "PASS",
    "FAIL": "FAIL: a threshold does not hold",
    "INCONCLUSIVE": "INCONCLUSIVE: there is too little to judge",
    "INVALID": "INVALID: the instrument failed, the figures mean nothing",
}
_FULL: Final = 0.9  # slots or cores: as good as all in use


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """What is said first. Lines: does it carry the load; how fast; what limits it."""

    status: Status
    sentence: str
    lines: tuple[str, str, str]


def headline(run: StoredRun) -> Headline:
    """The verdict in words and three lines."""
    verdict = judge(run)
    table = trials(run)
    whole = {trial for trial in run.trials if run.facts(trial).outcome == "complete"}
    table = table[table["trial"].isin(whole) & (table["offered_per_s"] > 0)]
    if table.empty:
        lines = ("No load was carried to its end.", "No latency is known.", "No limit is known.")
    else:
        shown = _best(table)
        lines = (_carried(table), _speed(run, shown, len(table)), _limit(run, table, shown))
    return Headline(status=verdict.status, sentence=_sentence(run, verdict), lines=lines)


def _sentence(run: StoredRun, verdict: Verdict) -> str:
    words = _WORDS[verdict.status]
    if verdict.status == "PASS":
        observed = next((each for each in verdict.reasons if "observed, not inferred" in each), "")
        words += (
            f": {'no thresholds, ' if 'no thresholds' in observed else 'all thresholds hold, '}"
        )
        words += "observed, not inferred"
    elif verdict.reasons:
        words += f" ({verdict.reasons[0]})"
    return f"{words} (simulated data)" if run.manifest.get("synthetic") else words


def _best(table: pd.DataFrame) -> Any:
    """The trial to speak of: of those that carried their load the smallest, else the fastest."""
    carried = table[~table["saturated"]]
    if carried.empty:
        return table.sort_values("throughput_per_s").iloc[-1]
    return carried.sort_values(["workers", "trial"], kind="stable").iloc[0]


def _carried(table: pd.DataFrame) -> str:
    """Who carries the offered load."""
    saturated = table[table["saturated"]]
    carried = table[~table["saturated"]]
    if len(table) == 1:
        row = table.iloc[0]
        offered, does = format_rate(row["offered_per_s"]), format_rate(row["throughput_per_s"])
        if saturated.empty:
            return f"{_workers(row)} carried the offered {offered}: {does} were done."
        return f"{_workers(row)} did not sustain the offered {offered}: the capacity is {does}."
    if table["scenario"].nunique() > 1 or table["workers"].nunique() < len(table):
        which = ", ".join(_name(row) for _, row in saturated.iterrows()) or "none"
        return f"{len(carried)} of {len(table)} trials carried their load; saturated: {which}."
    if saturated.empty:
        least = table.sort_values("workers").iloc[0]
        return (
            f"{_workers(least)} are enough for {format_rate(least['offered_per_s'])}; so are more."
        )
    most = saturated.sort_values("throughput_per_s").iloc[-1]
    refused = (
        f"{_workers(most)} did not sustain {format_rate(most['offered_per_s'])} "
        f"and did {format_rate(most['throughput_per_s'])}"
    )
    if carried.empty:
        return f"No number of workers tried carried the load: {refused}."
    best = _best(table)
    return f"{_workers(best)} carried {format_rate(best['offered_per_s'])}; {refused}."


def _speed(run: StoredRun, row: Any, trials_shown: int) -> str:
    """Throughput and latency of the trial that is spoken of."""
    n = int(frames.percentiles(run, by=("trial",)).set_index("trial")["n"].get(row["trial"], 0))
    if not n:
        return f"{_name(row)}: nothing came due in the window."
    p50, p95, p99 = (_latency(row[name]) for name in ("p50_ns", "p95_ns", "p99_ns"))
    where = _name(row) if trials_shown > 1 else "Over the window"
    return (
        f"{where}: {format_rate(row['throughput_per_s'])} done; latency from the intended time "
        f"P50 {p50}, P95 {p95}, P99 {p99} (n = {format_count(n)})."
    )


def _latency(ns: float) -> str:
    return "beyond the end of the trial" if math.isinf(ns) else format_duration(ns)


def _limit(run: StoredRun, table: pd.DataFrame, shown: Any) -> str:
    """What stands in the way of more, where something does; else where the time goes."""
    saturated = table[table["saturated"]]
    if not saturated.empty:
        row = saturated.iloc[0]
        trial = int(row["trial"])
        slots = frames.slot_use(run, trial)
        host = frames.resources(run, trial).set_index("process")["cpu_share"].get("host", math.nan)
        cpus = run.manifest.get("host", {}).get("cpus") or math.nan
        if host / cpus >= _FULL:
            return f"{_name(row)}: the cores are used up ({host:.1f} of {cpus} in use)."
        if slots >= _FULL:
            return (
                f"{_name(row)}: the worker slots are used up "
                f"({format_percent(slots, 0)} of {row['slots']} in use)."
            )
        return (
            f"{_name(row)}: neither slots ({format_percent(slots, 0)} in use) nor cores "
            f"({format_percent(host / cpus, 0)}) are used up; look at the stages."
        )
    trial = int(shown["trial"])
    stages = frames.stages(run, trial)
    stages = stages[stages["queue"] == "all"]
    if stages.empty:
        return "No job of the window was done."
    longest = stages.sort_values("mean_ns").iloc[-1]
    return (
        f"Nothing is used up; most of a job's time is {longest['stage']} "
        f"({format_percent(longest['share'], 0)}), and the slots are "
        f"{format_percent(frames.slot_use(run, trial), 0)} in use."
    )


def _workers(row: Any) -> str:
    count = int(row["workers"])
    return f"{count} worker{'' if count == 1 else 's'}"


def _name(row: Any) -> str:
    label, scenario = str(row["label"]), str(row["scenario"])
    return label or f"{scenario}, trial {row['trial']}"
