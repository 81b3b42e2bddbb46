"""What Redis noted itself: slow commands, and events of its latency monitor."""

from __future__ import annotations

import pandas as pd

from perfkit.frames.session import session
from perfkit.store import StoredRun

__all__ = ["latency_events", "slow_commands"]


def slow_commands(run: StoredRun) -> pd.DataFrame:
    """One row per command that Redis' slow log had, the worst first in each trial.

    Columns: trial, label, server (the queue it serves; "" where one serves all), command (with the
    dramatiq operation of a script, never keys or arguments), count, worst_ns, total_ns. Over the
    whole trial, warm-up and drain included.
    """
    return _noted(run, "redis.slowlog_ns", "command", ", sum(value) as total_ns")


def latency_events(run: StoredRun) -> pd.DataFrame:
    """One row per kind of event that Redis' latency monitor had, the worst first in each trial.

    Columns: trial, label, server (as in `slow_commands`), event, count, worst_ns. Over the whole
    trial.
    """
    return _noted(run, "redis.latency_event_ns", "event", "")


def _noted(run: StoredRun, metric: str, kind: str, more: str) -> pd.DataFrame:
    # With a server for each queue the subject is "queue/name"; no queue has a stroke in its name.
    with session(run) as sql:
        return sql.frame(
            f"""
            with noted as (
                select trial, label, value,
                       case when contains(subject, '/') then split_part(subject, '/', 1) else '' end
                           as server,
                       case when contains(subject, '/')
                            then substr(subject, position('/' in subject) + 1) else subject end
                           as {kind}
                from samples join facts using (trial) where metric = $1
            )
            select trial, label, server, {kind}, count(*) as count, max(value) as worst_ns{more}
            from noted group by trial, label, server, {kind}
            order by trial, worst_ns desc, server, {kind}
            """,
            [metric],
        )
