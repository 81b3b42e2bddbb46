"""The durations of a run for HdrHistogram's tools.

What never ended is no value that a histogram could hold. It counts in every percentile of
``.hgrm``. A log's reader makes its own percentiles, so there it stands at the time for which it had
waited when the trial ended, which is less than the truth, and that is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from perfkit import frames
from perfkit.api.exporting_histogram import DIGITS, histogram_of, log_text, percentile_text
from perfkit.api.runs import Run
from perfkit.errors import UsageError
from perfkit.units import format_duration

__all__ = ["METRICS", "NothingMeasured", "hgrm_of", "hlog_of"]

METRICS: Final = {
    "latency": ("latency_ns", "intended_ns", "from the intended time to the end of the job"),
    "response": ("response_ns", "sent_ns", "from when it was sent to the end of the job"),
    "queue_wait": ("queue_wait_ns", "coalesce(last_enqueued_ns, done_ns)",
                   "from being enqueued to its start"),
    "service": ("service_ns", "started_ns", "from start to end of the deciding delivery"),
    "added": ("added_ns", "intended_ns", "latency without the gateway's own time"),
    "request": ("request_ns", "sent_ns", "from when it was sent to its whole answer"),
    "send_lag": ("send_lag_ns", "intended_ns", "from the intended time to when it was sent"),
    "blocked": ("blocked_ns", "intended_ns", "waiting for a connection"),
}  # fmt: skip
"""Of each metric: its column in the view ``job``, what it is counted from, and its meaning."""


class NothingMeasured(UsageError):
    """The metric has no values there."""


@dataclass(frozen=True, slots=True)
class _Series:
    ended_ns: npt.NDArray[np.float64]
    waited_ns: npt.NDArray[np.float64]  # of what never ended, until the trial did

    @property
    def n(self) -> int:
        return len(self.ended_ns) + len(self.waited_ns)


def hgrm_of(run: Run, trial: int, metric: str, queue: str | None) -> tuple[str, tuple[str, ...]]:
    """Percentiles of a metric over the window, as text, and what must be said of them.

    Raises:
        UsageError: no such queue.
        NothingMeasured: the metric has no values.
    """
    found = _series(run, trial, metric, queue)
    comments = [*_about(run, trial, metric, queue), "unit of Value: microseconds"]
    notes: tuple[str, ...] = ()
    if beyond := len(found.waited_ns):
        notes = (f"{beyond} of {found.n} never ended: they count in every percentile",)
    text = percentile_text(histogram_of(found.ended_ns), beyond, comments)
    return text, notes


def hlog_of(
    run: Run, trials: Sequence[int], metric: str, queue: str | None
) -> tuple[str, tuple[str, ...]]:
    """A V2 log of a metric, a line per trial and queue, and what must be said of it.

    Raises:
        NothingMeasured: the metric has no values in any trial.
    """
    start_s = _started_s(run, trials[0])
    intervals = []
    comments = [
        *_about(run, None, metric, queue),
        f"unit of the values: nanoseconds, {DIGITS} significant digits; Interval_Max: milliseconds",
        "tags: trial, then queue",
    ]
    notes: list[str] = []
    for trial in trials:
        begin = _started_s(run, trial) - start_s
        length = run.stored.facts(trial).instants.window_s
        names = _queues(run, trial) if queue is None else [queue]
        for name in names:
            found = _series(run, trial, metric, name, must=False)
            if not found.n:
                continue
            tag = f"{trial:04d}.{_tag(name)}"
            if beyond := len(found.waited_ns):
                notes.append(
                    f"{tag}: {beyond} of {found.n} never ended; they stand at the time they had "
                    f"waited when the trial ended (at least "
                    f"{format_duration(float(found.waited_ns.min()))}), so percentiles that fall "
                    "among them are lower bounds"
                )
            values = np.concatenate((found.ended_ns, found.waited_ns))
            intervals.append((tag, begin, length, histogram_of(values)))
    if not intervals:
        raise _nothing(metric, queue)
    return log_text(start_s, intervals, [*comments, *notes]), tuple(notes)


def _series(run: Run, trial: int, metric: str, queue: str | None, *, must: bool = True) -> _Series:
    column, since, _ = METRICS[metric]
    if queue is not None and must and queue not in (known := _queues(run, trial)):
        raise UsageError(f"there is no queue {queue!r}", f"known are {', '.join(known)}")
    drain_end = run.stored.facts(trial).instants.drain_end
    with frames.session(run.stored, trial) as sql:
        rows = sql.frame(
            f"""
            select {column}::double as value, ({drain_end} - ({since}))::double as waited
            from cohort where ($queue is null or queue = $queue) and {column} is not null
            """,
            {"queue": queue},
        )
    ended = np.isfinite(rows["value"].to_numpy(dtype=np.float64))
    found = _Series(
        rows["value"].to_numpy(dtype=np.float64)[ended],
        np.maximum(np.nan_to_num(rows["waited"].to_numpy(dtype=np.float64)[~ended]), 0.0),
    )
    if must and not found.n:
        raise _nothing(metric, queue)
    return found


def _nothing(metric: str, queue: str | None) -> NothingMeasured:
    where = "" if queue is None else f" in queue {queue!r}"
    return NothingMeasured(
        f"nothing of {metric} was measured{where} in the window", "choose another --metric"
    )


def _queues(run: Run, trial: int) -> list[str]:
    with frames.session(run.stored, trial) as sql:
        return [str(row[0]) for row in sql.rows("select distinct queue from job order by queue")]


def _about(run: Run, trial: int | None, metric: str, queue: str | None) -> list[str]:
    of_trial = "" if trial is None else f", trial {trial} ({run.stored.facts(trial).label})"
    omission = [f"NOTE: {each}" for each in run.manifest.get("warnings") or ()]
    return [
        f"perfkit {run.manifest.get('perfkit_version') or ''}: {run.name} {run.run_id}{of_trial}",
        f"{metric}: {METRICS[metric][2]}; what was intended inside the window",
        f"queue: {'all together' if queue is None and trial is not None else queue or 'each'}",
        *omission,
    ]


def _started_s(run: Run, trial: int) -> float:
    """When the window of a trial began: seconds since the epoch, else of its own clock."""
    start = run.stored.facts(trial).instants.window_start
    anchor = run.stored.trial_facts(trial).get("anchor") or {}
    try:
        return float(start - anchor["mono_ns"] + anchor["wall_ns"]) / 1e9
    except (KeyError, TypeError):
        return start / 1e9


def _tag(name: str) -> str:
    """A queue's name without what separates the fields of a log."""
    return "".join("_" if each in ", \t\n" else each for each in name)
