"""Workers that come and go: how many there were, what they cost, and how soon it was calm again."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from perfkit.frames.phasing import Phase, phases_of
from perfkit.frames.timelines import waiting_at
from perfkit.store import StoredRun, TrialFacts
from perfkit.store.facts import WorkerLife

__all__ = [
    "Force",
    "force",
    "recovery_s",
    "scale_events",
    "worker_time",
    "workers_over_time",
]

_STEP_NS: Final = 100_000_000
_CALM: Final = 0.95  # of the time before the peak, so few waited


class Force(NamedTuple):
    """The workers of one trial in its window; a worker counts from its start to its end."""

    mean: float
    least: int
    most: int
    slots: float  # jobs that could run at once, on average: of workers that were ready


def force(facts: TrialFacts) -> Force:
    """How many workers there were, and how many slots they had; NaN where there was no window."""
    lives = facts.worker_lives
    if not lives:
        return Force(float(facts.workers), facts.workers, facts.workers, float(facts.slots))
    start, end = facts.instants.window_start, facts.instants.window_end
    length = (end - start) or math.nan
    paid = [_clipped(each.started_ns, each.ended_ns, start, end) for each in lives]
    threads = {str(pool.get("name")): int(pool.get("threads", 0)) for pool in facts.pools}
    able = [
        (_threads(threads, each), _clipped(each.ready_ns, each.ended_ns, start, end))
        for each in lives
        if each.ready_ns is not None
    ]
    counts = _counts(paid, start, end)
    return Force(
        sum(until - since for since, until in paid) / length,
        min(counts),
        max(counts),
        sum(count * (until - since) for count, (since, until) in able) / length,
    )


def _clipped(since: int | None, until: int | None, start: int, end: int) -> tuple[int, int]:
    begin = min(max(start if since is None else since, start), end)
    return begin, max(begin, min(end if until is None else until, end))


def _counts(spans: list[tuple[int, int]], start: int, end: int) -> list[int]:
    """How many of these lasted, at the start and after each change before the end."""
    changes = {start: 0}
    for since, until in spans:
        changes[since] = changes.get(since, 0) + 1
        changes[until] = changes.get(until, 0) - 1
    counts = np.cumsum([change for _, change in sorted(changes.items())])
    lasting = [int(count) for at, count in zip(sorted(changes), counts, strict=True) if at < end]
    return lasting or [0]


def _threads(threads: dict[str, int], life: WorkerLife) -> int:
    """Slots of one worker; of the only pool where its own goes by another name."""
    alone = next(iter(threads.values())) if len(threads) == 1 else 0
    return threads.get(life.pool, alone)


def scale_events(run: StoredRun) -> pd.DataFrame:
    """One row per change of the number of workers while running.

    Columns: trial, label, at_s, pool, from_workers, to_workers, reason, took_s (until all new
    workers were ready, or all stopped ones had ended; NaN where that did not happen), error.
    """
    columns = {
        "trial": "int64",
        "label": "str",
        "at_s": "float64",
        "pool": "str",
        "from_workers": "int64",
        "to_workers": "int64",
        "reason": "str",
        "took_s": "float64",
        "error": "str",
    }
    rows = [
        (
            trial,
            facts.label,
            (each.at_ns - facts.instants.load_start) / 1e9,
            each.pool,
            each.from_workers,
            each.to_workers,
            each.reason,
            math.nan if each.done_ns is None else (each.done_ns - each.at_ns) / 1e9,
            each.error,
        )
        for trial, facts in ((trial, run.facts(trial)) for trial in run.trials)
        for each in sorted(facts.scale_events, key=lambda event: event.at_ns)
    ]
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def workers_over_time(run: StoredRun, trial: int) -> pd.DataFrame:
    """Workers that took jobs, by pool, as a step function from the start of load to the end.

    Columns: at_s, pool, workers. A worker counts from when it was ready until it was told to stop,
    or died.
    """
    facts = run.facts(trial)
    start, end = facts.instants.load_start, facts.instants.drain_end
    steps: dict[str, dict[int, int]] = {}
    for pool in facts.pools if not facts.worker_lives else ():
        count = int(pool.get("workers", 0))
        steps[str(pool.get("name") or "")] = {start: count, end: -count}
    for each in facts.worker_lives:
        of_pool = steps.setdefault(each.pool, {start: 0, end: 0})
        if each.ready_ns is None:
            continue
        gone = min((at for at in (each.stop_ns, each.ended_ns) if at is not None), default=end)
        since, until = _clipped(each.ready_ns, gone, start, end)
        of_pool[since] = of_pool.get(since, 0) + 1
        of_pool[until] = of_pool.get(until, 0) - 1
    parts = []
    for name, changes in sorted(steps.items()):
        at = sorted(changes)
        counts = np.cumsum([changes[each] for each in at])
        # At the end all stop; the last level is drawn up to it.
        counts[-1] = counts[-2] if len(counts) > 1 else 0
        at_s = (np.array(at) - start) / 1e9
        parts.append(pd.DataFrame({"at_s": at_s, "pool": name, "workers": counts}))
    columns = {"at_s": "float64", "pool": "str", "workers": "int64"}
    whole = pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(columns))
    return whole.astype(columns)


def worker_time(run: StoredRun) -> pd.DataFrame:
    """What the workers of each trial cost, and how soon the backlog of its peak was gone.

    Columns: trial, label, worker_s (worker-seconds in the window, from the start of a process to
    its end), mean_workers, least_workers, most_workers (in the window); recovery_s: from the end of
    the highest phase until as few jobs waited as in 95 % of the time of the phase before it. It
    counts on into the drain. NaN where the peak had no phase before or after it, or where that many
    still waited at the end of the drain.
    """
    rows = []
    for trial in run.trials:
        facts = run.facts(trial)
        found, recovered_s = force(facts), recovery_s(run, trial)
        rows.append(
            (
                trial,
                facts.label,
                found.mean * facts.instants.window_s,
                found.mean,
                found.least,
                found.most,
                math.nan if recovered_s is None or math.isinf(recovered_s) else recovered_s,
            )
        )
    columns = {
        "trial": "int64",
        "label": "str",
        "worker_s": "float64",
        "mean_workers": "float64",
        "least_workers": "int64",
        "most_workers": "int64",
        "recovery_s": "float64",
    }
    return pd.DataFrame(rows, columns=list(columns)).astype(columns)


def recovery_s(run: StoredRun, trial: int) -> float | None:
    """As `worker_time` has it: None without a peak, +infinity where it did not recover."""
    facts = run.facts(trial)
    peak = _peak(phases_of(facts))
    if peak is None:
        return None
    before, last = peak
    level = float(np.quantile(_waiting(run, facts, before.steady_ns, before.end_ns), _CALM))
    after = _waiting(run, facts, last.end_ns, facts.instants.drain_end)
    calm = np.flatnonzero(after <= level)
    return float(calm[0]) * _STEP_NS / 1e9 if len(calm) else math.inf


def _waiting(run: StoredRun, facts: TrialFacts, begin: int, end: int) -> npt.NDArray[np.int64]:
    grid = np.arange(begin, max(end, begin + 1), _STEP_NS, dtype=np.int64)
    return waiting_at(run, facts.trial, grid)


def _peak(found: tuple[Phase, ...]) -> tuple[Phase, Phase] | None:
    """The phase before the highest level, and the last at it, where there is one after it too."""
    if len(found) < 3:
        return None
    highest = max(each.level for each in found)
    last = max(place for place, each in enumerate(found) if each.level == highest)
    first = last
    while first and found[first - 1].level == highest:
        first -= 1
    if not first or last == len(found) - 1 or not found[last].whole:
        return None
    return found[first - 1], found[last]
