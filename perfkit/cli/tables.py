"""Lists and histories of runs as text."""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from typing import Final

from perfkit.api.columns import aligned
from perfkit.api.history import PastTrial
from perfkit.store import RunEntry
from perfkit.units import format_ms, format_percent, format_rate

__all__ = ["history_text", "list_text"]

_NOTHING: Final = "-"
_BARS: Final = "▁▂▃▄▅▆▇█"
_LEAST_FOR_A_TREND: Final = 3
_MOST_TRENDS: Final = 5


def list_text(entries: Sequence[RunEntry], left_out: int) -> str:
    """One line a run, newest first, and what there is to do about some of them."""
    rows = [("run (UTC)", "name", "status", "verdict", "trials")]
    rows += [
        (
            entry.run_id,
            entry.name,
            entry.state,
            entry.verdict or _NOTHING,
            f"{entry.trials} trial{'' if entry.trials == 1 else 's'}",
        )
        for entry in entries
    ]
    lines = aligned(rows)
    if left_out:
        lines.append(f"({left_out} more; --limit {left_out + len(entries)} shows all)")
    unsealed = sum(entry.state == "unsealed" for entry in entries)
    if unsealed:
        lines.append(
            f"unsealed: perfkit ended before {'it was' if unsealed == 1 else 'they were'} done; "
            "`perfkit repair` keeps what was measured"
        )
    if any(entry.sealed and entry.verdict is None for entry in entries):
        lines.append(f"verdict {_NOTHING}: no summary; `perfkit report RUN` writes it")
    return "\n".join(lines)


def history_text(trials: Sequence[PastTrial], left_out: int) -> str:
    """A table with the newest trial last, what may be compared in it, and trends of that."""
    letters = _letters(trials)
    lines = aligned(
        [
            (
                "run (UTC)", "trial", "verdict", "offered", "achieved", "P50 ms", "P95 ms",
                "P99 ms", "P95 vs before", "worst queue, P95 ms", "errors", "basis", "perfkit",
            ),
            *(_row(each, letters) for each in trials),
        ],
        right=range(3, 9),
    )  # fmt: skip
    if left_out:
        lines.insert(0, f"({left_out} older; --limit {left_out + len(trials)} shows all)")
    lines += ["", *_explained(trials, letters), *_trends(trials, letters)]
    if any(math.isnan(each.figure("throughput_per_s")) for each in trials):
        lines.append(f"{_NOTHING}: no summary says; `perfkit report RUN` writes it")
    return "\n".join(lines)


def _row(past: PastTrial, letters: dict[object, str]) -> tuple[str, ...]:
    trial = past.trial
    label = trial.label or trial.scenario
    verdict = trial.verdict or (_NOTHING if trial.outcome == "complete" else trial.outcome)
    worst = past.figure("worst_queue_p95_ns")
    return (
        past.run.run_id,
        f"{label} #{trial.repetition + 1}" if trial.repetition else label,
        f"{verdict}, saturated" if trial.saturated else verdict,
        _shown(past.figure("offered_per_s"), format_rate),
        _shown(past.figure("throughput_per_s"), format_rate),
        *(_shown(past.figure(name), format_ms) for name in ("p50_ns", "p95_ns", "p99_ns")),
        _signed(past.change),
        f"{trial.worst_queue} {format_ms(worst)}" if trial.worst_queue else _NOTHING,
        _shown(past.figure("errors"), format_percent),
        letters[past.basis],
        " ".join(part for part in (past.run.perfkit_version, past.run.commit) if part) or _NOTHING,
    )


def _letters(trials: Sequence[PastTrial]) -> dict[object, str]:
    """A name for each basis in order of appearance: A to Z, then AA, AB and so on."""
    found = dict.fromkeys(each.basis for each in trials)
    return {basis: _letter(number) for number, basis in enumerate(found)}


def _letter(number: int) -> str:
    more, rest = divmod(number, 26)
    return (_letter(more - 1) if more else "") + string.ascii_uppercase[rest]


def _explained(trials: Sequence[PastTrial], letters: dict[object, str]) -> list[str]:
    """What the letters mean; rows of different letters must not be compared."""
    if len(letters) == 1:
        return ["all on one basis: the same host, scenario and stack; observed, not inferred"]
    lines = ["compare only what has the same basis (observed, not inferred):"]
    several = len({each.trial.workload_digest for each in trials}) > 1
    for past in {each.basis: each for each in trials}.values():
        parts = [f"host {(past.run.host or 'unknown')[:8]}", f"trial {past.trial.label}"]
        if several:
            parts.append(f"workload {(past.trial.workload_digest or 'unknown')[:8]}")
        parts.append(f"scenario and stack {(past.trial.digest or 'unknown')[:8]}")
        if past.run.synthetic:
            parts.append("simulated")
        lines.append(f"  {letters[past.basis]}: {', '.join(parts)}")
    return lines


def _trends(trials: Sequence[PastTrial], letters: dict[object, str]) -> list[str]:
    """P95 over time of each basis that has some trials; bars start at nought."""
    lines = []
    for basis, letter in letters.items():
        values = [
            value
            for each in trials
            if each.basis == basis and math.isfinite(value := each.figure("p95_ns"))
        ]
        if len(values) >= _LEAST_FOR_A_TREND:
            lines.append(
                f"P95 on {letter}: {_bars(values)}  {format_ms(min(values))} to "
                f"{format_ms(max(values))} ms over {len(values)} trials"
            )
    return lines[-_MOST_TRENDS:]


def _bars(values: Sequence[float]) -> str:
    most = max(values) or 1.0
    return "".join(_BARS[min(7, int(8 * value / most))] for value in values)


def _shown(value: float, form: Callable[[float], str]) -> str:
    return _NOTHING if math.isnan(value) else form(value)


def _signed(change: float) -> str:
    return _NOTHING if math.isnan(change) else f"{100 * change:+.0f} %"
