"""All that reads Redis, for every server of a stack."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from perfkit.telemetry.queue_probe import QueueProbe
from perfkit.telemetry.reading import Probe
from perfkit.telemetry.redis_probe import RedisProbe
from perfkit.telemetry.slowlog_probe import SlowLogProbe
from perfkit.telemetry.stalled_probe import StalledProbe, Workers

__all__ = ["redis_probes"]


def redis_probes(
    servers: Mapping[str, str],
    queues: Sequence[str],
    *,
    namespace: str = "dramatiq",
    heartbeat_timeout_ns: int | None = None,
    workers: Callable[[], Workers] = Workers,
) -> list[Probe]:
    """Probes of each server, on connections of their own.

    Args:
        servers: queue -> URL, as `Stack.redis_servers`; ``""`` is one that serves all queues, and
            its readings have no subject.
        queues: all queues of the load.
        namespace: the broker's key prefix.
        heartbeat_timeout_ns: after which a silent worker is taken for dead.
        workers: what is known of the worker processes, asked at each tick.
    """
    probes: list[Probe] = []
    for queue, url in servers.items():
        here = (queue,) if queue else queues
        probes += [
            RedisProbe(url, queue),
            QueueProbe(url, here, namespace=namespace),
            StalledProbe(
                url,
                here,
                namespace=namespace,
                heartbeat_timeout_ns=heartbeat_timeout_ns,
                workers=workers,
            ),
            SlowLogProbe(url, queue),
        ]
    return probes
