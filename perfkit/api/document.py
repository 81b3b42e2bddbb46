"""The outcome of a run as one JSON document: a public contract that scripts rely on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from typing import Any

from perfkit.api.measured import trial_figures
from perfkit.api.runs import Run
from perfkit.api.strict import strict_json
from perfkit.figures.scoreboard import state_of

__all__ = ["exit_code", "outcome"]

_TEXTS = ("pool", "error")
_EXIT = {"PASS": 0, "INVALID": 3, "INCONCLUSIVE": 5, "FAIL": 99}


def outcome(run: Run) -> dict[str, Any]:
    """``run --json``: run_dir, report, verdict, accounting, faults, thresholds, and per trial.

    A threshold's ``state`` is one of `perfkit.figures.scoreboard.STATES`. ``at_s`` is seconds since
    load began, of a fault since the window began, as planned (``done_at_s``, ``ended_at_s``: as it
    was); ``took_s`` of a scale event is null where the new level was not reached.
    """
    verdict = run.verdict()
    figures = trial_figures(run)
    document = {
        "run_dir": str(run.path),
        "sealed_ns": run.manifest.get("sealed_ns"),
        "report": str(run.report) if run.report else None,
        "verdict": {"status": verdict.status, "reasons": list(verdict.reasons)},
        "accounting": run.accounting().counts(),
        "faults": list(_faults(run)),
        "thresholds": [
            {**asdict(result), "state": state_of(result)} for result in run.thresholds()
        ],
        "scale_events": list(_scale_events(run)),
        "trials": [
            {
                "trial": each.trial,
                "label": each.label,
                "status": each.status,
                "saturated": each.saturated,
                "capacity_per_s": each.capacity_per_s,
                "reasons": list(each.reasons),
                "aborted": _aborted(run, each.trial),
                **figures[each.trial],
            }
            for each in verdict.trials
        ],
    }
    return {key: strict_json(value) for key, value in document.items()}


def _scale_events(run: Run) -> Iterator[dict[str, Any]]:
    for row in run.scale_events().to_dict("records"):
        row.pop("label")
        # Of a stack without pools, and where nothing went wrong, the frame has no text.
        named = {name: row[name] if isinstance(row[name], str) else None for name in _TEXTS}
        yield {str(key): value for key, value in row.items()} | named


def _faults(run: Run) -> Iterator[dict[str, Any]]:
    """What was broken on purpose, and what it cost; all figures as of `Run.recovery`."""
    for row in run.recovery().to_dict("records"):
        trial = int(row.pop("trial"))
        facts = run.stored.facts(trial)
        fault = facts.faults[int(row.pop("fault"))]
        window = facts.instants.window_start
        row = {name: row[name] for name in row if name not in ("label", "done_s", "ended_s")}
        yield {str(name): value for name, value in row.items()} | {
            "trial": trial,
            "victim": fault.victim,
            "error": fault.error,
            "at_s": (fault.at_ns - window) / 1e9,
            "done": fault.done_ns is not None,
            "done_at_s": None if fault.done_ns is None else (fault.done_ns - window) / 1e9,
            "ended_at_s": None if fault.ended_ns is None else (fault.ended_ns - window) / 1e9,
        }


def _aborted(run: Run, trial: int) -> dict[str, Any] | None:
    """Which threshold stopped a trial while it ran, and when."""
    facts = run.trial_facts(trial)
    found = facts.get("aborted")
    if not found:
        return None
    began = (facts.get("instants_ns") or {}).get("load_start")
    at_s = None if began is None else (found["at_ns"] - began) / 1e9
    return {"at_s": at_s} | {name: found[name] for name in ("threshold", "observed", "text")}


def exit_code(run: Run) -> int:
    """The exit code a run's verdict stands for; 130 when it was interrupted."""
    if run.manifest["status"] == "partial" and run.manifest["reason"] == "interrupted":
        return 130
    return _EXIT[run.verdict().status]
