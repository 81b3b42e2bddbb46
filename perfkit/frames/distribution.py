"""Quantiles of a column of the cohort, unfinished jobs included."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import pandas as pd

from perfkit.frames.session import session
from perfkit.store import StoredRun

__all__ = ["curve", "percentiles"]

_GROUPS: Final = ("trial", "label", "queue", "user", "outcome", "status", "attempts", "accepted")
_VALUES: Final = (
    "latency_ns",
    "response_ns",
    "added_ns",
    "queue_wait_ns",
    "broker_dwell_ns",
    "prefetch_wait_ns",
    "service_ns",
    "send_lag_ns",
    "request_ns",
    "blocked_ns",
    "gateway_ns",
)
_PER_DECADE: Final = 20
_LEAST_BEYOND: Final = 10


def percentiles(
    run: StoredRun,
    *,
    by: Sequence[str] = ("trial", "queue"),
    value: str = "latency_ns",
    ps: Sequence[float] = (50, 95, 99),
) -> pd.DataFrame:
    """Percentiles of a column of `jobs` over the cohort.

    Columns: those of ``by``, n (values that are there), one ``pNN_ns`` per percentile (exact, type
    7), mean_ns, unfinished (of n, how many are +infinity). Any of them may be +infinity. Of an
    import that was corrected for omission, n counts what the correction added, too. Of trials
    without jobs there is one column more, ``of``: "requests", or "imported" ones.

    Raises:
        ValueError: unknown column.
    """
    groups = _checked(by, value)
    quantiles = ", ".join(f'type7(ordered, {p / 100!r}) as "{_name(p)}"' for p in ps)
    with session(run) as sql:
        found = sql.frame(f"""
            with grouped as ({_grouped(groups, value)})
            select {groups}, n{"," if quantiles else ""} {quantiles}, mean_ns, unfinished
            from grouped order by {groups}
        """)
    return _said_of(run, found)


def curve(
    run: StoredRun, *, value: str = "latency_ns", by: Sequence[str] = ("trial",)
) -> pd.DataFrame:
    """A column of `jobs` by quantile over the cohort, for a chart on a log-nines axis.

    Columns: those of ``by``, n, quantile (0 to 1), value_ns; ``of`` as `percentiles` has it. The
    grid is 1 - 10^-x, 20 steps to a decade, cut where fewer than 10 values remain beyond, though
    never below the median.

    Raises:
        ValueError: unknown column.
    """
    groups = _checked(by, value)
    with session(run) as sql:
        grouped = f"with grouped as ({_grouped(groups, value)})"
        most = sql.rows(f"{grouped} select max(n) from grouped")[0][0] or 0
        # The neighbours of all quantiles are picked at once: a list is long, and copied per use.
        found = sql.frame(
            f"""
            {grouped}, picked as (
                select {groups}, n, unnest($grid) as quantile,
                       unnest(list_select(ordered, list_transform(
                           $grid, lambda q: floor(place(n, q))::bigint + 1))) as low,
                       unnest(list_select(ordered, list_transform(
                           $grid, lambda q: ceil(place(n, q))::bigint + 1))) as high
                from grouped
            )
            select {groups}, n, quantile,
                   between_neighbours(low, high, place(n, quantile) - floor(place(n, quantile)))
                       as value_ns
            from picked
            -- 1 - q is not exact, so ten may come out as a little less.
            where n * (1 - quantile) > {_LEAST_BEYOND} - 1e-6 or quantile <= 0.5
            order by {groups}, quantile
            """,
            {"grid": _grid(int(most))},
        )
    return _said_of(run, found)


def _said_of(run: StoredRun, found: pd.DataFrame) -> pd.DataFrame:
    """With ``of`` where a trial recorded no jobs."""
    if "trial" not in found or all(run.facts(trial).jobs_recorded for trial in run.trials):
        return found
    words = {
        trial: "jobs" if facts.jobs_recorded else "imported" if facts.imported else "requests"
        for trial in run.trials
        for facts in (run.facts(trial),)
    }
    return found.assign(of=found["trial"].map(words).astype(object))


def _grid(most: int) -> list[float]:
    decades = math.log10(max(most / _LEAST_BEYOND, 2.0))
    steps = math.floor(decades * _PER_DECADE + 1e-9)
    grid = {1 - 10 ** (-step / _PER_DECADE) for step in range(steps + 1)}
    return sorted(grid | {0.5})


def _name(p: float) -> str:
    return f"p{p:g}_ns"


def _grouped(groups: str, value: str) -> str:
    return f"""
        select {groups}, count(v) as n, list(v order by v) as ordered,
               avg(v) as mean_ns, count(v) filter (isinf(v)) as unfinished
        from (select *, {value}::double as v from cohort)
        where v is not null group by {groups}
    """


def _checked(by: Sequence[str], value: str) -> str:
    if value not in _VALUES:
        raise ValueError(f"{value!r} is no duration of a job; use one of {', '.join(_VALUES)}")
    if not by or (unknown := [name for name in by if name not in _GROUPS]):
        raise ValueError(f"can't group by {unknown if by else by}; use {', '.join(_GROUPS)}")
    return ", ".join(f'"{name}"' for name in by)
