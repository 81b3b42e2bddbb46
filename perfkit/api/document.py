"""The outcome of a run as one JSON document: a public contract that scripts rely on."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import Any

from perfkit.api.runs import Run

__all__ = ["exit_code", "outcome"]

_EXIT = {"PASS": 0, "INVALID": 3, "INCONCLUSIVE": 5, "FAIL": 99}


def outcome(run: Run) -> dict[str, Any]:
    """``run --json``: run_dir, report, verdict, accounting, faults, thresholds, and per trial."""
    verdict = run.verdict()
    document = {
        "run_dir": str(run.path),
        "report": str(run.report) if run.report else None,
        "verdict": {"status": verdict.status, "reasons": list(verdict.reasons)},
        "accounting": run.accounting().counts(),
        "faults": [],
        "thresholds": [asdict(result) for result in run.thresholds()],
        "trials": [
            {
                "trial": each.trial,
                "label": each.label,
                "status": each.status,
                "saturated": each.saturated,
                "capacity_per_s": each.capacity_per_s,
                "reasons": list(each.reasons),
            }
            for each in verdict.trials
        ],
    }
    return {key: _json(value) for key, value in document.items()}


def _json(value: Any) -> Any:
    """JSON has no NaN and no infinity: what was not measured is null, what never ended a text."""
    if isinstance(value, float) and not math.isfinite(value):
        return None if math.isnan(value) else str(value)
    if isinstance(value, dict):
        return {key: _json(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_json(each) for each in value]
    return value


def exit_code(run: Run) -> int:
    """The exit code a run's verdict stands for; 130 when it was interrupted."""
    if run.manifest["status"] == "partial" and run.manifest["reason"] == "interrupted":
        return 130
    return _EXIT[run.verdict().status]
