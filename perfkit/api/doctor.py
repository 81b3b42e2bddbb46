"""Can this machine measure? What `perfkit doctor` examines."""

from __future__ import annotations

import os
from pathlib import Path

from perfkit.clock import SystemClock
from perfkit.errors import PerfkitError
from perfkit.launcher.foreign import ForeignRedis
from perfkit.launcher.profile import most_clients
from perfkit.launcher.server import find_server
from perfkit.paths import results_root
from perfkit.telemetry import checks
from perfkit.telemetry.checks import Check
from perfkit.telemetry.facts import HostFacts

__all__ = ["examine"]

_USERS = 1000


def examine(
    *,
    redis: str | None = None,
    redis_server: str | None = None,
    results: str | os.PathLike[str] | None = None,
) -> list[Check]:
    """Every check, in the order in which a person would mend them."""
    clock, host = SystemClock(), HostFacts.read()
    return [
        checks.check_system(),
        checks.check_python(),
        checks.check_packages(),
        _redis(redis, redis_server),
        checks.check_results(results_root(results)),
        checks.check_open_files(_USERS),
        checks.check_redis_clients(*most_clients()),
        checks.check_cores(),
        checks.check_memory(),
        checks.check_clock(host.clock_resolution_ns, host.clocksource),
        checks.check_timer(clock),
        checks.check_steal(clock),
        checks.check_pressure(),
        checks.check_overcommit(),
        checks.check_hugepages(),
    ]


def _redis(url: str | None, server: str | None) -> Check:
    if url is None:
        return checks.check_redis_server(lambda: find_server(Path(server) if server else None))
    try:
        ForeignRedis(url).check("dramatiq")
    except PerfkitError as error:
        return Check("redis", False, error.what, error.mend)
    return Check("redis", True, "answers, and holds no jobs", "")
