"""SQL on the tables of a run: an in-memory DuckDB with a name for each, and for the job join.

Names: ``requests jobs samples calls leftovers`` as stored, ``facts`` (one row per trial),
``decided`` (one row per job: the delivery that decided it), ``job`` (one per planned request) and
``cohort`` (those intended in the window, and what a correction on request adds to them).
Where no jobs were recorded, the whole answer of a request that was accepted is its end; of an
import, whose intended times are not known, nothing is told of the time before sending.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
import pandas as pd
import pyarrow as pa

from perfkit.records import TABLES
from perfkit.store import StoredRun
from perfkit.store.tables import rows as rows_of

__all__ = ["Session", "session"]

# A delivery that finished the job decides it, the first of them if there are several; else the
# last one that began. Rows of a message that never started rank by when it was fetched or sent.
_DECIDED: Final = """
select * from jobs
qualify row_number() over (
    partition by trial, job_id
    order by outcome <> 'done',
             case when outcome = 'done' then finished_ns end,
             attempt desc,
             coalesce(started_ns, fetched_ns, enqueued_ns) desc,
             delivery desc,
             redis_message_id
) = 1
"""

# A request that enqueues no job is the work itself: *answered*, it is done when its reply is whole.
# A queue is that of the row, which of user code's requests is their name; a job's own is job_queue.
_JOB: Final = """
with tries as (
    select trial, job_id,
           count(distinct attempt) filter (started_ns is not null) as attempts,
           count(started_ns) as deliveries,
           min(enqueued_ns) as enqueued_ns,
           min(started_ns) as first_started_ns
    from jobs group by trial, job_id
), gateway as (
    select trial, key, sum(delay_ns)::double as gateway_ns from calls group by trial, key
), joined as (
    select r.trial, f.label, r.seq, r.key, r.queue, r.job_id, r.user,
           r.intended_ns, r.sent_ns, r.first_byte_ns, r.done_ns, r.status, r.error,
           coalesce(r.status between 200 and 299, false) as accepted,
           f.jobs_recorded, f.imported,
           accepted and r.job_id is null and f.jobs_recorded as answered,
           coalesce(d.queue, r.queue) as job_queue,
           r.intended_ns >= f.window_start and r.intended_ns < f.window_end as in_window,
           t.enqueued_ns, d.enqueued_ns as last_enqueued_ns,
           d.fetched_ns, d.started_ns,
           case when answered then r.done_ns when f.jobs_recorded then d.finished_ns
                when accepted then r.done_ns end as finished_ns, d.acked_ns, t.first_started_ns,
           coalesce(t.attempts, 0) as attempts,
           coalesce(t.deliveries, 0) as deliveries,
           case when answered then 'answered' else d.outcome end as outcome,
           g.gateway_ns, r.blocked_ns,
           case when answered then true
                when f.jobs_recorded then coalesce(d.outcome = 'done', false)
                else accepted and r.done_ns is not null end as is_done, f.window_start, f.window_end
    from requests r
    join facts f on f.trial = r.trial
    left join decided d on d.trial = r.trial and d.job_id = r.job_id
    left join tries t on t.trial = r.trial and t.job_id = r.job_id
    left join gateway g on g.trial = r.trial and g.key = r.key
)
select * exclude (is_done, jobs_recorded, imported, window_start, window_end), is_done as done,
       is_done and coalesce(finished_ns >= window_start and finished_ns < window_end, false)
           as done_in_window,
       case when not imported then (sent_ns - intended_ns)::double end as send_lag_ns,
       (done_ns - sent_ns)::double as request_ns,
       case when imported then null
            when is_done then (finished_ns - sent_ns)::double
            when sent_ns is not null then 'inf'::double end as response_ns,
       case when is_done then (finished_ns - intended_ns)::double
            else 'inf'::double end as latency_ns,
       case when not jobs_recorded or answered then null
            when started_ns is null and accepted then 'inf'::double
            else (started_ns - last_enqueued_ns)::double end as queue_wait_ns,
       (fetched_ns - last_enqueued_ns)::double as broker_dwell_ns,
       (started_ns - fetched_ns)::double as prefetch_wait_ns,
       (finished_ns - started_ns)::double as service_ns,
       case when is_done and deliveries = 1 and attempts = 1
            then (finished_ns - intended_ns)::double - gateway_ns end as added_ns
from joined
"""

_COHORT: Final = "select *, false as made from job where in_window"

# HdrHistogram's correction, where an import asked for it: a request that took v kept others from
# coming, which would have taken v - I, v - 2I and so on down to I. They are in no other view.
_CORRECTED: Final = f"""
{_COHORT}
union all by name
select j.* replace (
           j.latency_ns - k * f.expected_interval_ns as latency_ns,
           j.request_ns - k * f.expected_interval_ns as request_ns,
           null as blocked_ns
       ), true as made
from job j join facts f on f.trial = j.trial,
     unnest(range(1, floor(j.request_ns / f.expected_interval_ns)::bigint)) as made_of(k)
where j.in_window and f.expected_interval_ns is not null and j.request_ns is not null
"""

# Type 7 on an ascending list. The place is rounded where it misses a whole number by less than
# 1e-9, because the next value may be infinite; equal or infinite neighbours are not interpolated.
# A literal such as 0.999 is a DECIMAL to DuckDB, with rounding of its own. A macro is a copy of its
# arguments wherever it names them, each planned again: the lambda names the place once.
_MACROS: Final = """
create macro rounded(x) as case when abs(x - round(x)) < 1e-9 then round(x) else x end;
create macro place(n, p) as rounded((n - 1) * p::double);
create macro between_neighbours(low, high, share) as
    case when low = high or isinf(high) then high else low + (high - low) * share end;
