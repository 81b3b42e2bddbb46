"""One trial, from an empty stack to sealed tables.

    state      does                                             leaves when
    start      stack up, sampler on, generator ready            all probes say yes
    warm-up    load runs, nothing counts yet                    ramp and warm-up are over
    measure    load runs, the cohort is intended here           the window is over
    drain      no new load; the last jobs finish                nothing is left, or the limit
    collect    workers stop; Redis is read; tables              written and renamed

An interrupt, a threshold that aborts, or a load generator that dies goes from any state but the
last straight to collect: what was measured is kept, and the trial is partial. A stack that fails
raises; the conductor names the trial and goes on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from perfkit.clock import Clock
from perfkit.launcher.placement import Placement
from perfkit.launcher.stack import Stack
from perfkit.plan import Trial
from perfkit.runner.application import Application
from perfkit.runner.breakage import Breakage
from perfkit.runner.elsewhere import Elsewhere, System
from perfkit.runner.instruments import Instruments
from perfkit.runner.outages import announce_outages, outages_of
from perfkit.runner.progress import Interrupt, Phase
from perfkit.runner.rebuild import store_trial
from perfkit.runner.specs import asked, stack_spec, until
from perfkit.runner.workforce import Workforce
from perfkit.scenario import Scenario
from perfkit.store import RunWriter, TrialWriter

__all__ = ["Abort", "Say", "Watch", "WatchFor", "run_trial"]

Say = Callable[..., None]


class Abort(Protocol):
    """A threshold that failed while the trial ran, or a rate that was not sent."""

    @property
    def threshold(self) -> str: ...

    @property
    def observed(self) -> float: ...

    @property
    def text(self) -> str: ...

    @property
    def behind(self) -> float | None: ...


Watch = Callable[[Mapping[str, float]], Abort | None]
"""Judges the figures of a moment (`LiveFigures`, and ``elapsed_window_s``)."""

WatchFor = Callable[[Scenario], Watch | None]
"""Makes a trial's watch; None where no threshold aborts."""

_STEP_S: Final = 0.1
_DRAIN_STEP_S: Final = 0.05
_TOLD: Final = ("sent", "dropped", "errors", "done")
_TOLD_OF_QUEUES: Final = {
    "queue.waiting": "waiting",
    "queue.in_flight": "in_flight",
    "queue.stalled": "stalled",
}


def run_trial(
    trial: Trial,
    writer: RunWriter,
    *,
    application: Application | None,
    redis_url: str | None,
    redis_server: Path | None,
    placement: Placement,
    say: Say,
    interrupt: Interrupt,
    clock: Clock,
    watch: Watch | None = None,
    shards: int = 1,
) -> bool:
    """Conduct one trial and store it; False where what sends its load died: to be repeated.

    ``application``: None where no stack is started.

    Raises:
        UsageError, StackError: the stack did not come up, or a part that everything needs died.
        ResultsNotWritable: the disk is full, for one.
    """
    say("start")
    trial_writer = writer.trial(trial.index)
    system: System
    target = trial.scenario.target
    if trial.scenario.has_stack or target is None:
        spec = stack_spec(
            trial.scenario,
            trial_writer.path,
            redis_url=redis_url,
            redis_server=redis_server,
            cpus=placement.system_cpus,
            leases=writer.path.parent.parent / ".leases",
            run_dir=writer.path,
            application=application,
        )
        system = Stack(spec)
    else:
        system = Elsewhere(target.origin, trial_writer.path, placement.system_cpus)
    # Written first, so that `repair` has it when we are killed.
    facts = asked(trial, clock, application)
    trial_writer.write_facts(facts | {"outcome": "partial", "reason": "killed while measuring"})
    with _pinned(placement.instrument_cpus), system as stack:
        facts["stack"] = stack.facts()
        if writer.manifest["redis"] is None:
            writer.amend(redis=facts["stack"]["redis"])
        conductor = _Conductor(
            trial, stack, trial_writer, facts, placement, say, interrupt, clock, watch, application,
            shards,
        )  # fmt: skip
        conductor.measure()
        found, reason = conductor.close()
    say("collect")
    store_trial(trial_writer, facts, found, "interrupted" if interrupt.asked else reason)
    trial_writer.finish()
    return not conductor.lost_its_load


