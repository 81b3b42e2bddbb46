"""Spools of an application in use (`perfkit.recorder.on`), as a frame: there is no run around them.

No load was planned, so there is nothing that latency could be counted from, and no accounting: jobs
begin where they were enqueued. Nothing but the folder is read, while it is written too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from perfkit.errors import UsageError
from perfkit.recorder.reader import SpoolContents, read_spools

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["Recorded", "recorded"]

_SAME_BOOT_NS: Final = 60_000_000_000
"""Clocks are set right by less than this, and no host boots twice within it."""

_STAMPS: Final = ("delayed", "enqueued", "enqueue_done", "fetched", "started", "finished", "acked",
                  "requeued")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the recorders of a folder saw.

    Attributes:
        jobs: one row a delivery, and one a message that nobody took: job_id, redis_message_id,
            queue, actor, attempt, delivery, outcome, error, worker; delayed_ns, enqueued_ns,
            enqueue_done_ns, fetched_ns, started_ns, finished_ns, acked_ns, requeued_ns (Int64,
            nanoseconds since 1970 by the clock of the host, missing where it did not happen or was
            not recorded); queue_wait_ns, prefetch_wait_ns, service_ns (float64, NaN likewise).
        processes: one row a process: name, role, pid, since_ns (as above), ended (in order),
            events, and what is not among them: dropped (with the oldest files, to keep within the
            budget of disk), lost (there was no room for them), holes and damaged (a process was
            killed while it wrote them), reason.
    """

    jobs: pd.DataFrame
    processes: pd.DataFrame

    @property
    def complete(self) -> bool:
        """Whether all that was recorded is still there."""
        missing = self.processes[["dropped", "lost", "holes", "damaged"]]
        return not bool(missing.to_numpy().sum())


def recorded(folder: str | Path) -> Recorded:
    """Read the spools of a folder, of all processes that wrote or write into it.

    Raises:
        UsageError: there is no such folder, nothing was recorded there, or by another version.
    """
    import pandas as pd

    from perfkit.runner.collect import jobs_table

    path = Path(folder).expanduser()
    try:
        spools = read_spools(path)
    except OSError as error:
        what = f"{path} can't be read: {error.strerror or error}"
        raise UsageError(what, "name the folder that PERFKIT_SPOOL named") from None
    except ValueError as error:
        raise UsageError(f"{path}: {error}", "read it with the perfkit that recorded it") from None
    if not spools:
        mend = "name the folder that PERFKIT_SPOOL named, once a process has begun"
        raise UsageError(f"nothing was recorded in {path}", mend)
    parts = []
    for boot, offset_ns in _boots(spools):
        part = jobs_table(boot, 0).to_pandas(integer_object_nulls=True).drop(columns="trial")
        for name in _STAMPS:
            part[f"{name}_ns"] = part[f"{name}_ns"].astype("Int64") + offset_ns
        parts.append(part)
    jobs = pd.concat(parts, ignore_index=True)
    # Enqueued before the host was started anew, and taken after it: one job, and its old stamp is
    # of another clock.
    taken = jobs.loc[jobs["outcome"] != "enqueued", "redis_message_id"]
    jobs = jobs[(jobs["outcome"] != "enqueued") | ~jobs["redis_message_id"].isin(taken)]
    jobs = jobs.reset_index(drop=True)
    jobs.loc[(jobs["enqueued_ns"] > jobs["fetched_ns"]).fillna(False), "enqueued_ns"] = pd.NA
    for name, begin, end in (
        ("queue_wait", "enqueued", "started"),
        ("prefetch_wait", "fetched", "started"),
        ("service", "started", "finished"),
    ):
        jobs[f"{name}_ns"] = (
            (jobs[f"{end}_ns"] - jobs[f"{begin}_ns"])
            .astype("Float64")
            .to_numpy(dtype="float64", na_value=float("nan"))
        )
    return Recorded(jobs, pd.DataFrame([_process(each) for each in spools]))


def _process(spool: SpoolContents) -> dict[str, object]:
    return {
        "name": spool.name,
        "role": spool.role,
        "pid": spool.pid,
        "since_ns": spool.anchor.wall_ns,
        "ended": spool.closed,
        "events": len(spool.events),
        "dropped": spool.dropped,
        "lost": spool.lost,
        "holes": spool.holes,
        "damaged": spool.corrupt,
        "reason": spool.reason,
    }


def _boots(spools: Sequence[SpoolContents]) -> Iterator[tuple[list[SpoolContents], int]]:
    """Those that share a monotonic clock, and what makes wall time of it."""
    known = sorted(spools, key=_offset_ns)
    group = [known[0]]
    for spool in known[1:]:
        if _offset_ns(spool) - _offset_ns(group[-1]) > _SAME_BOOT_NS:
            yield group, _offset_ns(group[0])
            group = []
        group.append(spool)
    yield group, _offset_ns(group[0])


def _offset_ns(spool: SpoolContents) -> int:
    return spool.anchor.wall_ns - spool.anchor.mono_ns
