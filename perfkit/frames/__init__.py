"""A sealed run as tidy frames, with the derived columns that nobody stores.

Every function takes a `perfkit.store.StoredRun` first. DuckDB reads and aggregates the parquet
files on one thread; what comes out is pandas. Instants (``*_ns`` of a recorded event) are Int64 of
CLOCK_MONOTONIC, missing where the event did not happen; durations are float64 nanoseconds, NaN
where there is none and +infinity where the job did not finish. ``at_s`` is seconds from the start
of load. The *cohort* is what was intended inside the window.
"""

from perfkit.frames.costs import HostUse, host_use, resource_timeline, resources, slot_use
from perfkit.frames.distribution import curve, percentiles
from perfkit.frames.naming import Arm, arms, titles
from perfkit.frames.rows import calls, deliveries, jobs, leftovers, requests, samples
from perfkit.frames.session import Session, session
from perfkit.frames.staging import STAGES, stages
from perfkit.frames.summary import trials
from perfkit.frames.timelines import backlog, timeline, waiting

__all__ = [
    "STAGES",
    "Arm",
    "HostUse",
    "Session",
    "arms",
    "backlog",
    "calls",
    "curve",
    "deliveries",
    "host_use",
    "jobs",
    "leftovers",
    "percentiles",
    "requests",
    "resource_timeline",
    "resources",
    "samples",
    "session",
    "slot_use",
    "stages",
    "timeline",
    "titles",
    "trials",
    "waiting",
]
