"""What each stage contributes to the percentiles of latency: parts that add up, with intervals.

The parts are those of jobs near the percentile (statistics.md, 1.9): a stage that is long on
average may be short in the tail, and the other way about.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, Final, Literal

import numpy as np
import pandas as pd

from perfkit.frames import STAGES, job_stages, repetitions
from perfkit.stats import Contributions, contributions_within, stage_contributions
from perfkit.store import StoredRun

__all__ = ["contributions", "contributions_by_trial"]

Group = Literal["queue", "actor"]

_STATISTICS: Final = {"p50": 0.5, "p99": 0.99}
_ALL: Final = "all"
_TOO_FEW: Final = "fewer than 10 jobs are near the percentile, or they did not finish"


def contributions_by_trial(run: StoredRun, by: Group = "actor") -> pd.DataFrame:
    """Parts of the mean, of P50 and of P99 of latency in each trial, to be compared between trials.

    Columns: trial, label, ``by`` (each of them, then "all"), statistic ("mean", "p50", "p99"),
    stage (of `perfkit.frames.STAGES`, in their order), ns. The stages of one trial, group and
    statistic add up to it, and so do differences between trials: the mean of done jobs, the
    quantile of the whole cohort (unfinished jobs are +infinity). NaN where that falls among
    unfinished jobs or fewer than 10 jobs are near it; of a trial without stages there is no row.
    """
    rows: list[tuple[Any, ...]] = []
    for trial in run.trials:
        label = run.facts(trial).label
        for name, jobs in _grouped(job_stages(run, trial), by):
            times = _times(jobs)
            done = times[:, np.isfinite(jobs["latency_ns"].to_numpy())]
            parts = {"mean": done.mean(axis=1) if done.size else np.full(len(STAGES), math.nan)}
            for statistic, p in _STATISTICS.items():
                parts[statistic] = stage_contributions(times, p).per_trial[:, 0]
            for statistic, found in parts.items():
                rows += [
                    (trial, label, name, statistic, stage, float(value))
                    for stage, value in zip(STAGES, found, strict=True)
                ]
    columns = ["trial", "label", by, "statistic", "stage", "ns"]
    kinds = dict.fromkeys(("label", by, "statistic", "stage"), "str")
    return pd.DataFrame(rows, columns=columns).astype({"trial": "int64", "ns": "float64"} | kinds)


def contributions(run: StoredRun, by: Group = "queue") -> pd.DataFrame:
    """Parts of P50 and P99 of latency, of each arm of the run, with 95 % intervals.

    An arm is one trial, or several that differ in the repetition alone: then the parts are means
    over its trials, and intervals come from what differs between them. Of one trial they come from
    blocks of its jobs, and only where it has enough (`perfkit.stats.contributions_within`).

    Columns: trial (the first of the arm), trials (how many), ``by`` (each, then "all"), statistic
    ("p50", "p99"), stage, ns, low_ns, high_ns (NaN: no interval, and ``note`` says why), total_ns
    (the quantile: the sum of its stages), total_low_ns, total_high_ns, n (jobs), method, note.
    """
    rows: list[tuple[Any, ...]] = []
    for arm in repetitions(run):
        frames = [(trial, job_stages(run, trial)) for trial in arm]
        jobs = pd.concat(
            [frame.assign(trial=trial) for trial, frame in frames if len(frame)] or [pd.DataFrame()]
        )
        for name, mine in _grouped(jobs, by):
            for statistic, p in _STATISTICS.items():
                found = _estimated(mine, p, len(arm))
                rows += _rows(arm, name, statistic, len(mine), found)
    columns = ["trial", "trials", by, "statistic", "stage", "ns", "low_ns", "high_ns"]
    columns += ["total_ns", "total_low_ns", "total_high_ns", "n", "method", "note"]
    kinds = dict.fromkeys(("trial", "trials", "n"), "int64")
    kinds |= dict.fromkeys((by, "statistic", "stage", "method", "note"), "str")
    kinds |= dict.fromkeys((each for each in columns if each.endswith("ns")), "float64")
    return pd.DataFrame(rows, columns=columns).astype(kinds)


def _estimated(jobs: pd.DataFrame, p: float, trials: int) -> Contributions:
    if trials == 1:
        return contributions_within(_times(jobs), p)
    return stage_contributions(_times(jobs), p, trial=jobs["trial"].to_numpy())


def _rows(
    arm: list[int], name: str, statistic: str, n: int, found: Contributions
) -> Iterator[tuple[Any, ...]]:
    total = found.total
    note = "; ".join(dict.fromkeys((*found.warnings, *total.warnings)))
    if len(arm) == 1 and math.isnan(total.point):
        note = _TOO_FEW
    for stage, each in zip(STAGES, found.stages, strict=True):
        yield (
            *(arm[0], len(arm), name, statistic, stage, each.point, each.low, each.high),
            *(total.point, total.low, total.high, n, each.method, note),
        )


def _grouped(jobs: pd.DataFrame, by: Group) -> Iterator[tuple[str, pd.DataFrame]]:
    if jobs.empty:
        return
    for name, mine in jobs.groupby(by, sort=True, observed=True):
        yield str(name), mine
    yield _ALL, jobs


def _times(jobs: pd.DataFrame) -> np.ndarray:
    times: np.ndarray = jobs[list(STAGES)].to_numpy(dtype=np.float64).T
    return times
