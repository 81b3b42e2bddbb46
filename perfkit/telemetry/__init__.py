"""Telemetry: what Redis, the queues, the processes and the host do while a trial runs.

Probes read, the sampler keeps the time, the sink keeps the readings; `facts` and `checks` tell of
the machine before anything runs.
"""

from perfkit.telemetry.core_speed import CoreSpeed
from perfkit.telemetry.host_probe import HostProbe
from perfkit.telemetry.process_probe import ProcessProbe, ProcessTable, Target
from perfkit.telemetry.queue_probe import QueueProbe
from perfkit.telemetry.reading import Probe, Reading
from perfkit.telemetry.redis_probe import RedisProbe
from perfkit.telemetry.redis_probes import redis_probes
from perfkit.telemetry.sampler import Sampler, SamplerSummary
from perfkit.telemetry.sink import SampleSink, read_samples
from perfkit.telemetry.slowlog_probe import SlowLogProbe
from perfkit.telemetry.snapshot import Snapshot
from perfkit.telemetry.stalled_probe import StalledProbe, Workers

__all__ = [
    "CoreSpeed",
    "HostProbe",
    "Probe",
    "ProcessProbe",
    "ProcessTable",
    "QueueProbe",
    "Reading",
    "RedisProbe",
    "SampleSink",
    "Sampler",
    "SamplerSummary",
    "SlowLogProbe",
    "Snapshot",
    "StalledProbe",
    "Target",
    "Workers",
    "read_samples",
    "redis_probes",
]
