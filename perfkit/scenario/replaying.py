"""Contradictions of arrivals: of a trace and what goes with it, and of exact counts."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError

from perfkit.errors import Problem, UsageError
from perfkit.scenario.raw import table, window_start_ns
from perfkit.scenario.traces import TraceFile, read_trace
from perfkit.units import format_duration

__all__ = ["last_of_trace_ns", "replaying"]

_BESIDE: Final = {
    "rate": "the trace says when",
    "phase": "the trace has its own course",
    "ramp": "the warm-up is the first part of the trace",
    "exact": "a trace has the numbers it has",
}
_TRACE: TypeAdapter[TraceFile] = TypeAdapter(TraceFile)


def replaying(document: Mapping[str, Any]) -> Iterator[Problem]:
    """Problems of ``arrivals``, ``exact``, ``trace`` and ``speed`` in an open model."""
    load = table(document, "load")
    if load.get("model") != "open":
        return
    arrivals = load.get("arrivals", "poisson")
    if arrivals != "trace":
        for key in ("trace", "speed"):
            if key in load:
                yield Problem(f"load.{key}", 'belongs to arrivals = "trace"', "set load.arrivals")
        if arrivals == "constant" and load.get("exact") is True:
            mend = "leave it out: constant arrivals are exact"
            yield Problem("load.exact", 'has no meaning with arrivals = "constant"', mend)
        return
    for key, why in _BESIDE.items():
        if key in load:
            what = 'has no meaning with arrivals = "trace"'
            yield Problem(f"load.{key}", what, f"leave it out: {why}")
    if "trace" not in load:
        mend = 'set load.trace = { file = "times.csv", column = "at" }'
        yield Problem("load.trace", 'missing: arrivals = "trace" needs it', mend)
        return
    if (trace := _trace(load)) is not None:
        try:
            read_trace(trace)
        except UsageError as error:
            yield Problem("load.trace", error.what, error.mend)
            return
    last_ns, start_ns = last_of_trace_ns(load), window_start_ns(document)
    if last_ns is not None and start_ns is not None and last_ns < start_ns:
        what = f"the trace ends after {format_duration(last_ns)}, before the window begins"
        yield Problem("window.warmup", what, 'set a shorter one, such as warmup = "0s"')


def last_of_trace_ns(load: Mapping[str, Any]) -> int | None:
    """When the last request of a raw load's trace comes due; None where that can't be told."""
    speed = load.get("speed", 1.0)
    if (trace := _trace(load)) is None or not isinstance(speed, int | float) or speed <= 0:
        return None
    try:
        return round(int(read_trace(trace).times_ns[-1]) / speed)
    except UsageError:
        return None


def _trace(load: Mapping[str, Any]) -> TraceFile | None:
    """The file asked for; None where it is not asked as it should be, which the types report."""
    try:
        return _TRACE.validate_python(load.get("trace"))
    except ValidationError:
        return None
