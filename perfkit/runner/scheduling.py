"""The plan of a load, kept with its trial before anything is sent.

``schedule.parquet`` has every instant that was planned, also those that a trial which was cut short
never reached; ``requests`` has what came due. Both count alike, so a kept schedule is a trace that
can be replayed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from perfkit.load.arrivals import Burst, Segment, Wave, user_spells
from perfkit.load.demand import offsets_of
from perfkit.load.spec import LoadSpec
from perfkit.records import SCHEDULE
from perfkit.scenario import Scenario, Shaped, Stretch, replayed
from perfkit.store.durable import writable

__all__ = ["TIMES", "schedule_table", "segment_of", "write_times"]

TIMES: Final = "trace.times"
"""In a trial's folder while it runs: the instants of a trace, as int64 words."""


def segment_of(stretch: Stretch) -> Segment:
    """A piece of a scenario's course as the load's own."""
    wave = burst = None
    if isinstance(stretch, Shaped) and stretch.shape == "sine":
        wave = Wave(stretch.low, stretch.high, stretch.period_ns)
    if isinstance(stretch, Shaped) and stretch.shape == "burst":
        burst = Burst(stretch.size, stretch.every_ns)
    return Segment(
        stretch.end_ns - stretch.begin_ns, stretch.level_start, stretch.level_end, wave, burst
    )


def write_times(scenario: Scenario, folder: Path) -> str:
    """The instants of a scenario's trace as a file for the generator; "" where it has none.

    Raises:
        UsageError: the trace can't be read any more, or is another one by now.
        ResultsNotWritable: the disk is full, for one.
    """
    load = scenario.load
    if load.trace is None:
        return ""
    path = folder / TIMES
    times = replayed(load.trace, load.speed)
    with writable(folder):
        path.write_bytes(times[times < scenario.load_ns].tobytes())
    return str(path)


def schedule_table(spec: LoadSpec) -> pa.Table:
    """What a load plans, of all its shards.

    Returns:
        Of an open model one row a request, in order. Of a closed one a row for each time in which
        a user is there, sorted; what it sends then follows from the replies and the think times,
        or is due every ``pacing``.
    """
    users: pa.Array = None
    if spec.model == "open":
        offsets = offsets_of(spec)
        until: pa.Array = pa.nulls(len(offsets), pa.int64())
        users = pa.nulls(len(offsets), pa.int32())
    else:
        rows = sorted(
            (spell.on_ns, user, min(spell.off_ns, spec.load_ns))
            for user, own in enumerate(user_spells(spec.segments))
            for spell in own
            if spell.on_ns < spec.load_ns
        )
        whole = np.array(rows, np.int64).reshape(-1, 3)
        offsets = whole[:, 0]
        users = _array(whole[:, 1].astype(np.int32), pa.int32())
        until = _array(whole[:, 2], pa.int64())
    return pa.Table.from_arrays(
        [
            _array(np.full(len(offsets), spec.trial, np.int32), pa.int32()),
            _array(offsets, pa.int64()),
            users,
            until,
        ],
        schema=SCHEDULE,
    )


def _array(
    values: np.ndarray[tuple[int, ...], np.dtype[np.signedinteger]], kind: pa.DataType
) -> pa.Array:
    # By its buffer: the conversion of arrays imports pandas, if there is one.
    return pa.Array.from_buffers(
        kind, len(values), [None, pa.py_buffer(np.ascontiguousarray(values))]
    )
