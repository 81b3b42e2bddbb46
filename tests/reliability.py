"""Summaries of a campaign, written by hand."""

from __future__ import annotations

from typing import Any

from perfkit.api.matrix import VERSION

FAULT, CONFIGURATION = "kill worker at 4s", "base"


def cell(fault: str = FAULT, configuration: str = CONFIGURATION, **expected: Any) -> dict[str, Any]:
    """A killed worker, whose jobs run twice and are back within 8 s."""
    return {
        "fault": fault,
        "configuration": configuration,
        "command": f"perfkit run faults.toml --fault '{fault}'",
        "expected": {
            "lost": "none",
            "duplicated": "some",
            "redelivered": "some",
            "stuck": "none",
            "within_s": 8.0,
            "mechanism": "what it held is handed out again",
            "source": "§3 SIGKILL one worker",
        }
        | expected,
    }


def trial(**changed: Any) -> dict[str, Any]:
    """One turn in which all was as expected."""
    duplicated = changed.get("duplicated", 3)
    counts = dict.fromkeys(
        ("refused", "errored", "done_unacked", "dead", "pending", "stranded", "lost",
         "unexplained", "phantom", "ambiguous", "double_charges"), 0,
    )  # fmt: skip
    return {
        "fault": FAULT,
        "configuration": CONFIGURATION,
        "turn": 1,
        "created": "2026-11-24T08:40:40Z",
        "host": "15d6",
        "verdict": "PASS",
        "disturbed": False,
        "happened": True,
        "error": None,
        "agree": True,
        "planned": 800,
        "accepted": 800,
        "done": 800,
        **counts,
        "duplicated": duplicated,
        "stalled_max": 5,
        "redelivered": 5,
        "time_to_first_redelivery_s": 2.2,
        "backlog_recovered_s": 3.1,
        "p99_before_ns": 2e8,
        "p99_during_ns": 3e9,
        "p99_after_ns": 2e8,
        "ingest_availability": 1.0,
        "recovered_s": 3.1,
        "why": {"its worker died": duplicated} if duplicated else {},
        **changed,
    }


def document(cells: list[dict[str, Any]], trials: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole summary."""
    return {
        "reliability": VERSION,
        "recorded": {"from": "2026-11-24", "to": "2026-11-24", "hosts": {"15d6": {"cpus": 2}}},
        "configurations": {CONFIGURATION: "two workers", "restarting": "dead ones come back"},
        "cells": cells,
        **in_columns(trials),
    }


def in_columns(trials: list[dict[str, Any]]) -> dict[str, Any]:
    """Trials as a summary holds them: the names once, then the values."""
    return {
        "columns": list(trials[0]) if trials else [],
        "trials": [list(row.values()) for row in trials],
    }
