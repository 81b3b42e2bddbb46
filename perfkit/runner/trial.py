"""One trial, from an empty stack to sealed tables.

    state      does                                             leaves when
    start      stack up, sampler on, generator ready            all probes say yes
    warm-up    load runs, nothing counts yet                    ramp and warm-up are over
    measure    load runs, the cohort is intended here           the window is over
    drain      no new load; the last jobs finish                nothing is left, or the limit
    collect    workers stop; Redis is read; tables              written and renamed

An interrupt in any state but the last goes straight to collect: what was measured is kept, and the
trial is partial. A stack that fails raises; the conductor names the trial and goes on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import redis

from perfkit.clock import Clock
from perfkit.launcher.foreign import connect
from perfkit.launcher.placement import Placement
from perfkit.launcher.stack import Stack
from perfkit.plan import Trial
from perfkit.redaction import redact
from perfkit.runner.collect import read_json
from perfkit.runner.generator import GeneratorProcess
from perfkit.runner.leftovers import dead_letters, read_leftovers, remaining
from perfkit.runner.progress import Interrupt
from perfkit.runner.rebuild import store_trial
from perfkit.runner.specs import asked, load_spec, stack_spec, until
from perfkit.scenario import Scenario
from perfkit.store import RunWriter, TrialWriter
from perfkit.telemetry import (
    HostProbe,
    ProcessProbe,
    ProcessTable,
    QueueProbe,
    RedisProbe,
    Sampler,
    SampleSink,
)

__all__ = ["Say", "run_trial"]

Say = Callable[..., None]

_STEP_S: Final = 0.1
_DRAIN_STEP_S: Final = 0.05
_SAMPLE_EVERY_NS: Final = 200_000_000


def run_trial(
    trial: Trial,
    writer: RunWriter,
    *,
    redis_url: str | None,
    redis_server: Path | None,
    placement: Placement,
    say: Say,
    interrupt: Interrupt,
    clock: Clock,
) -> None:
    """Conduct one trial and store it.

    Raises:
        UsageError, StackError: the stack did not come up, or a part that everything needs died.
        ResultsNotWritable: the disk is full, for one.
    """
    say("start")
    trial_writer = writer.trial(trial.index)
    spec = stack_spec(
        trial.scenario,
        trial_writer.path,
        redis_url=redis_url,
        redis_server=redis_server,
        cpus=placement.system_cpus,
        leases=writer.path.parent.parent / ".leases",
        run_dir=writer.path,
    )
    # Written first, so that `repair` has it when we are killed.
    facts = asked(trial, clock)
    trial_writer.write_facts(facts | {"outcome": "partial", "reason": "killed while measuring"})
    with _pinned(placement.instrument_cpus), Stack(spec) as stack:
        facts["stack"] = stack.facts()
        if writer.manifest["redis"] is None:
            writer.amend(redis=facts["stack"]["redis"])
        conductor = _Conductor(trial, stack, trial_writer, facts, placement, say, interrupt, clock)
        conductor.measure()
        found, unread = conductor.close()
    say("collect")
    store_trial(trial_writer, facts, found, "interrupted" if interrupt.asked else unread)
    trial_writer.finish()


@contextlib.contextmanager
def _pinned(cpus: tuple[int, ...]) -> Iterator[None]:
    """Sampler and conductor on the instrument's cores; the stack's processes get their own."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def _lead_ns(scenario: Scenario) -> int:
    """Time between "go" and the start of load, in which the generator opens its connections."""
    return 300_000_000 + 500_000 * (scenario.load.users or 0)


