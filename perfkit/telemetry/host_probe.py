"""The "host" probe: what the whole machine does while we measure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from perfkit.clock import Clock
from perfkit.telemetry.procfs import (
    HeldFile,
    parse_cpu_times,
    parse_kib,
    parse_pressure_some_ns,
)
from perfkit.telemetry.reading import Reading

__all__ = ["HostProbe"]

_PRESSURES: Final = ("cpu", "memory", "io")


class HostProbe:
    """CPU times of all CPUs together, memory left, and pressure where the kernel tells it.

    CPU metrics are cumulative since boot: busy (neither idle, iowait nor steal), steal (wanted, but
    given to another guest) and iowait.
    """

    def __init__(self, *, root: Path = Path("/proc")) -> None:
        self._root = root
        self._files: dict[str, HeldFile | None] = {}
        self._errors: Counter[str] = Counter()

    @property
    def name(self) -> str:
        return "host"

    @property
    def errors(self) -> Mapping[str, int]:
        return self._errors

    def take(self, clock: Clock) -> list[Reading]:
        readings: list[Reading] = []
        if (data := self._read("stat")) is not None:
            now_ns = clock.now_ns()
            if (times := parse_cpu_times(data)) is None:
                self._errors["UnreadableStat"] += 1
            else:
                readings += [
                    Reading("host.cpu_busy_ns", "", float(times.busy_ns), now_ns),
                    Reading("host.cpu_steal_ns", "", float(times.steal_ns), now_ns),
                    Reading("host.cpu_iowait_ns", "", float(times.iowait_ns), now_ns),
                ]
        for kind in _PRESSURES:
            data = self._read(f"pressure/{kind}")
            if data is not None and (some_ns := parse_pressure_some_ns(data)) is not None:
                metric = f"host.pressure_{kind}_some_ns"
                readings.append(Reading(metric, "", float(some_ns), clock.now_ns()))
        data = self._read("meminfo")
        if data is not None and (left := parse_kib(data, b"MemAvailable")) is not None:
            metric = "host.memory_available_bytes"
            readings.append(Reading(metric, "", float(left), clock.now_ns()))
        return readings

    def close(self) -> None:
        for file in self._files.values():
            if file is not None:
                file.close()
        self._files.clear()

    def _read(self, relative: str) -> bytes | None:
        """Content now, or None; a file that is missing (no PSI, say) is asked for only once."""
        if relative not in self._files:
            try:
                self._files[relative] = HeldFile(self._root / relative)
            except OSError:
                if not relative.startswith("pressure/"):  # a kernel without PSI is no fault
                    self._errors[f"Missing({relative})"] += 1
                self._files[relative] = None
        file = self._files[relative]
        try:
            return file.read() if file is not None else None
        except OSError:  # PSI that is compiled in but switched off answers so
            if not relative.startswith("pressure/"):
                self._errors[f"Unreadable({relative})"] += 1
            if file is not None:
                file.close()
            self._files[relative] = None
            return None
