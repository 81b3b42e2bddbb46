"""What measures one trial: the load generator, the sampler, and looks into Redis and the ledger."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import httpx
import redis

from perfkit.clock import Clock
from perfkit.launcher.placement import Placement
from perfkit.launcher.stack import Stack
from perfkit.load.demand import offsets_of
from perfkit.pairs import ARM
from perfkit.plan import Trial
from perfkit.redaction import redact
from perfkit.runner.application import Application
from perfkit.runner.brokers import Brokers
from perfkit.runner.collect import read_json
from perfkit.runner.elsewhere import Elsewhere, System
from perfkit.runner.enqueuing import EnqueueProcess
from perfkit.runner.figures import LiveFigures
from perfkit.runner.leftovers import Holdings
from perfkit.runner.scheduling import schedule_table
from perfkit.runner.shards import LoadSource, generator_of
from perfkit.runner.specs import load_spec, servers_of
from perfkit.runner.target import Target
from perfkit.scenario import settings_of
from perfkit.store import TrialWriter
from perfkit.telemetry import (
    CoreSpeed,
    HostProbe,
    ProcessProbe,
    ProcessTable,
    Sampler,
    SamplerSummary,
    SampleSink,
    redis_probes,
)
from perfkit.telemetry.facts import HostFacts

__all__ = ["Instruments"]

_SAMPLE_EVERY_NS: Final = 200_000_000


class Instruments:
    """Those of one trial, on a stack that is up: `start`, `stop`, look at what is left, `close`."""

    def __init__(
        self,
        trial: Trial,
        stack: System,
        folder: Path,
        facts: Mapping[str, Any],
        placement: Placement,
        clock: Clock,
        application: Application | None,
        shards: int = 1,
    ) -> None:
        self._stack = stack
        self._clock = clock
        self._folder = folder
        queues, namespace = trial.scenario.queues, "dramatiq"
        if application is not None:
            namespace = application.namespace
            # Jobs may enqueue others: of an application not ours, all its queues are watched.
            queues = queues if trial.scenario.system is None else application.queues
        servers = servers_of(stack, queues) if isinstance(stack, Stack) else {}
        with contextlib.ExitStack() as opened:
            self._holdings = opened.enter_context(contextlib.closing(Holdings(servers, namespace)))
            self._http = opened.enter_context(
                # Our own stack is never behind a proxy, whatever the shell says.
                httpx.Client(base_url=stack.ingest_url or "", timeout=10, trust_env=False)
            )
            self._ledger_before = self._ledger()
            # What two trials cost is compared; a trial alone is left without this guest on its
            # cores. Of a system elsewhere the cores are not here.
            is_paired = ARM in dict(trial.axes) and isinstance(stack, Stack)
            speed: list[CoreSpeed] = []
            self.own_processes = {"perfkit": os.getpid()}
            if is_paired:
                speed.append(CoreSpeed(placement.system_cpus))
                opened.enter_context(contextlib.closing(speed[0]))
                self.own_processes["core-speed"] = speed[0].pid
            self._processes = ProcessTable()
            self._workers = Brokers(folder.absolute() / "spool")
            self.sampler = Sampler(
                [
                    # What may wait on a network comes last.
                    ProcessProbe(self._processes),
                    HostProbe(),
                    *speed,
                    *redis_probes(
                        stack.redis_servers,
                        queues,
                        namespace=namespace,
                        heartbeat_timeout_ns=settings_of(trial.scenario).heartbeat_timeout_ns,
                        workers=lambda: self._workers.known,
                    ),
                ],
                clock=clock,
                sink=SampleSink(folder / "samples.arrow", trial.index),
                period_ns=_SAMPLE_EVERY_NS,
            )
            spec = load_spec(trial, stack, facts, folder, placement)
            TrialWriter(folder.parent, trial.index).write_table("schedule", schedule_table(spec))
            is_target = trial.scenario.load.abort_below is not None
            self._target = Target(offsets_of(spec)) if is_target else None
            self.generator: LoadSource = (
                EnqueueProcess(spec, trial.scenario.job, stack, folder)
                if trial.scenario.load.via == "enqueue" and isinstance(stack, Stack)
                else generator_of(spec, folder, shards)
            )
            self._opened = opened.pop_all()
        host = HostFacts.read()
        self._live = LiveFigures(host.memory_total_bytes, host.cpus)

    def start(self) -> None:
        """Sample from now on, and return when the generator waits for its "go".

        Raises:
            ChildDied, NotReady: it does not get so far.
        """
        self.watch_processes()
        self.sampler.start()
        self.generator.wait_loaded()

    def go(self, start_ns: int) -> None:
        """Load starts at this instant."""
        if self._target is not None:
            self._target.start_ns = start_ns
        self.generator.go(start_ns)

    @property
    def tick(self) -> int:
        """Number of the sampler's last tick; 0 before the first."""
        return 0 if (snapshot := self.sampler.snapshot) is None else snapshot.tick

    def figures(self) -> dict[str, float]:
        """What is known now, as of `LiveFigures`."""
        roles: dict[str, str] = dict.fromkeys(self.generator.processes, "generator")
        roles |= {name: process.role for name, process in self._stack.processes.items()}
        counts = self.generator.figures
        figures = self._live.of(counts, self.sampler.snapshot, roles)
        if isinstance(self._stack, Elsewhere) and "done" in counts:
            figures["done"] = float(counts["done"])
        if self._target is not None and counts:
            figures["due"] = float(self._target.due(counts["elapsed_s"], self._clock.now_ns()))
        return figures

    def watch_processes(self, faults: Iterable[Mapping[str, Any]] = ()) -> None:
        """Sample every process of the stack there is by now, and our own.

        ``faults``: what became of them so far.
        """
        self._workers.learn(self._stack.worker_lives(), faults)
        for name, process in self._stack.processes.items():
            self._processes.put(name, process.pid)
        for name, pid in self.generator.processes.items():
            self._processes.put(name, pid)
        for name, pid in self.own_processes.items():
            self._processes.put(name, pid)
        self._processes.put("keeper", self._stack.keeper_pid)

    def left(self) -> int:
        """Jobs that are not finished; -1 where that is not known."""
        try:
            return self._holdings.remaining()
        except redis.RedisError:
            return -1  # the stack's own check tells when Redis has died

    def stop(self) -> SamplerSummary:
        """End load and sampling; tells how the sampling went."""
        try:
            self.generator.close()
        finally:
            summary = self.sampler.stop()
        return summary

    def abandon(self) -> None:
        """The same after a failure, without patience."""
        self.generator.close(2.0)
        self.sampler.stop()

    def leftovers(self, alive: Mapping[str, bool]) -> tuple[list[dict[str, Any]], str | None]:
        """What Redis holds when the workers have stopped, and why it could not be read.

        Args:
            alive: worker -> whether it lived until it was told to stop.
        """
        owners = {broker: (name, alive.get(name, False)) for broker, name in self._brokers()}
        try:
            return self._holdings.leftovers(owners), None
        except redis.RedisError as error:
            return [], f"Redis could not be read when the trial ended: {redact(str(error))}"

    def ledger_entries(self) -> int | None:
        """Payments that were charged in this trial; None where the system keeps no books."""
        entries = self._ledger()
        if entries is None or self._ledger_before is None:
            return None
        return entries - self._ledger_before

    def close(self) -> None:
        """Leave servers and ingest."""
        self._opened.close()

    def _brokers(self) -> list[tuple[str, str]]:
        """Broker id and worker name, by what each worker wrote when it was ready."""
        notes = (read_json(path) for path in (self._folder / "spool").glob("*.ready"))
        return [(note["broker_id"], note["name"]) for note in notes if "broker_id" in note]

    def _ledger(self) -> int | None:
        """Payments charged so far, by the system's own books; None without an ingest to ask."""
        stack = self._stack
        if stack.ingest_url is None or not (isinstance(stack, Stack) and stack.spec.is_sample):
            return None
        try:
            answer = self._http.get("/ledger")
        except httpx.HTTPError:
            return None
        return int(answer.json()["entries"]) if answer.status_code == 200 else None
