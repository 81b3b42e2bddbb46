"""A comparison as one JSON document: ``comparison.json``, and ``compare --json``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from perfkit.api.strict import strict_json
from perfkit.errors import ResultsNotWritable

if TYPE_CHECKING:
    from perfkit.api.compared import Compared

__all__ = ["document", "write_comparison"]


def document(found: Compared) -> dict[str, Any]:
    """run_dir, report, outcome, sentences, effects, stages, trials and what it rests on.

    Numbers that are not finite are null, and times are nanoseconds.
    """
    comparison, ledger = found.comparison, found.ledger
    raw = {
        "run_dir": str(found.path),
        "report": str(found.run.report) if found.run.report else None,
        "exploratory": False,
        "baseline": found.baseline,
        "candidate": found.candidate,
        "outcome": found.outcome,
        "downgraded": found.downgraded,
        "sentences": list(found.sentences()),
        "same": found.same,
        "level": comparison.level,
        "pairs": comparison.pairs,
        "planned_pairs": found.asked.pairs,
        "repeated": found.repeated,
        "invalid": {"A": found.invalid[0], "B": found.invalid[1]},
        "unstable": {"A": comparison.unstable[0], "B": comparison.unstable[1]},
        "stability": comparison.stability,
        "effects": found.effects().to_dict("records"),
        "stages": found.stages().to_dict("records"),
        "trials": found.trials().to_dict("records"),
        "noise_floor": found.noise_floor.to_dict("records"),
        "ledger": {
            "comparisons": ledger.comparisons,
            "tested": ledger.tested,
            "false_alarms": ledger.false_alarms,
            "rate": ledger.rate,
            "low": ledger.low,
            "high": ledger.high,
        },
        "environment_difference": [
            {"key": key, "A": a, "B": b} for key, a, b in found.environment_difference
        ],
        "facts": dict(found.facts),
    }
    return {key: strict_json(value) for key, value in raw.items()}


def write_comparison(found: Compared) -> None:
    """Write ``comparison.json`` beside the sealed run.

    Raises:
        ResultsNotWritable: the run's folder is read-only, or the disk is full.
    """
    try:
        text = json.dumps(document(found), indent=1, allow_nan=False)
        (found.path / "comparison.json").write_text(text + "\n")
    except OSError as error:
        raise ResultsNotWritable(
            f"{found.path} can't take the comparison: {error.strerror}",
            "free some space, or copy the run to a folder that can be written",
        ) from None
