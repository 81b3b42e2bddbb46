"""What is made of a comparison once it is sealed: its line in the ledger, its files, its report."""

from __future__ import annotations

import contextlib
import logging
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from perfkit.api.compared import Compared, open_comparison
from perfkit.api.comparing_document import write_comparison
from perfkit.api.rendering import report as render
from perfkit.api.rendering import write_summary
from perfkit.errors import PerfkitError, ResultsNotWritable
from perfkit.pairs import digest_of
from perfkit.scenario import parse
from perfkit.stats.pairing import LEAST_PAIRS
from perfkit.store.aa import AA, Figure, record
from perfkit.telemetry.facts import versions

__all__ = ["ALARM", "entry_of", "kept"]
_log: Final = logging.getLogger(__name__)

ALARM: Final = 0.05
"""The rate of false alarms that the ledger watches, whatever the level of a comparison."""


def kept(folder: Path, results: Path, report: bool) -> Compared:
    """Open what was measured, feed the ledger, write what is derived, and render."""

    found = open_comparison(folder)
    entry = entry_of(found)
    if entry is not None:
        with contextlib.suppress(ResultsNotWritable):
            record(results, found.manifest["host"]["fingerprint"], entry)
    # What was measured is worth more than what can be made from it again.
    with contextlib.suppress(ResultsNotWritable):
        write_summary(found.run)
        write_comparison(found)
    if report:
        try:
            render(found.run)
        except (PerfkitError, OSError) as error:
            if not found.asked.gate:
                raise
            # A pipeline waits for what the gate decides, and that does not hang on the report.
            _log.warning("no report: %s", error)
            return found
        with contextlib.suppress(ResultsNotWritable):
            write_comparison(found)  # it names the report
    return found


def entry_of(found: Compared) -> AA | None:
    """What an A/A comparison adds to the ledger; None of one that is not, or has no valid pair."""
    comparison = found.comparison
    figures = tuple(
        Figure(
            name=each.name,
            kind=each.kind,
            sd=effect.sd,
            p_adjusted=None if effect.p_adjusted != effect.p_adjusted else effect.p_adjusted,
        )
        for each, effect in zip(found.primaries, comparison.effects, strict=True)
        # What was measured at unstable load is no noise of a sound comparison.
        if effect.sd == effect.sd and comparison.stability == "held"
    )
    if not found.same or found.manifest["status"] != "complete" or not comparison.pairs:
        return None

    scenario = parse(found.manifest["plan"][0]["document"], found.baseline)
    collapsed = comparison.stability in ("candidate unstable", "baseline unstable")
    said = any(effect.p_adjusted <= ALARM for effect in comparison.effects)
    return AA(
        run=f"{found.run.name}/{found.run.run_id}",
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        scenario=scenario.name,
        digest=digest_of(scenario),
        pairs=comparison.pairs,
        window_s=scenario.window_ns / 1e9,
        level=comparison.level,
        judged=comparison.pairs >= LEAST_PAIRS
        and not comparison.lopsided
        and comparison.stability != "undecided",
        alarm=collapsed or said,
        figures=figures,
        versions=versions(("perfkit", "dramatiq", "redis")),
    )
