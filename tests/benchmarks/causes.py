"""Comparisons whose answer is known: a thing with itself, and with a cause put into one arm.

    make campaign PART=compare            6 A/A, and each of three causes 3 times; about 65 minutes
    make campaign PART=compare TURNS=1    the first turn: 2 A/A, each cause once

Turns are interleaved and each has its seed. What was found is kept in ``measured/``: one line for
each comparison, and this machine's A/A ledger as the campaign left it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from perfkit.api.compared import Compared, open_comparison
from perfkit.api.runs import Run
from perfkit.paths import results_root
from perfkit.store.aa import ledger_path
from tests.benchmarks.turns import host_of, turns

__all__ = ["CAUSES", "FOUND_AT", "MEASURED", "Cause", "rows", "steps", "summarise"]

TURNS: Final = 3
FOUND_AT: Final = 0.05
"""The adjusted p at which a change counts as found; what it is called rests on margins too."""
MEASURED: Final = Path(__file__).with_name("measured")

# Shorter than a comparison's own, for fifteen of them in little more than an hour; longer where the
# speed of the cores must be told.
_WINDOWS: Final = ("--warmup", "2s", "--drain", "5s")
_RENDERING: Final = "tests/benchmarks/rendering.toml"
_WAITING: Final = "tests/benchmarks/waiting.toml"
_DURATION: Final = {_RENDERING: "14s", _WAITING: "8s"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """What is put into arm B, and the kind of figure that should see it."""

    name: str
    scenario: str
    sets: tuple[str, ...]
    kind: str


CAUSES: Final = (
    Cause(
        name="CPU of the actor +5 %",
        scenario=_RENDERING,
        sets=('system.env.RENDERING_ROUNDS="2100"',),
        kind="work",
    ),
    Cause(
        name="gateway +5 %",
        scenario=_WAITING,
        sets=tuple(
            f'gateway.{queue}.median="105ms"'
            for queue in ("payments", "notifications", "webhooks")
        ),
        kind="p50",
    ),
    # A worker that may hold two jobs of a queue uses two of its threads for it.
    Cause(
        name="prefetch 16 to 2", scenario=_WAITING, sets=("stack.prefetch=2",), kind="p95"
    ),
)  # fmt: skip


def steps() -> dict[str, tuple[str, ...]]:
    """Of ``perfkit``, by name; ``TURNS`` is how many."""
    planned = {}
    for turn in range(1, turns(TURNS) + 1):
        # Pages take longer to measure, and one A/A tells their noise.
        first = _RENDERING if turn == 1 else _WAITING
        planned[f"A/A {turn}a {Path(first).stem}"] = _compare(first, turn, first)
        planned[f"A/A {turn}b waiting"] = _compare(_WAITING, 10 + turn, _WAITING)
        for cause in CAUSES:
            chosen = tuple(part for each in cause.sets for part in ("--set-b", each))
            planned[f"{cause.name} {turn}"] = _compare(cause.scenario, turn, *chosen)
    return planned


def _compare(scenario: str, turn: int, *rest: str) -> tuple[str, ...]:
    windows = (*_WINDOWS, "--duration", _DURATION[scenario])
    return ("compare", scenario, *rest, *windows, "--set", f"seed={turn}", "--no-report")


def rows(run: Run) -> list[dict[str, Any]]:
    """What one comparison said, as one row."""
    return [_row(open_comparison(run))]


def _row(found: Compared) -> dict[str, Any]:
    cause = next((each for each in CAUSES if _is_of(found, each)), None)
    effects = found.effects()
    seen = effects if cause is None else effects[effects["kind"] == cause.kind]
    told = {
        "run": f"{found.run.name}/{found.run.run_id}",
        "outcome": found.outcome,
        "pairs": found.comparison.pairs,
        "repeated": found.repeated,
        "invalid": sum(found.invalid),
        "minutes": round(found.trials()["at_s"].max() / 60, 1),
    }
    if seen.empty:
        return told | {"found": None, "metric": "", "p": None, "effect": None}
    best = seen.loc[seen["p_adjusted"].fillna(2.0).idxmin()]
    # In the causes here each figure that should see it becomes larger: the wrong way is no find.
    right = cause is None or best["point"] > 0
    return told | {
        "found": bool(best["p_adjusted"] <= FOUND_AT and right),
        "metric": best["metric"],
        "p": round(float(best["p_adjusted"]), 4),
        "effect": f"{best['point']:+.1%} [{best['low']:+.1%}, {best['high']:+.1%}]",
    }


def _is_of(found: Compared, cause: Cause) -> bool:
    asked = found.asked.arms["B"]
    keys = {each.partition("=")[0] for each in cause.sets}
    return asked["scenario"] == cause.scenario and set(asked["values"]) == keys


def summarise(done: Mapping[str, str]) -> str:
    """Keep what was found, and say how often; ``done`` is step -> folder of its run."""
    told = {name: _row(open_comparison(folder)) for name, folder in done.items()}
    last = open_comparison(next(reversed(done.values()))).run
    fingerprint = last.manifest["host"]["fingerprint"]
    MEASURED.mkdir(exist_ok=True)
    summary = {
        "measured": datetime.fromtimestamp(last.manifest["created_ns"] // 10**9, UTC)
        .date()
        .isoformat(),
        "host": {"fingerprint": fingerprint, **host_of(last)},
        "turns": turns(TURNS),
        "causes": {each.name: asdict(each) for each in CAUSES},
        "comparisons": told,
    }
    (MEASURED / "compare.json").write_text(json.dumps(summary, indent=1) + "\n")
    ledger = ledger_path(results_root(), fingerprint)
    if ledger.exists():
        shutil.copyfile(ledger, MEASURED / "aa.jsonl")
    alarms = [row["found"] for name, row in told.items() if name.startswith("A/A")]
    lines = [f"A/A: {sum(map(bool, alarms))} false alarms in {len(alarms)}"]
    for cause in CAUSES:
        mine = [row["found"] for name, row in told.items() if name.startswith(cause.name)]
        lines.append(f"{cause.name}: found in {sum(map(bool, mine))} of {len(mine)}")
    return "\n".join(lines)
