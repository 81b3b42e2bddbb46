"""Takes all probes at fixed instants, and tells how well it kept them."""

from __future__ import annotations

import logging
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Protocol, Self

from perfkit.clock import Clock
from perfkit.telemetry.reading import Probe, Reading
from perfkit.telemetry.snapshot import Snapshot, SnapshotFold

__all__ = ["LATE_NS", "Sampler", "SamplerSummary", "Sink"]

LATE_NS: Final = 10_000_000
"""A tick that begins later than this is counted as late."""

_LONGEST_SLEEP_NS: Final = 250_000_000  # so that stop is noticed, however long the period
_STOP_TIMEOUT_S: Final = 10.0
_log = logging.getLogger(__name__)


class Sink(Protocol):
    """Where readings go."""

    @property
    def errors(self) -> Mapping[str, int]: ...

    def append(self, readings: Iterable[Reading]) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class SamplerSummary:
    """How the sampling went.

    ``ticks`` taken, of which ``late`` by more than LATE_NS; ``skipped`` instants that had passed
    altogether; ``max_lag_ns`` the worst lateness; ``cpu_ns`` what the ticks cost this process;
    ``errors`` by "probe.Kind".
    """

    ticks: int
    skipped: int
    late: int
    max_lag_ns: int
    cpu_ns: int
    errors: dict[str, int]


class Sampler:
    """Takes every probe at start + k x period, k = 0, 1, 2, ...

    ::

        due      0    1    2    3    4    5
        taken    |    |=========|   |    |       a tick of 2.2 periods
                 0    1         3   4    5       instant 2 is skipped and counted, 3 is late

    Instants are computed from the index, so lateness never adds up, and ticks missed are never
    made up for in a bunch (`test_missed_instants_are_skipped_and_counted`). Within a tick the
    probes run in the order given; put those that can wait on a network last. A probe that raises
    is counted by its name and the rest goes on.
    """

    def __init__(
        self,
        probes: Sequence[Probe],
        *,
        clock: Clock,
        sink: Sink,
        period_ns: int = 200_000_000,
    ) -> None:
        if period_ns <= 0:
            raise ValueError(f"a period of {period_ns} ns is not above zero")
        self._probes = tuple(probes)
        self._clock = clock
        self._sink = sink
        self._period_ns = period_ns
        self._start_ns: int | None = None
        self._index = 0  # of the next instant
        self._ticks = self._skipped = self._late = self._max_lag_ns = self._cpu_ns = 0
        self._errors: Counter[str] = Counter()
        self._fold = SnapshotFold()
        self._snapshot: Snapshot | None = None
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._crash: BaseException | None = None

    @property
    def snapshot(self) -> Snapshot | None:
        """The last tick, or None before the first; any thread may ask."""
        return self._snapshot

    def summary(self) -> SamplerSummary:
        """How it went so far."""
        errors = Counter(self._errors)
        for name, counts in [
            *((probe.name, probe.errors) for probe in self._probes),
            ("sink", self._sink.errors),
        ]:
            errors.update({f"{name}.{kind}": count for kind, count in dict(counts).items()})
        return SamplerSummary(
            ticks=self._ticks,
            skipped=self._skipped,
            late=self._late,
            max_lag_ns=self._max_lag_ns,
            cpu_ns=self._cpu_ns,
            errors=dict(sorted(errors.items())),
        )

    def run_until(self, instant_ns: int) -> None:
        """Take the ticks due up to and including an instant, in the calling thread."""
        while (due_ns := self._due_ns()) <= instant_ns:
            self._clock.sleep_until(due_ns)
            self._tick(due_ns)

    def start(self) -> None:
        """Sample in a daemon thread from now on; the first tick is taken at once."""
        if self._thread is not None or self._stopping.is_set():
            raise RuntimeError("a sampler is started once")
        self._due_ns()
        self._thread = threading.Thread(target=self._run, name="perfkit-sampler", daemon=True)
        self._thread.start()

    def stop(self) -> SamplerSummary:
        """Let the tick under way end, write everything, close the probes; may be called twice.

        Raises:
            ResultsNotWritable: the sink could not write the last readings.
        """
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_STOP_TIMEOUT_S)
            if self._thread.is_alive():  # a probe hangs; what was read before is still written
                self._errors["sampler.Stuck"] += 1
        try:
            for probe in self._probes:
                probe.close()
        finally:
            self._sink.close()
        if (crash := self._crash) is not None:
            self._crash = None
            raise crash
        return self.summary()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                due_ns = self._due_ns()
                wake_ns = min(due_ns, self._clock.now_ns() + _LONGEST_SLEEP_NS)
                self._clock.sleep_until(wake_ns)
                if wake_ns == due_ns and not self._stopping.is_set():
                    self._tick(due_ns)
        except BaseException as error:  # noqa: BLE001 - told by stop(), in the caller's thread
            self._crash = error

    def _due_ns(self) -> int:
        if self._start_ns is None:
            self._start_ns = self._clock.now_ns()
        return self._start_ns + self._index * self._period_ns

    def _tick(self, due_ns: int) -> None:
        began_ns = self._clock.now_ns()
        cpu_start_ns = time.thread_time_ns()
        lag_ns = began_ns - due_ns
        missed = lag_ns // self._period_ns
        self._index += 1 + missed
        self._skipped += missed
        self._ticks += 1
        self._late += lag_ns > LATE_NS
        self._max_lag_ns = max(self._max_lag_ns, lag_ns)
        readings = [Reading("sampler.lag_ns", "", float(lag_ns), began_ns)]
        for probe in self._probes:
            try:
                readings.extend(probe.take(self._clock))
            except Exception as error:  # noqa: BLE001 - counted by name; the others must go on
                kind = f"{probe.name}.{type(error).__name__}"
                if kind not in self._errors:
                    _log.warning("probe %s failed", probe.name, exc_info=True)
                self._errors[kind] += 1
        self._sink.append(readings)
        self._snapshot = self._fold.fold(began_ns, readings)
        self._cpu_ns += time.thread_time_ns() - cpu_start_ns
