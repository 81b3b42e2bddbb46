"""Which stage of whose jobs changed, over the pairs of a comparison."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from perfkit.api.runs import Run
from perfkit.frames import STAGES, job_stages
from perfkit.stats import max_t_sign_flip, stage_contributions
from perfkit.stats.spread import student_interval

__all__ = ["stage_effects"]

Array = npt.NDArray[np.float64]

_OF: Final = {"mean": None, "p50": 0.5, "p99": 0.99}
_COLUMNS: Final = (
    "queue", "actor", "of", "stage", "baseline_ns", "candidate_ns", "change_ns", "low_ns",
    "high_ns", "p", "p_adjusted",
)  # fmt: skip


def stage_effects(run: Run, pairs: Sequence[tuple[int, int]], level: float) -> pd.DataFrame:
    """See `perfkit.api.compared.Compared.stages`; ``pairs`` are the valid ones."""
    found = {trial: dict(_of_trial(run, trial)) for pair in pairs for trial in pair}
    keys = sorted({key for each in found.values() for key in each})
    parts = [
        pd.DataFrame(_rows(of, keys, found, pairs, level), columns=list(_COLUMNS)) for of in _OF
    ]
    parts = [part for part in parts if len(part)]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(_COLUMNS))


Key = tuple[str, str, str]  # queue, actor, of


def _of_trial(run: Run, trial: int) -> Iterator[tuple[Key, Array]]:
    """Time by stage, shape (stages,), of each actor's jobs in one trial."""
    jobs = job_stages(run.stored, trial)
    for (queue, actor), rows in jobs.groupby(["queue", "actor"], sort=True):
        times = rows[list(STAGES)].to_numpy(dtype=np.float64).T
        done = times[:, np.isfinite(times).all(axis=0)]
        for of, p in _OF.items():
            if p is not None:
                parts = stage_contributions(times, p).per_trial[:, 0]
            else:
                parts = done.mean(axis=1) if done.size else np.full(len(STAGES), math.nan)
            yield (str(queue), str(actor), of), parts


def _rows(
    of: str,
    keys: Sequence[Key],
    found: dict[int, dict[Key, Array]],
    pairs: Sequence[tuple[int, int]],
    level: float,
) -> list[tuple[object, ...]]:
    nothing = np.full(len(STAGES), math.nan)
    rows: list[tuple[object, ...]] = []
    columns: list[Array] = []
    for key in keys:
        if key[2] != of:
            continue
        a = np.array([found[first].get(key, nothing) for first, _ in pairs])
        b = np.array([found[second].get(key, nothing) for _, second in pairs])
        for place, stage in enumerate(STAGES):
            before, after = a[:, place], b[:, place]
            change = after - before
            low, high = student_interval(change, level)
            means = (float(each.mean()) for each in (before, after, change))
            rows.append((key[0], key[1], of, stage, *means, low, high))
            columns.append(change)
    adjusted, alone = np.full(len(columns), math.nan), np.full(len(columns), math.nan)
    known = [place for place, each in enumerate(columns) if np.isfinite(each).all()]
    if known:
        adjusted[known] = max_t_sign_flip(np.column_stack([columns[each] for each in known]))
        alone[known] = [max_t_sign_flip(columns[each])[0] for each in known]
    return [
        (*row, float(p), float(p_adjusted))
        for row, p, p_adjusted in zip(rows, alone, adjusted, strict=True)
    ]
