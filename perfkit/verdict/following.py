"""The pathwise oracle: given when jobs came and how long they took, when must each have started?

Each worker is a queue of its own: what it has fetched waits in its memory, first come first served,
for a thread. Fed into the recursion of the next free server, what was recorded must give back every
start. Nothing is drawn at random, so that half a minute decides: where starts are not given back,
stamps are wrong, or the workers do not do what is said of them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from perfkit.frames import served
from perfkit.stats import check_pathwise, delays_of
from perfkit.store import StoredRun, TrialFacts
from perfkit.units import format_count

__all__ = ["Pathwise", "pathwise"]

TOLERANCE_NS: Final = 2_000_000
_LEAST_WITHIN: Final = 0.99
_LEAST_JOBS: Final = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Pathwise:
    """How many starts of one trial the recursion gives back within 2 ms.

    Two delays are measured, as medians over each worker's jobs, and granted to every job alike:
    from the fetch to the start where a thread was free, and from a thread's ack to its next start.
    """

    trial: int
    not_applicable: str | None
    """Why it can't be asked; None where it was."""
    n: int
    within: float
    """Share of the starts within 2 ms; NaN where it was not asked, as are the others."""
    p99_ns: float
    """99 % of the starts are off by no more."""
    after_fetch_ns: float
    after_ack_ns: float

    @property
    def holds(self) -> bool:
        """Whether 99 % of the starts are given back."""
        return self.within >= _LEAST_WITHIN


@functools.lru_cache(maxsize=64)
def pathwise(run: StoredRun, trial: int) -> Pathwise:
    """Ask the oracle of one trial.

    It can be asked where every worker was there all along, and all records are.
    """
    facts = run.facts(trial)
    simulated = "simulated, not measured" if run.manifest.get("synthetic") else None
    why = simulated or _why_not(facts)
    if why is not None:
        return _not_asked(trial, why)
    jobs = served(run, trial)
    if len(jobs) < _LEAST_JOBS:
        few = f"{format_count(len(jobs))} jobs began, {_LEAST_JOBS} are needed"
        return _not_asked(trial, few)
    open_ended = int(jobs[["fetched_ns", "released_ns"]].isna().any(axis=1).sum())
    if open_ended:
        return _not_asked(
            trial, f"of {format_count(open_ended)} jobs the fetch or the end is not known"
        )
    threads = _threads(facts)
    found = list(_followed(jobs, threads))
    off = np.concatenate([each for each, _, _ in found])
    weights = [len(each) for each, _, _ in found]
    return Pathwise(
        trial=trial,
        not_applicable=None,
        n=len(off),
        within=float((off <= TOLERANCE_NS).mean()),
        p99_ns=float(np.quantile(off, 0.99)),
        after_fetch_ns=float(np.average([each for _, each, _ in found], weights=weights)),
        after_ack_ns=float(np.average([each for _, _, each in found], weights=weights)),
    )


def _followed(
    jobs: pd.DataFrame, threads: dict[str, int]
) -> Iterator[tuple[npt.NDArray[np.float64], float, float]]:
    """Deviations of the jobs of each worker, and its two delays."""
    alone = next(iter(threads.values()))
    for worker, mine in jobs.groupby("worker", sort=True, observed=True):
        came, begun, free = (
            mine[name].to_numpy(dtype=np.int64)
            for name in ("fetched_ns", "started_ns", "released_ns")
        )
        servers = threads.get(str(worker), alone)
        after_fetch, after_ack = delays_of(came, begun, free, servers)
        check = check_pathwise(
            came + round(after_fetch),
            begun,
            np.maximum(free + round(after_ack), begun),
            servers,
            tolerance=TOLERANCE_NS,
        )
        yield np.abs(check.deviations).astype(np.float64), after_fetch, after_ack


def _threads(facts: TrialFacts) -> dict[str, int]:
    """Threads of each worker by name, and of the first pool under ""."""
    pools = {str(pool.get("name") or ""): int(pool.get("threads", 0)) for pool in facts.pools}
    first = next(iter(pools.values()))
    return {"": first} | {life.name: pools.get(life.pool, first) for life in facts.worker_lives}


def _why_not(facts: TrialFacts) -> str | None:
    if not facts.jobs_recorded or not facts.slots:
        return "no jobs were recorded"
    if facts.outcome != "complete":
        return "the trial was cut short"
    if len({int(pool.get("threads", 0)) for pool in facts.pools}) > 1 and not facts.worker_lives:
        return "which worker is of which pool is not known"
    if missing := facts.holes + facts.lost + facts.corrupt:
        return f"{format_count(missing)} records are missing"
    if facts.deaths or facts.scale_events or any(each.done_ns for each in facts.faults):
        return "workers came and went, or something was broken on purpose"
    return None


def _not_asked(trial: int, why: str) -> Pathwise:
    return Pathwise(
        trial=trial,
        not_applicable=why,
        n=0,
        within=math.nan,
        p99_ns=math.nan,
        after_fetch_ns=math.nan,
        after_ack_ns=math.nan,
    )
