"""The verdict in words, and the few lines a person wants to know."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

import pandas as pd

from perfkit import frames
from perfkit.store import StoredRun
from perfkit.units import format_count, format_duration, format_percent, format_rate
from perfkit.verdict.answering import lines_of_requests, only_requests, origin
from perfkit.verdict.breaking import broken
from perfkit.verdict.carrying import Group, by_scenario, carried, chosen
from perfkit.verdict.judgement import WORST_FIRST, Status, Verdict, judge, trials
from perfkit.verdict.thresholds import OBSERVED, ThresholdResult, evaluate_thresholds

__all__ = ["Headline", "headline"]

_WORDS: Final[dict[Status, str]] = {
    "PASS": "PASS",
    "FAIL": "FAIL: a threshold does not hold",
    "INCONCLUSIVE": "INCONCLUSIVE: there is too little to judge",
    "INVALID": "INVALID: the instrument failed, the figures mean nothing",
}
_STATES: Final = ("saturated", "undecided", "carried", "without a sound trial")
_MOST_LINES: Final = 6
_MOST_NAMED: Final = 4
_FULL: Final = 0.9  # slots or cores: as good as all in use
_CLOSED: Final = "Closed model: a slow reply delays the requests after it."


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """What is said first.

    Lines of one scenario: does it carry the load; how fast; what limits it. Of several scenarios: a
    line each, the worst first; what goes beyond the fifth is counted.
    """

    status: Status
    sentence: str
    lines: tuple[str, ...]


def headline(run: StoredRun) -> Headline:
    """The verdict in words and a few lines.

    The lines speak of whole trials with a load that are not INVALID, and of each scenario apart.
    """
    verdict = judge(run)
    table = trials(run)
    several = table["scenario"].nunique() > 1
    sound = (table["status"] != "INVALID") & ~table["state"].isin(["partial", "idle"])
    counted = table[sound & (table["offered_per_s"] > 0)]
    groups = by_scenario(run, counted)
    if only_requests(run):
        lines = lines_of_requests(run, table)
    elif several:
        lines = tuple(_of_scenarios(run, verdict, table, groups))
    elif counted.empty:
        lines = ("No load was carried to its end.", "No latency is known.", "No limit is known.")
    else:
        (only,) = groups.values()
        lines = (
            " ".join(
                [
                    *_broken(run, chosen(only), len(counted) > 1),
                    f"{_upper(carried(only))}.",
                    *_remarks(run, groups, len(counted)),
                ]
            ),
            _speed(run, chosen(only), len(counted) > 1),
            " ".join([_limit(run, only), *_outnumbered(run, groups)]),
        )
    return Headline(status=verdict.status, sentence=_sentence(run, verdict), lines=lines)


def _sentence(run: StoredRun, verdict: Verdict) -> str:
    words = _WORDS[verdict.status]
    of_status = sum(each.status == verdict.status for each in verdict.trials)
    if verdict.status == "PASS":
        words += f": {_held(evaluate_thresholds(run))}, {OBSERVED}"
    elif verdict.reasons:
        if of_status and len(verdict.trials) > 1:
            words += f", in {of_status} of {len(verdict.trials)} trials"
        words += f" ({verdict.reasons[0]})"
    if whence := origin(run):
        words += f" (imported; {whence})"
    return f"{words} (simulated data)" if run.manifest.get("synthetic") else words


def _held(results: Sequence[ThresholdResult]) -> str:
    if not results:
        return "no thresholds"
    aside = [each for each in results if not each.applicable]
    if len(aside) == len(results):
        return "no thresholds applied"
    return "all thresholds that apply hold" if aside else "all thresholds hold"


def _of_scenarios(
    run: StoredRun, verdict: Verdict, table: pd.DataFrame, groups: dict[str, list[Group]]
) -> Iterator[str]:
    """A sentence for each scenario, the worst first, and what is to be said of all."""
    status_of = {each.trial: each.status for each in verdict.trials}
    worst: dict[str, int] = {}
    columns = (table[name].tolist() for name in ("trial", "scenario", "state"))
    for trial, scenario, state in zip(*columns, strict=True):
        place = 2 * WORST_FIRST.index(status_of[trial]) + (state != "saturated")
        worst[scenario] = min(place, worst.get(scenario, place))
    names = sorted(worst, key=worst.__getitem__)
    shown = names if len(names) <= _MOST_LINES else names[: _MOST_LINES - 1]
    for name in shown:
        if name in groups:
            yield f"{name}: {_in_short(run, groups[name])}."
        else:
            mine = table[table["scenario"] == name].iloc[0]
            judged = next(each for each in verdict.trials if each.trial == mine["trial"])
            yield f"{name}: {judged.status}, {judged.reasons[0] if judged.reasons else 'no load'}."
    last = []
    if rest := names[len(shown) :]:
        states = Counter(_state_of(groups.get(name)) for name in rest)
        parts = [f"{states[each]} {each}" for each in _STATES if states[each]]
        last.append(f"{len(rest)} more scenarios: {', '.join(parts)}.")
    count = sum(len(group.rows) for each in groups.values() for group in each)
    last += [*_remarks(run, groups, count), *_outnumbered(run, groups)]
    if last:
        yield " ".join(last)


def _broken(run: StoredRun, group: Group, several: bool) -> Iterator[str]:
    """What was broken in the trial that is spoken of, and what it cost."""
    row = group.middle
    for sentence in broken(run, int(row["trial"])):
        yield f"{row['title']}: {sentence}." if several else f"{sentence}."


def _state_of(groups: list[Group] | None) -> str:
    if not groups:
        return "without a sound trial"
    states = {each.state for each in groups}
    return next(each for each in _STATES if each in states)


def _in_short(run: StoredRun, groups: list[Group]) -> str:
    """Whether it carries its load, how fast, and what limits it, without a full stop."""
    row = chosen(groups).middle
    latency = " and ".join(
        f"{name} {_latency(run, row, f'{name.lower()}_ns')}" for name in ("P50", "P95")
    )
    return f"{carried(groups)}; {latency}; {_limited_by(run, groups).short}"


def _remarks(run: StoredRun, groups: dict[str, list[Group]], count: int) -> Iterator[str]:
    """What a reader must know of all the figures."""
    if any(group.users is not None for each in groups.values() for group in each):
        yield _CLOSED
    planned = len(run.manifest.get("plan") or run.manifest["trials"])
    if count < planned:
        yield f"{count} of {planned} planned trials count."


def _speed(run: StoredRun, group: Group, several: bool) -> str:
    """Load, throughput and latency of the trial that is spoken of."""
    row = group.middle
    where = f"{row['title']}" if several else "Over the window"
    if len(group.rows) > 1:
        where += f" (the middle of {len(group.rows)} repeats by P95)"
    p50, p95, p99 = (_latency(run, row, name) for name in ("p50_ns", "p95_ns", "p99_ns"))
    offered = "" if group.users is None else "closed model, "
    return (
        f"{where}: {offered}offered {group.load}, came due {format_rate(row['due_per_s'])}, "
        f"{format_rate(row['throughput_per_s'])} done; latency from the intended time "
        f"P50 {p50}, P95 {p95}, P99 {p99} (n = {format_count(row['n'])})."
    )


def _latency(run: StoredRun, row: pd.Series, name: str) -> str:
    """A latency in words; of one that fell among jobs that were not done, what is known of it."""
    if not math.isinf(row[name]):
        return format_duration(row[name])
    trial = int(row["trial"])
    instants = run.facts(trial).instants
    with frames.session(run, trial) as sql:
        longest = sql.rows(
            "select max(latency_ns) from job where in_window and not isinf(latency_ns)"
        )[0][0]
    # Who was never done had waited from the end of the window to that of the drain, or longer.
    bound = max(instants.drain_end - instants.window_end, longest or 0)
    return f"at least {format_duration(bound)}" if bound else "beyond the end of the trial"


def _outnumbered(run: StoredRun, groups: dict[str, list[Group]]) -> Iterator[str]:
    """Where workers outnumber cores."""
    found = [
        f"{row.title} ({group.most} on {_cores(run)})"
        for each in groups.values()
        for group in each
        for row in group.rows.itertuples()
        if group.most > _cores(run)
    ]
    if len(found) > _MOST_NAMED:
        yield f"More workers than free cores in {len(found)} trials."
    elif found:
        yield f"More workers than free cores: {', '.join(found)}."


def _cores(run: StoredRun) -> int:
    """Cores that the system under test may use; a great number where that is not known."""
    placed = (run.manifest.get("placement") or {}).get("system_cpus") or ()
    return len(placed) or int(run.manifest.get("host", {}).get("cpus") or 1_000_000)


class _Limit(NamedTuple):
    """What stands in the way of more: in a few words, and with the figures."""

    short: str
    long: str


def _limit(run: StoredRun, groups: list[Group]) -> str:
    found = _limited_by(run, groups)
    return f"{found.long}."


def _limited_by(run: StoredRun, groups: list[Group]) -> _Limit:
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
        short = "the cores are used up"
        return _Limit(short, f"{where}{short} ({used}; slots {format_percent(slots, 0)})")
    if slots >= _FULL:
        short = "the worker slots are used up"
        return _Limit(short, f"{where}{short} ({in_use}; cores {_busy(host)})")
    if saturated:
        return _Limit(
            "neither slots nor cores are used up",
            f"{where}neither slots ({in_use}) nor cores ({_busy(host)}) are used up; "
            "look at the stages",
        )
    if host.busy > slots:
        short = f"cores {_busy(host)}"
        nearest = f"cores, {_busy(host)} (slots {format_percent(slots, 0)})"
    else:
        short = f"slots {format_percent(slots, 0)} in use"
        nearest = f"slots, {format_percent(slots, 0)} in use (cores {_busy(host)})"
    return _Limit(short, f"{where}nearest to its limit: {nearest}; {_longest(run, trial)}")


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
