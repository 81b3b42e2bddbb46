"""The feed of a system that runs: looks once a second, in a thread of its own, and never writes."""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Final, Self

from perfkit.clock import Clock, SystemClock
from perfkit.errors import PerfkitError
from perfkit.monitor.assembly import Assembler, Seen
from perfkit.monitor.attachment import Attached, Attachment, Finder
from perfkit.monitor.feed import ManualFeed
from perfkit.monitor.load_source import LoadSource
from perfkit.monitor.recorder_source import RecorderLook, RecorderSource
from perfkit.monitor.redis_source import RedisSource
from perfkit.monitor.snapshot import Snapshot
from perfkit.monitor.thresholds import ThresholdWatch
from perfkit.telemetry.process_probe import ProcessProbe, ProcessTable
from perfkit.telemetry.snapshot import SnapshotFold

__all__ = ["LiveFeed"]

_PERIOD_NS: Final = 1_000_000_000
_LONGEST_WAIT_S: Final = 0.25
_STOP_TIMEOUT_S: Final = 10.0
_log = logging.getLogger(__name__)


class LiveFeed(ManualFeed):
    """Snapshots of what a finder finds; a context manager that starts and ends its thread.

    Instants are start + k x 1 s; those that a slow look missed are left out. Whatever a source
    does, the next tick comes: a look that raises is logged, told as what it is, and tried again.
    """

    def __init__(self, finder: Finder, *, clock: Clock | None = None) -> None:
        super().__init__()
        self._finder = finder
        self._clock = clock or SystemClock()
        self._sources: _Sources | None = None
        self._assembler = Assembler()
        self._processes = _Processes()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._ended = False
        self._pushed_ns: int | None = None
        self._failure = ""

    @property
    def silent_s(self) -> float | None:
        """Since the last snapshot, or since it was entered; None before that and at the end."""
        if self._pushed_ns is None or self._ended:
            return None
        return (self._clock.now_ns() - self._pushed_ns) / 1e9

    @property
    def ended(self) -> bool:
        """Whether what was watched is over, and nothing more comes."""
        return self._ended

    def __enter__(self) -> Self:
        self._pushed_ns = self._clock.now_ns()
        self._thread = threading.Thread(target=self._run, name="perfkit-monitor", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop looking and let go of all connections; may be called twice."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(_STOP_TIMEOUT_S)
        self._leave()
        self._processes.close()

    def job(self, job_id: str) -> Mapping[str, Any] | None:
        """The timeline of one of the last few thousand jobs, where they are recorded."""
        sources = self._sources
        if sources is None or sources.recorder is None:
            return None
        return sources.recorder.job(job_id)

    def look(self) -> Snapshot:
        """One tick: look, publish, return what was seen."""
        try:
            found = self._finder()
        except PerfkitError as error:  # a server whose password nobody knows here
            found = Attached(attachment=None, trouble=str(error))
        self._attach(found.attachment)
        seen = self._seen(found)
        snapshot = self._assembler.snapshot(seen, self._clock)
        if (sources := self._sources) is not None and sources.watch is not None:
            states = sources.watch.states(snapshot, sources.durations(snapshot.at_s))
            snapshot = dataclasses.replace(snapshot, thresholds=states)
        self._ended = found.ended
        self._publish(snapshot)
        return snapshot

    def _publish(self, snapshot: Snapshot) -> None:
        self._pushed_ns = self._clock.now_ns()
        self.push(snapshot)

    def _tell_failure(self, error: Exception) -> None:
        """The monitor's own mistake: logged when it begins, and shown instead of old figures."""
        words = f"the monitor can't look: {type(error).__name__}, see its log"
        if words != self._failure:
            _log.exception("a look failed")
        self._failure = words
        subject = self.snapshot.subject if self.snapshot else ""
        seen = Seen(subject=subject, servers={}, trouble=words)
        self._publish(self._assembler.snapshot(seen, self._clock))

    def _run(self) -> None:
        due_ns = self._clock.now_ns()
        while not self._stopping.is_set():
            rest_ns = due_ns - self._clock.now_ns()
            if rest_ns > 0:
                self._stopping.wait(min(_LONGEST_WAIT_S, rest_ns / 1e9))
                continue
            try:
                self.look()
                self._failure = ""
            except Exception as error:  # noqa: BLE001 - logged whole
                # A monitor that dies of what it looks at is of no use.
                self._tell_failure(error)
            if self._ended:
                return
            missed = max(0, self._clock.now_ns() - due_ns) // _PERIOD_NS
            due_ns += (1 + missed) * _PERIOD_NS

    def _attach(self, attachment: Attachment | None) -> None:
        current = self._sources
        if attachment is None:
            self._leave()
        elif current is None or current.attachment != attachment:
            self._leave()
            self._sources = _Sources(attachment)

    def _leave(self) -> None:
        sources, self._sources = self._sources, None
        if sources is not None:
            sources.close()

    def _seen(self, found: Attached) -> Seen:
        sources = self._sources
        if sources is None:
            return Seen(
                subject=self.snapshot.subject if self.snapshot else "",
                servers={},
                waiting=found.waiting,
                trouble=found.trouble,
                ended=found.ended,
            )
        # The recorder first: it knows who is dead.
        recorder = sources.recorder.look(self._clock) if sources.recorder is not None else None
        known = () if recorder is None else recorder.processes
        dead = {each.broker_id for each in known if each.dead and each.broker_id}
        servers = {each.name: each.look(self._clock, dead) for each in sources.servers}
        pids = _pids(recorder, found.children)
        cpu, rss = self._processes.look(pids, self._clock) if pids else (None, {})
        return Seen(
            subject=sources.attachment.subject,
            servers=servers,
            recorder=recorder,
            load=None if sources.load is None else sources.load.look(self._clock),
            has_load=sources.load is not None,
            cpu_cores=cpu,
            rss_bytes=rss,
            searched=sources.attachment.queues is None,
            ended=found.ended,
        )


class _Sources:
    """All that looks at one attachment."""

    def __init__(self, attachment: Attachment) -> None:
        self.attachment = attachment
        self.servers = [
            RedisSource(
                url,
                (queue,) if queue else attachment.queues,
                namespace=attachment.namespace,
                heartbeat_timeout_ns=attachment.heartbeat_timeout_ns,
                subject=queue,
            )
            for queue, url in attachment.servers.items()
        ]
        spool, trial = attachment.spool, attachment.trial
        self.recorder = RecorderSource(spool) if spool is not None else None
        self.load = LoadSource(trial) if trial is not None else None
        self.watch = ThresholdWatch(attachment.thresholds) if attachment.thresholds else None

    def durations(self, now_s: float) -> Any:
        """What the recorder knows of durations; None without one."""
        recorder = self.recorder
        if recorder is None:
            return None
        return lambda queue, what, share: recorder.quantile(queue, what, share, now_s)

    def close(self) -> None:
        """Close all connections."""
        for each in self.servers:
            each.close()


class _Processes:
    """CPU and memory of processes of this host."""

    def __init__(self) -> None:
        self._table = ProcessTable()
        self._probe = ProcessProbe(self._table, threads_every=1_000_000)
        self._fold = SnapshotFold()

    def look(
        self, pids: Mapping[str, int], clock: Clock
    ) -> tuple[Mapping[str, float], Mapping[str, float]]:
        """Cores and private bytes by name; those that are gone are absent."""
        self._table.keep(pids.keys())
        for name, pid in pids.items():
            self._table.put(name, pid)
        folded = self._fold.fold(clock.now_ns(), self._probe.take(clock))
        return folded.cpu_cores, folded.by_subject("process.rss_anon_bytes")

    def close(self) -> None:
        self._probe.close()


def _pids(recorder: RecorderLook | None, children: Mapping[str, int]) -> dict[str, int]:
    known = () if recorder is None else recorder.processes
    pids = {each.key: each.seen_pid for each in known if each.seen_pid is not None}
    taken = set(pids.values())
    return pids | {name: pid for name, pid in children.items() if pid not in taken}
