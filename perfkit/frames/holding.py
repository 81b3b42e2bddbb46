"""Who held jobs while others were idle: the worker threads of one trial, instant by instant."""

from __future__ import annotations

import math
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from perfkit.frames.session import session
from perfkit.frames.workforce import force
from perfkit.store import StoredRun

__all__ = ["Held", "held"]

_INSTANTS: Final = 2_000


class Held(NamedTuple):
    """How workers shared the jobs of the window, from 2,000 evenly spaced instants of it.

    A thread is idle while its worker runs fewer jobs than it has threads. All is NaN where that can
    not be known: no jobs were recorded, or workers came and went.
    """

    waiting: float  # messages in Redis, enqueued and not fetched, on average
    idle: float  # idle threads, on average
    idle_while_waiting: float  # share of the time: one thread or more idle, and a message in Redis
    hoarded_share: float  # share of the time: a worker held a job it had no thread for, another did
    hoarded: float  # jobs held so, on average over the window
    worst: str  # the worker that held the most of them; "" where none did


_UNKNOWN: Final = Held(math.nan, math.nan, math.nan, math.nan, math.nan, "")


def held(run: StoredRun, trial: int) -> Held:
    """See `Held`. A worker hoards while it holds fetched jobs, and one of its pool is idle."""
    facts = run.facts(trial)
    begin, end = facts.instants.window_start, facts.instants.window_end
    workforce = force(facts)
    pools = {str(pool.get("name") or ""): int(pool.get("threads", 0)) for pool in facts.pools}
    came_and_went = facts.deaths or facts.scale_events or workforce.least != workforce.most
    if not facts.jobs_recorded or end <= begin or not pools or came_and_went:
        return _UNKNOWN
    with session(run, trial) as sql:
        rows = sql.frame("""
            select coalesce(worker::varchar, '') as worker, enqueued_ns, fetched_ns, started_ns,
                   coalesce(acked_ns, finished_ns) as released_ns, requeued_ns
            from jobs
        """)
    grid = np.linspace(begin, end, _INSTANTS, endpoint=False).astype(np.int64)
    waiting = _there(grid, rows["enqueued_ns"], rows["fetched_ns"])
    lives = {each.name: each.pool for each in facts.worker_lives}
    names = sorted(set(lives) or {name for name in rows["worker"] if name})
    only = next(iter(pools))
    pool_of = {name: lives.get(name, only) if len(pools) > 1 else only for name in names}
    running: dict[str, npt.NDArray[np.int64]] = {}
    holding: dict[str, npt.NDArray[np.int64]] = {}
    for name in names:
        mine = rows[rows["worker"] == name]
        running[name] = _there(grid, mine["started_ns"], mine["released_ns"])
        given_up = mine["started_ns"].fillna(mine["requeued_ns"])
        holding[name] = _there(grid, mine["fetched_ns"], given_up)
    free = {
        name: np.maximum(0, pools.get(pool_of[name], 0) - running[name] - holding[name])
        for name in names
    }
    hoards = {
        name: holding[name] * (_others(free, pool_of, name) > 0) * (free[name] == 0)
        for name in names
    }
    idle = sum(free.values(), np.zeros(len(grid), dtype=np.int64))
    hoarded = sum(hoards.values(), np.zeros(len(grid), dtype=np.int64))
    worst = max(hoards, key=lambda name: hoards[name].sum(), default="")
    return Held(
        waiting=float(waiting.mean()),
        idle=float(idle.mean()),
        idle_while_waiting=float(((idle > 0) & (waiting > 0)).mean()),
        hoarded_share=float((hoarded > 0).mean()),
        hoarded=float(hoarded.mean()),
        worst=worst if hoarded.any() else "",
    )


def _others(
    free: dict[str, npt.NDArray[np.int64]], pool_of: dict[str, str], name: str
) -> npt.NDArray[np.int64]:
    nobody = np.zeros_like(free[name])
    return sum(
        (free[other] for other in free if other != name and pool_of[other] == pool_of[name]), nobody
    )


def _there(grid: npt.NDArray[np.int64], came: pd.Series, gone: pd.Series) -> npt.NDArray[np.int64]:
    """How many had come and not gone at each instant; what never came is not there."""
    begun = came.notna()
    ins = np.sort(came[begun].to_numpy(dtype=np.int64))
    outs = np.sort(gone[begun & gone.notna()].to_numpy(dtype=np.int64))
    found: npt.NDArray[np.int64] = np.searchsorted(ins, grid, side="right") - np.searchsorted(
        outs, grid, side="right"
    )
    return found
