"""The pause before a trial, until what the one before it left has died down."""

from __future__ import annotations

import os
from typing import Final

from perfkit.clock import Clock
from perfkit.runner.progress import Interrupt
from perfkit.telemetry.procfs import parse_cpu_times, read_bytes

__all__ = ["IDLE_SHARE", "settle"]

IDLE_SHARE: Final = 0.05
"""Share of all cores; a host that is busy with less counts as idle."""
_STEP_S: Final = 0.25


def settle(limit_s: float, clock: Clock, interrupt: Interrupt) -> float:
    """Wait until the host is idle, ``limit_s`` at most; returns the seconds it took.

    Where the host does not say how busy it is, the whole limit is waited.
    """
    began_ns = clock.now_ns()
    end_ns = began_ns + round(limit_s * 1e9)
    before = _busy_ns()
    while (rest_ns := end_ns - clock.now_ns()) > 0:
        step_s = min(_STEP_S, rest_ns / 1e9)
        from_ns = clock.now_ns()
        if interrupt.wait(step_s):
            break
        now, passed_ns = _busy_ns(), clock.now_ns() - from_ns
        cores_ns = passed_ns * (os.cpu_count() or 1)
        told = before is not None and now is not None and step_s == _STEP_S  # else cut too short
        if told and (now or 0) - (before or 0) < IDLE_SHARE * cores_ns:
            break
        before = now
    return (clock.now_ns() - began_ns) / 1e9


def _busy_ns() -> int | None:
    data = read_bytes("/proc/stat")
    times = None if data is None else parse_cpu_times(data)
    return None if times is None else times.busy_ns