@contextlib.contextmanager
def _pinned(cpus: tuple[int, ...]) -> Iterator[None]:
    """Sampler and conductor on the instrument's cores; the stack's processes get their own."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


class _Conductor:
    """Leads one trial through its states while the stack is up."""

    def __init__(
        self,
        trial: Trial,
        stack: System,
        writer: TrialWriter,
        facts: dict[str, Any],
        placement: Placement,
        say: Say,
        interrupt: Interrupt,
        clock: Clock,
        watch: Watch | None,
        application: Application | None,
        shards: int,
    ) -> None:
        self._trial = trial
        self._stack = stack
        self._writer = writer
        self._facts = facts
        self._say = say
        self._interrupt = interrupt
        self._clock = clock
        self._watch = watch
        self._watched_tick = 0
        self._aborted: Abort | None = None
        self._window_ns = 0
        self._workforce = Workforce(trial.scenario, stack)
        self._breakage = Breakage(trial.scenario, stack, clock)
        self._instruments = Instruments(
            trial, stack, writer.path, facts, placement, clock, application, shards
        )

    def measure(self) -> None:
        """Start, warm-up, measure, drain; leaves early when interrupted or aborted."""
        scenario = self._trial.scenario
        try:
            self._instruments.start()
            start_ns = self._clock.now_ns() + self._instruments.generator.lead_ns
            self._instruments.go(start_ns)
            self._window_ns = start_ns + scenario.window_start_ns
            end_ns = start_ns + scenario.load_ns
            announce_outages(self._stack.gateway_url, outages_of(scenario, self._window_ns))
            self._facts["instants_ns"] = {
                "load_start": start_ns,
                "window_start": self._window_ns,
                "window_end": end_ns,
                "load_end": end_ns,
                "drain_end": end_ns,
            }
            self._save()
            self._breakage.begin(self._window_ns)
            self._until(self._window_ns, "warm-up")
            self._until(end_ns, "measure")
            self._drain(end_ns + scenario.window.drain_ns)
        except BaseException:  # a second Ctrl-C too: what was broken is mended, what is there kept
            self._breakage.close(hurry=True)
            self._instruments.abandon()
            self._note_stack()
            self._instruments.close()
            raise

    def close(self) -> tuple[list[dict[str, Any]], str | None]:
        """Stop the generator and the workers, and read what Redis still holds.

        Returns: the leftovers, and why the trial is partial (None: it is whole).
        """
        self._say("collect")
        with (
            contextlib.closing(self._instruments) as instruments,
            contextlib.closing(self._breakage) as breakage,
        ):
            breakage.close(hurry=self._interrupt.asked)
            summary = instruments.stop()
            # Cut short, the trial ended here: a window that never was is in no rate.
            ended_ns = self._clock.now_ns()
            self._facts["instants_ns"] = {
                **until(self._facts["instants_ns"], ended_ns),
                "drain_end": ended_ns,
            }
            alive = {life.name: life.ended_ns is None for life in self._stack.worker_lives()}
            self._stack.stop_workers()
            if not self._interrupt.asked:
                breakage.revive()
            leftovers, reason = instruments.leftovers(alive)
            entries = instruments.ledger_entries()
        self._facts |= {
            "sampler": dataclasses.asdict(summary),
            "ledger": None if entries is None else {"entries": entries},
        }
        self._note_stack()
        if self._aborted is not None:
            reason = f"aborted: {self._aborted.text}"
        if (died := self._instruments.generator.death) is not None:
            reason = died.text
        return leftovers, reason

    @property
    def lost_its_load(self) -> bool:
        """Whether what sends its load died, which ended the trial."""
        return self._instruments.generator.death is not None

    def _note_stack(self) -> None:
        """Who ran, who came and went, and who died, also for a trial that failed."""
        died = self._instruments.generator.death
        self._facts |= {
            "faults": self._breakage.facts(),
            "deaths": [
                *(dataclasses.asdict(death) for death in self._stack.deaths()),
                *([dataclasses.asdict(died)] if died is not None else []),
            ],
            "scale_events": [dataclasses.asdict(each) for each in self._stack.scale_events()],
            "worker_lives": [dataclasses.asdict(each) for each in self._stack.worker_lives()],
            "processes": {
                name: {"pid": each.pid, "role": each.role, "pool": each.pool}
                for name, each in self._stack.processes.items()
            }
            | {
                name: {"pid": pid, "role": "generator", "pool": None}
                for name, pid in self._instruments.generator.processes.items()
            }
            | {
                name: {"pid": pid, "role": "perfkit", "pool": None}
                for name, pid in self._instruments.own_processes.items()
            }
            | {"keeper": {"pid": self._stack.keeper_pid, "role": "perfkit", "pool": None}},
        }
        self._save()

    def _save(self) -> None:
        """Leave for `repair` what is known so far."""
        self._writer.write_facts(
            self._facts | {"outcome": "partial", "reason": "killed while measuring"}
        )

    @property
    def _over(self) -> bool:
        """Whether the trial is to end now, whatever state it is in."""
        return self._interrupt.asked or self._aborted is not None or self.lost_its_load

    def _until(self, instant_ns: int, phase: Phase) -> None:
        while (rest_ns := instant_ns - self._clock.now_ns()) > 0 and not self._over:
            self._look(phase)
            self._interrupt.wait(min(_STEP_S, rest_ns / 1e9))

    def _drain(self, limit_ns: int) -> None:
        """Wait until no job is anywhere and the generator has all its replies."""
        while not self._over and self._clock.now_ns() < limit_ns:
            self._look("drain")
            if self._instruments.generator.ended() and self._instruments.left() == 0:
                return
            self._interrupt.wait(_DRAIN_STEP_S)

    def _look(self, phase: Phase) -> None:
        self._stack.check()
        self._instruments.generator.ended()
        self._instruments.watch_processes(self._breakage.facts())
        now_ns = self._clock.now_ns()
        figures = self._instruments.figures()
        self._workforce.look(now_ns - self._window_ns, figures)
        self._judge(now_ns, figures)
        told = {name: figures[name] for name in _TOLD if name in figures} | {
            name: figures[metric] for metric, name in _TOLD_OF_QUEUES.items() if metric in figures
        }
        self._say(phase, **told)

    def _judge(self, now_ns: int, figures: Mapping[str, float]) -> None:
        """Ask the watch, once a tick: a reading that is looked at twice would count twice."""
        if self._watch is None or (tick := self._instruments.tick) == self._watched_tick:
            return
        self._watched_tick = tick
        elapsed_s = (now_ns - self._window_ns) / 1e9
        abort = self._watch({**figures, "elapsed_window_s": elapsed_s})
        if abort is not None:
            self._aborted = abort
            self._facts["aborted"] = {
                "at_ns": now_ns,
                "threshold": abort.threshold,
                "observed": abort.observed,
                "text": abort.text,
                "behind": abort.behind,
            }
