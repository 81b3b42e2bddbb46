"""The verdict in words, and the three lines a person wants to know."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from perfkit import frames
from perfkit.store import StoredRun
from perfkit.units import format_count, format_duration, format_percent, format_rate
from perfkit.verdict.carrying import Group, by_scenario, carried, chosen
from perfkit.verdict.judgement import Status, Verdict, judge, trials

__all__ = ["Headline", "headline"]

_WORDS: Final[dict[Status, str]] = {
    "PASS": "PASS",
    "FAIL": "FAIL: a threshold does not hold",
    "INCONCLUSIVE": "INCONCLUSIVE: there is too little to judge",
    "INVALID": "INVALID: the instrument failed, the figures mean nothing",
}
_FULL: Final = 0.9  # slots or cores: as good as all in use
_CLOSED: Final = "Closed model: a slow reply delays the requests after it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """What is said first. Lines: does it carry the load; how fast; what limits it."""

    status: Status
    sentence: str
    lines: tuple[str, str, str]


def headline(run: StoredRun) -> Headline:
    """The verdict in words and three lines.

    The lines speak of whole trials with a load that are not INVALID, and of each scenario apart.
    """
    verdict = judge(run)
    table = trials(run)
    sound = (table["status"] != "INVALID") & ~table["state"].isin(["partial", "idle"])
    table = table[sound & (table["offered_per_s"] > 0)]
    if table.empty:
        lines = ("No load was carried to its end.", "No latency is known.", "No limit is known.")
    else:
        groups = by_scenario(run, table)
        several = len(table) > 1
        lines = (
            _carried(run, groups, len(table)),
            " ".join(_speed(chosen(each), several) for each in groups.values()),
            " ".join(_limits(run, groups)),
        )
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


def _carried(run: StoredRun, groups: dict[str, list[Group]], count: int) -> str:
    """Who carries the offered load: a sentence for each scenario."""
    said = []
    for scenario, each in groups.items():
        clause = carried(each)
        said.append(f"{scenario}: {clause}." if len(groups) > 1 else f"{_upper(clause)}.")
    if any(group.users is not None for each in groups.values() for group in each):
        said.append(_CLOSED)
    planned = len(run.manifest.get("plan") or run.manifest["trials"])
    if count < planned:
        said.append(f"{count} of {planned} planned trials count.")
    return " ".join(said)


def _speed(group: Group, several: bool) -> str:
    """Load, throughput and latency of the trial that is spoken of."""
    row = group.middle
    where = f"{row['title']}" if several else "Over the window"
    if len(group.rows) > 1:
        where += f" (the middle of {len(group.rows)} repeats by P95)"
    p50, p95, p99 = (_latency(row[name]) for name in ("p50_ns", "p95_ns", "p99_ns"))
    offered = "" if group.users is None else "closed model, "
    return (
        f"{where}: {offered}offered {group.load}, came due {format_rate(row['due_per_s'])}, "
        f"{format_rate(row['throughput_per_s'])} done; latency from the intended time "
        f"P50 {p50}, P95 {p95}, P99 {p99} (n = {format_count(row['n'])})."
    )


def _latency(ns: float) -> str:
    return "beyond the end of the trial" if math.isinf(ns) else format_duration(ns)


def _limits(run: StoredRun, groups: dict[str, list[Group]]) -> Iterator[str]:
    """What stands in the way of more in each scenario; and where workers outnumber cores."""
    outnumbered = []
    for each in groups.values():
        yield _limit(run, each)
        for group in each:
            outnumbered += [
                f"{row.title} ({group.workers} on {_cores(run)})"
                for row in group.rows.itertuples()
                if group.workers > _cores(run)
            ]
    if outnumbered:
        yield f"More workers than free cores: {', '.join(outnumbered)}."


def _cores(run: StoredRun) -> int:
    """Cores that the system under test may use; a great number where that is not known."""
    placed = (run.manifest.get("placement") or {}).get("system_cpus") or ()
    return len(placed) or int(run.manifest.get("host", {}).get("cpus") or 1_000_000)


def _limit(run: StoredRun, groups: list[Group]) -> str:
    """What stands in the way of more, where something does; else where the time goes."""
    saturated = [each for each in groups if each.state == "saturated"]
    if saturated:
        rows = saturated[0].rows
        row: Any = rows[rows["saturated"]].iloc[0]
    else:
        row = chosen(groups).middle
    trial = int(row["trial"])
    slots, host = frames.slot_use(run, trial), frames.host_use(run, trial)
    in_use = f"{format_percent(slots, 0)} of {row['slots']} in use"
    where = f"{row['title']}: "
    # Cores first: slots fill up when the cores that serve them are gone.
    if host.busy >= _FULL:
        used = f"{host.busy * host.cpus:.1f} of {host.cpus:.0f} in use"
        return f"{where}the cores are used up ({used}; slots {format_percent(slots, 0)})."
    if slots >= _FULL:
        return f"{where}the worker slots are used up ({in_use}; cores {_busy(host)})."
    if saturated:
        return (
            f"{where}neither slots ({in_use}) nor cores ({_busy(host)}) are used up; "
            "look at the stages."
        )
    if host.busy > slots:
        nearest = f"cores, {_busy(host)} (slots {format_percent(slots, 0)})"
    else:
        nearest = f"slots, {format_percent(slots, 0)} in use (cores {_busy(host)})"
    return f"{where}nearest to its limit: {nearest}; {_longest(run, trial)}."


def _busy(host: frames.HostUse) -> str:
    return "not sampled" if math.isnan(host.busy) else f"{format_percent(host.busy, 0)} busy"


def _longest(run: StoredRun, trial: int) -> str:
    stages = frames.stages(run, trial)
    stages = stages[stages["queue"] == "all"]
    if stages.empty:
        return "no job of the window was done"
    longest = stages.sort_values("mean_ns").iloc[-1]
    share = format_percent(longest["share"], 0)
    return f"most of a job's time is {longest['stage']} ({share})"


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]
