"""How every quantile moved between the arms of a comparison, and how the machine drifted."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from perfkit.api.runs import Run
from perfkit.frames import Primary
from perfkit.stats import drift, shift_function

__all__ = ["drift_of_pairs", "shift_of_quantiles"]

_PS: Final = (10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99)
_LEAST_BEYOND: Final = 3
"""A quantile needs so many jobs beyond it in the smallest trial: else it is that of the largest."""
_SHIFT: Final = (
    "queue", "quantile", "pairs", "baseline_ns", "candidate_ns", "point", "low", "high",
    "change_ns", "change_low_ns", "change_high_ns", "p", "p_adjusted", "moved", "warning",
)  # fmt: skip
_DRIFT: Final = ("metric", "kind", "queue", "pairs", "point", "low", "high")


def shift_of_quantiles(run: Run, pairs: Sequence[tuple[int, int]], level: float) -> pd.DataFrame:
    """See `perfkit.api.compared.Compared.shift`; ``pairs`` are the valid ones."""
    rows: list[dict[str, Any]] = []
    if pairs:
        table = run.percentiles(ps=_PS).set_index(["queue", "trial"])
        for queue in sorted(table.index.unique(level="queue")):
            rows += _of_queue(str(queue), table.loc[queue], pairs, level)
    return pd.DataFrame(rows, columns=list(_SHIFT))


def _of_queue(
    queue: str, table: pd.DataFrame, pairs: Sequence[tuple[int, int]], level: float
) -> Iterator[dict[str, Any]]:
    """One row per quantile of which a trial of either arm has enough jobs."""
    trials = [[pair[side] for pair in pairs] for side in (0, 1)]
    fewest = table["n"].reindex([trial for side in trials for trial in side]).min()
    ps = [p for p in _PS if fewest * (100 - p) >= 100 * _LEAST_BEYOND or p <= 50]
    names = [f"p{p}_ns" for p in ps]
    a, b = (table.reindex(side)[names].to_numpy(dtype=np.float64) for side in trials)
    a, b = (np.where(arm > 0, arm, math.nan) for arm in (a, b))
    quantiles = [p / 100 for p in ps]
    found = shift_function(a, b, quantiles, level=level)
    plain = shift_function(a, b, quantiles, scale="difference", level=level)
    for place, quantile in enumerate(quantiles):
        ratio, change = found.estimates[place], plain.estimates[place]
        yield {
            "queue": queue,
            "quantile": quantile,
            "pairs": ratio.n,
            "baseline_ns": _middle(a[:, place]),
            "candidate_ns": _middle(b[:, place]),
            "point": ratio.point,
            "low": ratio.low,
            "high": ratio.high,
            "change_ns": change.point,
            "change_low_ns": change.low,
            "change_high_ns": change.high,
            "p": found.p[place],
            "p_adjusted": found.p_adjusted[place],
            "moved": found.moved[place],
            "warning": "; ".join(ratio.warnings),
        }


def drift_of_pairs(
    trials: pd.DataFrame, primaries: Sequence[Primary], level: float
) -> pd.DataFrame:
    """See `perfkit.api.compared.Compared.drift`; ``trials`` is its frame of that name."""
    counted = trials[trials["valid"] & ~trials["replaced"]]
    # Of a load that is carried the throughput is what each pair drew, and no trait of the machine.
    asked = [
        each
        for each in primaries
        if not each.is_difference and each.kind != "throughput" and each.name in counted
    ]
    # Of all of them at once: one of ten would stand out by chance in two comparisons of five.
    level = 1 - (1 - level) / max(1, len(asked))
    rows = []
    for each in asked:
        positive = counted[counted[each.name] > 0]
        both = positive.groupby("pair").filter(lambda pair: len(pair) == 2)
        logs = both.assign(log=np.log(both[each.name])).groupby("pair")[["at_s", "log"]].mean()
        found = drift(logs["at_s"], np.exp(logs["log"]), level=level)
        rows.append((each.name, each.kind, each.queue, found.n, found.point, found.low, found.high))
    return pd.DataFrame(rows, columns=list(_DRIFT))


def _middle(values: np.ndarray[Any, np.dtype[np.float64]]) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else math.nan