create macro type7(a, p) as list_transform([place(len(a), p)], lambda place_: between_neighbours(
    a[floor(place_)::bigint + 1], a[ceil(place_)::bigint + 1], place_ - floor(place_)))[1];
"""

_MOST_KEPT: Final = 50_000
"""Rows of all tables together, up to which they are kept in memory: some 15 MB."""

_CLOSED: Final = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "allow_persistent_secrets": False,
    "python_enable_replacements": False,  # a name in a query is never a variable of ours
}

_INTEGERS: Final = (pa.int8(), pa.int16(), pa.int32(), pa.int64())
_NULLABLE: Final = {
    field.name
    for schema in TABLES.values()
    for field in schema
    if field.nullable and pa.types.is_integer(field.type)
} | {"first_started_ns", "written_ns", "released_ns"}


Parameters = Sequence[Any] | Mapping[str, Any]


def _plain(parameters: Parameters) -> list[Any] | dict[str, Any]:
    return dict(parameters) if isinstance(parameters, Mapping) else list(parameters)


class Session:
    """One connection; SQL in, pandas out."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection

    def frame(self, sql: str, parameters: Parameters = ()) -> pd.DataFrame:
        """The result as a frame: integers that may be missing are Int64, all others int64."""
        table: pa.Table = self._connection.sql(sql, params=_plain(parameters)).to_arrow_table()
        whole = [field for field in table.schema if field.type in _INTEGERS]
        required = [field for field in whole if field.name not in _NULLABLE]
        mapper = (
            dict.fromkeys(_INTEGERS, pd.Int64Dtype()).get if len(required) < len(whole) else None
        )
        frame: pd.DataFrame = table.to_pandas(types_mapper=mapper)
        kinds = {field.name: "int64" for field in required if frame[field.name].dtype != "int64"}
        return frame.astype(kinds) if kinds else frame

    def rows(self, sql: str, parameters: Parameters = ()) -> list[tuple[Any, ...]]:
        """The result as plain rows."""
        found: list[tuple[Any, ...]] = self._connection.execute(sql, _plain(parameters)).fetchall()
        return found

    def arrays(self, sql: str, parameters: Parameters = ()) -> dict[str, np.ma.MaskedArray]:
        """The result by column, each shape (rows,); what is missing is masked."""
        found = self._connection.execute(sql, _plain(parameters)).fetchnumpy()
        return {name: np.ma.asarray(values) for name, values in found.items()}


@contextmanager
def session(run: StoredRun, trial: int | None = None) -> Iterator[Session]:
    """Names for the tables of one trial, or of all."""
    if trial is None and len(run.trials) == 1:
        (trial,) = run.trials
    with _database(run, trial).cursor() as connection:
        yield Session(connection)


# A sealed run does not change, and binding its views costs more than most queries. Of a short trial
# rows are kept as well, and the join is made once; of others they stay in the files.
@functools.lru_cache(maxsize=40)  # a comparison has some twenty trials
def _database(run: StoredRun, trial: int | None) -> Any:
    database = duckdb.connect(":memory:", config={"threads": 1, **_CLOSED})
    files = {kind: run.parquet(kind, trial) for kind in TABLES}
    paths = {kind: [str(path) for path in found] for kind, found in files.items()}
    made = "table" if _rows(files.values()) <= _MOST_KEPT else "view"
    # These files and no other, whatever a query says: a run may come from a stranger.
    database.execute("set allowed_paths = ?", [list(itertools.chain(*paths.values()))])
    database.execute("set enable_external_access = false")
    for kind, schema in TABLES.items():
        if not paths[kind]:
            _keep(database, kind, schema.empty_table())
            continue
        stored = database.read_parquet(paths[kind], hive_partitioning=False)
        if made == "table":
            stored.create(kind)
        else:
            stored.create_view(kind)
    facts = _facts(run, trial)
    _keep(database, "facts", facts)
    database.execute(_MACROS)
    database.execute(f"create {made} decided as {_DECIDED}")
    database.execute(f"create {made} job as {_JOB}")
    corrected = facts["expected_interval_ns"].null_count < len(facts)
    database.execute(f"create view cohort as {_CORRECTED if corrected else _COHORT}")
    database.execute("set lock_configuration = true")
    return database


def _rows(files: Iterable[Iterable[Path]]) -> int:
    return sum(rows_of(path) for path in itertools.chain(*files))


def _keep(database: Any, name: str, table: pa.Table) -> None:
    database.register("given", table)
    database.execute(f"create table {name} as select * from given")
    database.unregister("given")


def _facts(run: StoredRun, trial: int | None) -> pa.Table:
    indexes = run.trials if trial is None else (trial,)
    columns: dict[str, list[Any]] = {
        name: []
        for name in ("trial", "label", "load_start", "window_start", "window_end", "drain_end")
    }
    for index in indexes:
        facts = run.facts(index)
        columns["trial"].append(index)
        columns["label"].append(facts.label)
        for name in ("load_start", "window_start", "window_end", "drain_end"):
            columns[name].append(getattr(facts.instants, name))
    kinds = {name: pa.string() if name == "label" else pa.int64() for name in columns}
    for name in ("jobs_recorded", "imported"):
        columns[name] = [getattr(run.facts(index), name) for index in indexes]
        kinds[name] = pa.bool_()
    columns["expected_interval_ns"] = [run.facts(index).expected_interval_ns for index in indexes]
    kinds["expected_interval_ns"] = pa.int64()
    return pa.table({name: pa.array(values, kinds[name]) for name, values in columns.items()})
