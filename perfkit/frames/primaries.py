"""What a comparison judges: figures of which each trial has one (statistics.md, Decisions 1)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Literal

import pandas as pd

from perfkit.frames.costs import resources
from perfkit.frames.distribution import percentiles
from perfkit.frames.session import session
from perfkit.store import StoredRun

__all__ = ["AT_EQUAL_SPEED", "Kind", "Primary", "primaries", "primaries_of"]

Kind = Literal["p50", "p95", "p99", "throughput", "cpu", "work", "errors"]

_PERCENTILES: Final[tuple[Kind, ...]] = ("p50", "p95", "p99")
_SYSTEM: Final = ("worker", "ingest", "redis")


@dataclass(frozen=True, slots=True, kw_only=True)
class Primary:
    """One figure of a comparison: what it is, of which queue, in which unit."""

    kind: Kind
    queue: str  # "all" of what is not by queue
    unit: Literal["ns", "per_s", "ms", "share"]

    @property
    def name(self) -> str:
        """As people read it, different for any two of a run."""
        match self.kind:
            case "throughput":
                return "throughput"
            case "cpu":
                return "CPU ms per job"
            case "work":
                return "CPU ms per job at equal speed"
            case "errors":
                return "error rate"
            case _:
                return f"{self.kind.upper()} of {self.queue}"

    @property
    def is_difference(self) -> bool:
        """Whether arms differ by B - A, and not by B / A: a share may be zero."""
        return self.unit == "share"

    @property
    def higher_is_better(self) -> bool:
        """Whether more of it is good."""
        return self.kind == "throughput"


AT_EQUAL_SPEED: Final = Primary(kind="work", queue="all", unit="ms")
"""CPU per job without what made the cores slower or faster; only pairs of trials can tell it."""


def primaries_of(run: StoredRun) -> tuple[Primary, ...]:
    """Every primary figure that some trial of a run has, in their order of telling.

    Per queue P50, P95 and P99 of the latency; then throughput, CPU per job, error rate.
    """
    queues = sorted(set(percentiles(run, ps=())["queue"]))
    by_queue = [
        Primary(kind=kind, queue=queue, unit="ns") for queue in queues for kind in _PERCENTILES
    ]
    return (
        *by_queue,
        Primary(kind="throughput", queue="all", unit="per_s"),
        Primary(kind="cpu", queue="all", unit="ms"),
        Primary(kind="errors", queue="all", unit="share"),
    )


def primaries(run: StoredRun) -> pd.DataFrame:
    """One row per trial that has data, one column per primary figure.

    Columns: trial, then the names of `primaries_of`: latencies in nanoseconds (+infinity where
    the quantile is among unfinished jobs), throughput in jobs per second (done in the window),
    CPU in milliseconds that ingest, workers and Redis together used in the window per job done
    in it, error rate as a share of what was sent of the cohort. NaN: not known.
    """
    wanted = primaries_of(run)
    table = percentiles(run).set_index(["trial", "queue"]).to_dict("index")
    rows = []
    for trial in run.trials:
        row: dict[str, float] = {"trial": trial}
        rates = dict(_rates(run, trial))
        for each in wanted:
            if each.kind in _PERCENTILES:
                found = table.get((trial, each.queue), {})
                row[each.name] = float(found.get(f"{each.kind}_ns", math.nan))
            else:
                row[each.name] = rates[each.kind]
        rows.append(row)
    names = [each.name for each in wanted]
    frame = pd.DataFrame(rows, columns=["trial", *names])
    return frame.astype({"trial": "int64"} | dict.fromkeys(names, "float64"))


def _rates(run: StoredRun, trial: int) -> Iterator[tuple[Kind, float]]:
    with session(run, trial) as sql:
        finished, sent, failed = sql.rows("""
            select count(*) filter (done_in_window),
                   count(*) filter (in_window and sent_ns is not null),
                   count(*) filter (in_window and sent_ns is not null and not done)
            from job
        """)[0]
    window_s = run.facts(trial).instants.window_s
    yield "throughput", finished / window_s
    yield "errors", failed / sent if sent else math.nan
    used = resources(run, trial)
    system = used[used["role"].isin(_SYSTEM)]
    known = not system.empty and bool((system["role"] == "worker").any())
    cores = float(system["cpu_share"].sum()) if known else math.nan
    yield "cpu", cores * window_s * 1000 / finished if finished else math.nan