class _Conductor:
    """Leads one trial through its states while the stack is up."""

    def __init__(
        self,
        trial: Trial,
        stack: Stack,
        writer: TrialWriter,
        facts: dict[str, Any],
        placement: Placement,
        say: Say,
        interrupt: Interrupt,
        clock: Clock,
    ) -> None:
        self._trial = trial
        self._stack = stack
        self._writer = writer
        self._facts = facts
        self._say = say
        self._interrupt = interrupt
        self._clock = clock
        self._queues = trial.scenario.queues
        self._client = connect(stack.redis_url)
        self._http = httpx.Client(base_url=stack.ingest_url or "", timeout=10)
        self._ledger_before = self._ledger()
        # On somebody's Redis there may be dead letters of earlier days.
        self._dead_before = dead_letters(self._client, self._queues)
        self._processes = ProcessTable()
        self._sampler = Sampler(
            [
                # What may wait on a network comes last.
                ProcessProbe(self._processes),
                HostProbe(),
                RedisProbe(stack.redis_url),
                QueueProbe(stack.redis_url, list(self._queues)),
            ],
            clock=clock,
            sink=SampleSink(writer.path / "samples.arrow", trial.index),
            period_ns=_SAMPLE_EVERY_NS,
        )
        self._generator = GeneratorProcess(
            load_spec(trial, stack, facts, writer.path, placement), writer.path
        )

    def measure(self) -> None:
        """Start, warm-up, measure, drain; leaves early when interrupted."""
        scenario = self._trial.scenario
        try:
            self._watch_processes()
            self._sampler.start()
            self._generator.wait_loaded()
            start_ns = self._clock.now_ns() + _lead_ns(scenario)
            self._generator.go(start_ns)
            window_ns = start_ns + scenario.window_start_ns
            end_ns = start_ns + scenario.load_ns
            self._facts["instants_ns"] = {
                "load_start": start_ns,
                "window_start": window_ns,
                "window_end": end_ns,
                "load_end": end_ns,
                "drain_end": end_ns,
            }
            self._writer.write_facts(
                self._facts | {"outcome": "partial", "reason": "killed while measuring"}
            )
            self._until(window_ns, "warm-up")
            self._until(end_ns, "measure")
            self._drain(end_ns + scenario.window.drain_ns)
        except BaseException:
            self._generator.close(2.0)
            self._sampler.stop()
            self._note_stack()
            raise

    def close(self) -> tuple[list[dict[str, Any]], str | None]:
        """Stop the generator and the workers, and read what Redis still holds.

        Returns: the leftovers, and why they could not be read.
        """
        self._say("collect")
        try:
            self._generator.close()
        finally:
            summary = self._sampler.stop()
        # Interrupted, the trial ended here: a window that never was is in no rate.
        ended_ns = self._clock.now_ns()
        self._facts["instants_ns"] = {
            **until(self._facts["instants_ns"], ended_ns),
            "drain_end": ended_ns,
        }
        alive = {
            name: process.role == "worker"
            and name not in {death.name for death in self._stack.deaths()}
            for name, process in self._stack.processes.items()
        }
        self._stack.stop_workers()
        owners = {
            broker: (name, alive.get(name, False)) for broker, name in self._brokers().items()
        }
        leftovers: list[dict[str, Any]] = []
        unread: str | None = None
        with contextlib.closing(self._client), contextlib.closing(self._http):
            try:
                leftovers = read_leftovers(
                    self._client, self._queues, owners, dead_before=self._dead_before
                )
            except redis.RedisError as error:
                unread = f"Redis could not be read when the trial ended: {redact(str(error))}"
            entries = self._ledger()
        self._facts |= {
            "sampler": dataclasses.asdict(summary),
            "ledger": None
            if entries is None or self._ledger_before is None
            else {"entries": entries - self._ledger_before},
        }
        self._note_stack()
        return leftovers, unread

    def _note_stack(self) -> None:
        """Who ran and who died, also for a trial that failed."""
        self._facts |= {
            "deaths": [dataclasses.asdict(death) for death in self._stack.deaths()],
            "processes": {
                name: {"pid": each.pid, "role": each.role, "pool": each.pool}
                for name, each in self._stack.processes.items()
            }
            | {
                "generator": {"pid": self._generator.pid, "role": "generator", "pool": None},
                "perfkit": {"pid": os.getpid(), "role": "perfkit", "pool": None},
            },
        }
        self._writer.write_facts(
            self._facts | {"outcome": "partial", "reason": "killed while measuring"}
        )

    def _until(self, instant_ns: int, phase: str) -> None:
        while (rest_ns := instant_ns - self._clock.now_ns()) > 0 and not self._interrupt.asked:
            self._look(phase)
            self._interrupt.wait(min(_STEP_S, rest_ns / 1e9))

    def _drain(self, limit_ns: int) -> None:
        """Wait until no job is anywhere and the generator has all its replies."""
        while not self._interrupt.asked and self._clock.now_ns() < limit_ns:
            self._look("drain")
            if self._generator.ended() and self._left() == 0:
                return
            self._interrupt.wait(_DRAIN_STEP_S)

    def _left(self) -> int:
        try:
            return remaining(self._client, self._queues)
        except redis.RedisError:
            return -1  # not known; the stack's own check tells when Redis has died

    def _look(self, phase: str) -> None:
        self._stack.check()
        self._generator.ended()
        self._watch_processes()
        figures = {
            name: float(self._generator.figures[name])
            for name in ("sent", "dropped", "errors")
            if name in self._generator.figures
        }
        if (snapshot := self._sampler.snapshot) is not None:
            if "sent" in figures and snapshot.unfinished is not None:
                figures["done"] = max(0.0, figures["sent"] - snapshot.unfinished)
            figures["waiting"] = sum(snapshot.waiting.values())
            figures["in_flight"] = sum(snapshot.in_flight.values())
        self._say(phase, **figures)

    def _watch_processes(self) -> None:
        for name, process in self._stack.processes.items():
            self._processes.put(name, process.pid)
        self._processes.put("generator", self._generator.pid)
        self._processes.put("perfkit", os.getpid())

    def _brokers(self) -> dict[str, str]:
        """Broker id -> worker name, by what each worker wrote when it was ready."""
        notes = (read_json(path) for path in (self._writer.path / "spool").glob("*.ready"))
        return {note["broker_id"]: note["name"] for note in notes if "broker_id" in note}

    def _ledger(self) -> int | None:
        """Payments that were charged, by the system's own books; None where it keeps none."""
        try:
            answer = self._http.get("/ledger")
        except httpx.HTTPError:
            return None
        return int(answer.json()["entries"]) if answer.status_code == 200 else None
