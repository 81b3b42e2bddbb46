"""Folders of runs that were never measured: as small as a list needs them, and many."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from perfkit.records import SCHEMA_VERSION

SECOND = 1_000_000_000
NEW_YEAR_NS = 1_767_225_600 * SECOND  # 2026-01-01 in UTC
MS = 1_000_000


def planned(
    scenario: str = "heavy", label: str | None = None, trial: int = 0, **given: Any
) -> dict[str, Any]:
    """One trial of a manifest's plan."""
    whole = {
        "trial": trial,
        "scenario": scenario,
        "label": label or scenario,
        "axes": {},
        "repetition": 0,
        "seed": 1,
        "digest": f"digest-of-{label or scenario}",
        "workload_digest": f"workload-of-{scenario}",
    }
    return whole | given


def figures(trial: int = 0, p95_ms: float = 120.0, **given: Any) -> dict[str, Any]:
    """One trial of a summary."""
    whole: dict[str, Any] = {
        "trial": trial,
        "status": "PASS",
        "saturated": False,
        "offered_per_s": 200.0,
        "due_per_s": 199.0,
        "throughput_per_s": 198.5,
        "n": 4000,
        "p50_ns": 40 * MS,
        "p95_ns": p95_ms * MS,
        "p99_ns": 2 * p95_ms * MS,
        "worst_queue": "payments",
        "worst_queue_p95_ns": 1.5 * p95_ms * MS,
        "errors": 0.0,
    }
    return whole | given


def write_run(
    root: Path,
    name: str = "heavy",
    *,
    minutes: int = 0,
    of: list[dict[str, Any]] | None = None,
    summary: Mapping[str, Any] | bool | None = True,
    sealed: bool = True,
    **manifest: Any,
) -> Path:
    """A run begun so many minutes after the new year; returns its folder.

    Args:
        of: its trials; one of the scenario that is its name, unless told otherwise.
        summary: what ``summary.json`` holds; True: every trial passed; None: there is none.
        manifest: fields other than those of an ordinary complete run.
    """
    trials = [planned(name)] if of is None else of
    hours, rest = divmod(minutes, 60)
    folder = root / name / f"202601{1 + hours // 24:02}-{hours % 24:02}{rest:02}00-{minutes:04x}"
    folder.mkdir(parents=True)
    document = {
        "schema_version": SCHEMA_VERSION,
        "status": "complete",
        "reason": None,
        "created_ns": NEW_YEAR_NS + minutes * 60 * SECOND,
        "perfkit_version": "0.1.0",
        "host": {"fingerprint": "0123456789abcdef"},
        "git": {"commit": "a" * 40, "dirty": False},
        "synthetic": False,
        "plan": trials,
        "trials": [{"trial": each["trial"], "outcome": "complete"} for each in trials],
    }
    file = "manifest.json" if sealed else "manifest.partial.json"
    (folder / file).write_text(json.dumps(document | manifest))
    if summary is True:
        summary = passed(*(figures(each["trial"]) for each in trials))
    if summary:
        (folder / "summary.json").write_text(json.dumps(summary))
    return folder


def passed(*trials: dict[str, Any]) -> dict[str, Any]:
    """A summary that says that all is well."""
    return {"verdict": {"status": "PASS", "reasons": []}, "trials": list(trials)}
