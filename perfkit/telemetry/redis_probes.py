"""All that reads Redis, for every server of a stack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perfkit.telemetry.queue_probe import QueueProbe
from perfkit.telemetry.reading import Probe
from perfkit.telemetry.redis_probe import RedisProbe
from perfkit.telemetry.slowlog_probe import SlowLogProbe

__all__ = ["redis_probes"]


def redis_probes(
    servers: Mapping[str, str], queues: Sequence[str], *, namespace: str = "dramatiq"
) -> list[Probe]:
    """Probes of each server, on connections of their own.

    Args:
        servers: queue -> URL, as `Stack.redis_servers`; ``""`` is one that serves all queues, and
            its readings have no subject.
        queues: all queues of the load.
        namespace: the broker's key prefix.
    """
    probes: list[Probe] = []
    for queue, url in servers.items():
        probes += [
            RedisProbe(url, queue),
            QueueProbe(url, (queue,) if queue else queues, namespace=namespace),
            SlowLogProbe(url, queue),
        ]
    return probes
