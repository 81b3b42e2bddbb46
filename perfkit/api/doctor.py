"""Can this machine measure? What `perfkit doctor` examines."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from perfkit.api.calibrating import calibrate
from perfkit.clock import SystemClock
from perfkit.errors import PerfkitError, ResultsNotWritable
from perfkit.launcher.foreign import ForeignRedis
from perfkit.launcher.profile import most_clients
from perfkit.launcher.server import find_server
from perfkit.paths import results_root
from perfkit.runner.ceiling import sender_versions
from perfkit.store.ceiling import Ceiling, keep_ceiling
from perfkit.telemetry import checks
from perfkit.telemetry.checks import Check
from perfkit.telemetry.facts import HostFacts
from perfkit.units import format_rate

__all__ = ["examine"]

_USERS = 1000
_CONNECTIONS = 64
_CALIBRATION = "2s"


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
        _generator(results_root(results), host.fingerprint),
        checks.check_steal(clock),
        checks.check_pressure(),
        checks.check_overcommit(),
        checks.check_hugepages(),
    ]


def _generator(root: Path, fingerprint: str) -> Check:
    """Measure the load generator back to back, and keep what a core of it can do."""
    name = "generator"
    try:
        found = calibrate(connections=_CONNECTIONS, duration=_CALIBRATION)
    except PerfkitError as error:
        return Check(name, False, error.what, error.mend)
    per_core = found.requests_per_s_per_core
    if per_core is None or found.errors:
        kinds = ", ".join(f"{count} {kind}" for kind, count in found.error_kinds.items())
        return Check(name, False, f"a bare local server was not answered: {kinds}", "report it")
    now_ns = SystemClock().wall_ns()
    date = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).isoformat()
    ceiling = Ceiling(
        requests_per_s_per_core=round(per_core, 1),
        connections=_CONNECTIONS,
        at_ns=now_ns,
        date=date,
        versions=sender_versions(),
    )
    detail = f"sends at most {format_rate(per_core)} on a core of its own"
    try:
        keep_ceiling(root, fingerprint, ceiling)
    except ResultsNotWritable as error:
        return Check(name, None, f"{detail}; this could not be kept: {error.what}", error.mend)
    return Check(name, True, detail)


def _redis(url: str | None, server: str | None) -> Check:
    if url is None:
        return checks.check_redis_server(lambda: find_server(Path(server) if server else None))
    try:
        ForeignRedis(url).check("dramatiq")
    except PerfkitError as error:
        return Check("redis", False, error.what, error.mend)
    return Check("redis", True, "answers, and holds no jobs", "")
