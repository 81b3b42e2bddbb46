"""A sealed run as tidy frames, with the derived columns that nobody stores.

Every function takes a `perfkit.store.StoredRun` first. DuckDB reads and aggregates the parquet
files on one thread; what comes out is pandas. Instants (``*_ns`` of a recorded event) are Int64 of
CLOCK_MONOTONIC, missing where the event did not happen; durations are float64 nanoseconds, NaN
where there is none and +infinity where the job did not finish. ``at_s`` is seconds from the start
of load. The *cohort* is what was intended inside the window.
"""

from perfkit.frames.costs import (
    HostUse,
    core_loop_ns,
    host_use,
    resource_timeline,
    resources,
    slot_use,
)
from perfkit.frames.demanding import busy
from perfkit.frames.distribution import curve, percentiles
from perfkit.frames.gauges import Gauge, gauge
from perfkit.frames.holding import Held, held
from perfkit.frames.incidents import Incidents, Outage, Restart, Silence, incidents_of
from perfkit.frames.journeys import journeys
from perfkit.frames.naming import Arm, arms, repetitions, titles
from perfkit.frames.phasing import Phase, Spans, phases, phases_of, spans_of, within
from perfkit.frames.primaries import AT_EQUAL_SPEED, Kind, Primary, primaries, primaries_of
from perfkit.frames.redelivering import SLEEP_NS, Redelivery, redeliveries
from perfkit.frames.rows import calls, deliveries, jobs, leftovers, requests, samples
from perfkit.frames.servers import latency_events, slow_commands
from perfkit.frames.session import Session, session
from perfkit.frames.staging import STAGES, job_stages, stages
from perfkit.frames.stalling import Stall, stalled, stalled_most, stalls
from perfkit.frames.stamps import disordered, served, stays
from perfkit.frames.summary import trials
from perfkit.frames.timelines import backlog, timeline, waiting, waiting_at
from perfkit.frames.workforce import (
    Force,
    force,
    recovery_s,
    scale_events,
    worker_time,
    workers_over_time,
)

__all__ = [
    "AT_EQUAL_SPEED",
    "SLEEP_NS",
    "STAGES",
    "Arm",
    "Force",
    "Gauge",
    "Held",
    "HostUse",
    "Incidents",
    "Kind",
    "Outage",
    "Phase",
    "Primary",
    "Redelivery",
    "Restart",
    "Session",
    "Silence",
    "Spans",
    "Stall",
    "arms",
    "backlog",
    "busy",
    "calls",
    "core_loop_ns",
    "curve",
    "deliveries",
    "disordered",
    "force",
    "gauge",
    "held",
    "host_use",
    "incidents_of",
    "job_stages",
    "jobs",
    "journeys",
    "latency_events",
    "leftovers",
    "percentiles",
    "phases",
    "phases_of",
    "primaries",
    "primaries_of",
    "recovery_s",
    "redeliveries",
    "repetitions",
    "requests",
    "resource_timeline",
    "resources",
    "samples",
    "scale_events",
    "served",
    "session",
    "slot_use",
    "slow_commands",
    "spans_of",
    "stages",
    "stalled",
    "stalled_most",
    "stalls",
    "stays",
    "timeline",
    "titles",
    "trials",
    "waiting",
    "waiting_at",
    "within",
    "worker_time",
    "workers_over_time",
]
