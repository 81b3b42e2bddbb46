"""Laws that hold of every system whatever it does: where one is broken, the instrument is wrong."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
import pandas as pd

from perfkit.frames import disordered, stages, stays
from perfkit.stats import LittlesLaw, littles_law
from perfkit.store import StoredRun
from perfkit.units import format_count, format_duration, format_percent
from perfkit.verdict.following import pathwise

__all__ = ["laws", "unlawful"]

_COLUMNS: Final = {"trial": "int64", "law": "str", "state": "str", "observed": "str", "n": "int64"}


def unlawful(run: StoredRun, trial: int) -> Iterator[str]:
    """Reasons that one trial is INVALID: stage sums or Little's law do not hold exactly."""
    residual = residual_ns(run, trial)
    if residual > 0:
        yield (
            "clock or join error: the stages of a job miss its latency by "
            f"{format_duration(residual)}"
        )
    law = little(run, trial)
    if law is not None and not law.holds:
        yield f"clock or join error: Little's law does not hold: {_broken(law)}"


def laws(run: StoredRun) -> pd.DataFrame:
    """One row per trial and law: whether it holds, and what was observed.

    Columns: trial, law, state ("holds", "broken", "differs", "not applicable"), observed (in
    words), n (jobs it was asked of). *Stage sums* and *Little's law* are exact: broken, they make
    the trial INVALID. The *pathwise oracle* (`perfkit.verdict.pathwise`) is a check of how workers
    are said to work and no gate: where starts differ from it, threads waited for something else
    than a free thread, such as a core or the interpreter.
    """
    rows: list[tuple[Any, ...]] = []
    for trial in run.trials:
        rows += [_stage_sums(run, trial), _little(run, trial), _pathwise(run, trial)]
    return pd.DataFrame(rows, columns=list(_COLUMNS)).astype(_COLUMNS)


@functools.lru_cache(maxsize=64)
def residual_ns(run: StoredRun, trial: int) -> float:
    """Largest difference between a job's latency and the sum of its stages; 0.0 where all agree."""
    # No stamp that is out of order, no difference: the sums of all jobs cost ten times as much.
    if not disordered(run, trial):
        return 0.0
    found = stages(run, trial)["residual_ns"]
    return float(found.max()) if len(found) else 0.0


@functools.lru_cache(maxsize=64)
def little(run: StoredRun, trial: int) -> LittlesLaw | None:
    """Little's law from the start of load to the end of the drain; None of no job."""
    instants = run.facts(trial).instants
    there = stays(run, trial)
    if there.empty or instants.drain_end <= instants.load_start:
        return None
    came, left = (there[name].to_numpy(dtype=np.int64) for name in ("came_ns", "left_ns"))
    return littles_law(came, left, start=instants.load_start, end=instants.drain_end)


def _stage_sums(run: StoredRun, trial: int) -> tuple[Any, ...]:
    facts = run.facts(trial)
    if not facts.jobs_recorded:
        return (trial, "stage sums", "not applicable", "no jobs were recorded", 0)
    n = len(stays(run, trial))
    if not n:
        return (trial, "stage sums", "not applicable", "no job came", 0)
    residual = residual_ns(run, trial)
    if residual:
        return (trial, "stage sums", "broken", f"a job misses by {format_duration(residual)}", n)
    return (trial, "stage sums", "holds", "every job's stages add up to its latency", n)


def _little(run: StoredRun, trial: int) -> tuple[Any, ...]:
    law = little(run, trial)
    if law is None:
        return (trial, "Little's law", "not applicable", "no job came", 0)
    if not law.holds:
        return (trial, "Little's law", "broken", _broken(law), law.n)
    things = "jobs" if run.facts(trial).jobs_recorded else "requests"
    words = (
        f"{law.number_mean:.2f} {things} in the system = {law.rate * 1e9:.2f}/s × "
        f"{format_duration(law.number_mean / law.rate) if law.rate else 'n/a'}, to the nanosecond"
    )
    return (trial, "Little's law", "holds", words, law.n)


def _broken(law: LittlesLaw) -> str:
    backwards = [each for each in law.warnings if "before they came" in each]
    return (
        f"the area under the number of jobs misses the sum of their times by "
        f"{format_percent(abs(law.difference), 4)}"
        f"{f' ({backwards[0]})' if backwards else ''}"
    )


def _pathwise(run: StoredRun, trial: int) -> tuple[Any, ...]:
    found = pathwise(run, trial)
    if found.not_applicable is not None:
        return (trial, "pathwise oracle", "not applicable", found.not_applicable, 0)
    words = (
        f"{format_percent(found.within)} of {format_count(found.n)} starts given back within 2 ms, "
        f"99 % within {format_duration(found.p99_ns)}; granted are "
        f"{format_duration(found.after_fetch_ns)} from fetch to start and "
        f"{format_duration(found.after_ack_ns)} from an ack to the next start"
    )
    return (trial, "pathwise oracle", "holds" if found.holds else "differs", words, found.n)
