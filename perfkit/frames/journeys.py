"""What user code did: its iterations, its checks, and the values it kept."""

from __future__ import annotations

import pandas as pd

from perfkit.frames.session import session
from perfkit.store import StoredRun

__all__ = ["journeys"]


def journeys(run: StoredRun) -> pd.DataFrame:
    """One row per trial and thing that user code did, over the whole trial.

    Columns: trial, label; kind ("iteration", "check", "own", "blocked"); name (of an iteration
    "done", or what it raised and where; of the others their own); unit (of own values); n; passed
    (checks that passed); mean, p50, p95, most (of durations in seconds, or of own values).
    """
    with session(run) as sql:
        return sql.frame(
            """
            with told as (
                select trial, at_ns, value,
                       case when starts_with(metric, 'own.') then 'own'
                            else split_part(metric, '.', 2) end as kind,
                       case when starts_with(metric, 'own.') then substr(metric, 5)
                            else subject end as name,
                       case when starts_with(metric, 'own.') then subject else '' end as unit
                from samples
                where starts_with(metric, 'own.') or starts_with(metric, 'journey.')
            )
            select t.trial, f.label, kind, name, unit, count(*) as n,
                   sum(value) filter (kind = 'check') as passed,
                   avg(value) as mean,
                   type7(list(value order by value), 0.5) as p50,
                   type7(list(value order by value), 0.95) as p95,
                   max(value) as most
            from told t join facts f using (trial)
            group by t.trial, f.label, kind, name, unit
            order by t.trial, kind <> 'iteration', kind, name <> 'done', n desc, name
            """
        )
