"""A run as text for a terminal."""

from __future__ import annotations

import math
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from perfkit.api.columns import aligned
from perfkit.api.runs import Run
from perfkit.figures.scoreboard import STATES, in_unit, limit_words, state_of, target_words
from perfkit.scenario.elsewhere import is_elsewhere
from perfkit.units import format_count, format_ms, format_percent, format_rate

if TYPE_CHECKING:
    from perfkit.verdict import ThresholdResult

__all__ = ["next_command", "run_text", "targets_text"]

_COLUMNS = (
    "trial",
    "offered",
    "came due",
    "achieved",
    "n",
    "P50 ms",
    "P95 ms",
    "P99 ms",
    "backlog",
    "state",
)


def next_command(run: Run) -> str:
    """What a person would type next: the experiment that this run makes interesting."""
    plan = run.manifest["plan"]
    scenarios = list(dict.fromkeys(each["scenario"] for each in plan))
    axes = {axis for each in plan for axis in each["axes"]}
    if len(scenarios) > 1 or not plan:
        return "perfkit show"
    known: Any = run.manifest["scenarios"].get(scenarios[0]) or {}
    # By what it was found: a file's name says nothing to the command line.
    source = shlex.quote(str(known.get("source") or scenarios[0]))
    document = known.get("document") or {}
    if is_elsewhere(document):
        return f"perfkit sweep {source} --axis {_levels(document)}"
    pools = bool((known.get("document") or {}).get("stack", {}).get("pool"))
    if pools:
        if "stack.preset" not in axes:
            return f"perfkit sweep {source} --axis preset=stock,low-latency"
        return f"perfkit sweep {source} --axis preset=stock,low-latency --repeat 3"
    if "stack.workers" not in axes:
        return f"perfkit sweep {source} --axis workers=1,2,4"
    if "stack.preset" not in axes:
        return f"perfkit sweep {source} --workers 2 --axis preset=stock,low-latency"
    return f"perfkit sweep {source} --axis workers=1,2,4 --repeat 3"


def _levels(document: Mapping[str, Any]) -> str:
    """More of the load, where nothing else is ours to change."""
    load: Any = document.get("load") or {}
    key = "users" if load.get("model") == "closed" else "rate"
    level = load.get(key)
    if not isinstance(level, int | float) or isinstance(level, bool):
        return "seed=1,2,3"
    return f"{key}={','.join(f'{level * factor:g}' for factor in (1, 2, 4))}"


def targets_text(run: Run) -> list[str]:
    """The scoreboard as lines, each target once however many trials there are; empty without any.

    Of one trial what was observed; of several how often a target held, and where it was missed
    most, or held most narrowly.
    """
    results = run.thresholds()
    if not results:
        return []
    several = len({result.trial for result in results}) > 1
    names = {int(row["trial"]): row["title"] for row in run.trials().to_dict("records")}
    groups: dict[tuple[str, str, str], list[ThresholdResult]] = {}
    for result in results:
        key = (target_words(result), limit_words(result), result.claimed or "")
        groups.setdefault(key, []).append(result)
    ranked = sorted(groups.items(), key=lambda group: min(map(_rank, group[1])))
    rows = [
        (
            _counted(group) if several else state_of(group[0]),
            target,
            limit,
            f"claimed {claimed}" if claimed else "",
            _nearest(group, names if several else None),
        )
        for (target, limit, claimed), group in ranked
    ]
    return ["targets:", *aligned(rows, indent="  ")]


def _rank(result: ThresholdResult) -> int:
    return list(STATES).index(state_of(result))


def _counted(group: Sequence[ThresholdResult]) -> str:
    """ "held in 9 of 12", "failed in 3 of 12"; what could not be judged is said beside it."""
    counts = Counter(map(state_of, group))
    judged = counts["held"] + counts["failed"]
    if not judged:
        return next(state for state in STATES if counts[state])
    if counts["failed"]:
        said = f"failed in {counts['failed']} of {judged}"
    else:
        said = f"held in {judged}" if judged < len(group) else f"held in all {judged}"
    left = len(group) - judged
    return said + (f", {left} not judged" if left else "")


def _nearest(group: Sequence[ThresholdResult], names: dict[int, str] | None) -> str:
    """What was observed where the least was left of the limit."""
    known = [each for each in group if state_of(each) in ("held", "failed")]
    if not known:
        return group[0].note
    worst = min(known, key=lambda each: each.margin)
    where = "" if names is None else f" at {names.get(worst.trial, worst.trial)}"
    margin = "" if math.isinf(worst.margin) else f", margin {format_percent(worst.margin, 0)}"
    return f"{in_unit(worst.unit, worst.observed)}{where} (n {format_count(worst.n)}{margin})"


def run_text(run: Run) -> str:
    """Verdict, one line a trial, and the accounting."""
    headline = run.headline()
    rows: list[tuple[str, ...]] = [_COLUMNS]
    for row in run.trials().to_dict("records"):
        most = "≤ " if row["model"] == "closed" and row["offered_per_s"] > 0 else ""
        rows.append(
            (
                row["title"],
                f"{most}{format_rate(row['offered_per_s'])}",
                format_rate(row["due_per_s"]),
                format_rate(row["throughput_per_s"]),
                format_count(row["n"]),
                *(format_ms(value) for value in (row["p50_ns"], row["p95_ns"], row["p99_ns"])),
                "n/a" if math.isnan(row["backlog_end"]) else format_count(row["backlog_end"]),
                f"{row['status'].lower()}, {row['state']}",
            )
        )
    counts = run.accounting().counts()
    nonzero = "  ".join(f"{name} {format_count(count)}" for name, count in counts.items() if count)
    return "\n".join(
        [
            f"{run.name} {run.run_id} ({run.manifest['status']})",
            headline.sentence,
            *(f"  - {line}" for line in headline.lines),
            *(f"  warning: {words}" for words in run.manifest.get("warnings") or ()),
            "",
            *aligned(rows, right=range(1, len(_COLUMNS) - 1), indent="  "),
            *(["", *targets] if (targets := targets_text(run)) else []),
            "",
            f"accounting: {nonzero}",
            f"run: {run.path}",
        ]
    )
