"""The run: trials in the plan's order, one manifest, one seal.

create run ── trial 0 ── trial 1 ── ... ── seal complete
   │             │
reopen it        ├── a trial that fails is named in the manifest; the rest goes on
                 ├── one that its generator's death ended is kept, partial; the rest goes on
                 ├── aborted by a threshold: it is partial, and the rest goes on
                 └── interrupted: what was measured is kept, the run is sealed partial
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from perfkit import __version__
from perfkit.clock import Clock, SystemClock
from perfkit.errors import PerfkitError, ResultsNotWritable, UsageError
from perfkit.launcher.foreign import ForeignRedis
from perfkit.launcher.neighbours import Neighbours
from perfkit.launcher.placement import Placement, place
from perfkit.launcher.server import server_for
from perfkit.paths import checkout
from perfkit.plan import Plan, Trial
from perfkit.redaction import redact_command
from perfkit.runner.application import Application, applications_of
from perfkit.runner.breakage import refuse_faults
from perfkit.runner.ceiling import refuse_above_ceiling
from perfkit.runner.journeys import check_journeys
from perfkit.runner.narrator import Narrator
from perfkit.runner.options import Options
from perfkit.runner.progress import Interrupt, Listener, Phase
from perfkit.runner.reaching import refuse_unreachable
from perfkit.runner.rebuild import rebuild
from perfkit.runner.resuming import resumable
from perfkit.runner.settling import settle
from perfkit.runner.sharding import shards_of, shards_wanted
from perfkit.runner.specs import most_workers
from perfkit.runner.trial import WatchFor, run_trial
from perfkit.scenario import cautions, settings_of
from perfkit.store import RunWriter, TrialWriter, open_run, trial_folder
from perfkit.telemetry.checks import check_open_files
from perfkit.telemetry.facts import HostFacts, git_state, versions

__all__ = ["conduct", "extend", "resume"]

INTERRUPTED: Final = "interrupted"
_SPOOL_BYTES: Final = 21 * 1024 * 1024  # a recorded process reserves this at its start


def conduct(
    plan: Plan,
    options: Options,
    listener: Listener,
    interrupt: Interrupt,
    clock: Clock | None = None,
    watch_for: WatchFor | None = None,
    facts: Mapping[str, Any] | None = None,
) -> Path:
    """Carry out a plan and seal the run; returns its folder.

    ``watch_for(scenario)`` makes what may abort a trial; without it none is aborted. ``facts`` are
    kept in the manifest, beside what it says of the plan and the host.

    Raises:
        UsageError: something can't be used (server, results folder, cores); nothing is left.
        PerfkitError: every trial failed; the last failure, after sealing what there is.
    """
    clock = clock or SystemClock()
    placements, shards, applications = _prepare(plan, plan.trials, options)
    writer = RunWriter.create(
        options.results,
        plan.name,
        {**(facts or {}), **_manifest(plan, options, placements[0])},
        clock=clock,
        needs_bytes=max(_spool_bytes(trial) for trial in plan.trials),
    )
    narrator = Narrator(plan, plan.trials, listener, clock)
    conductor = _Conductor(
        writer, options, narrator, interrupt, clock, watch_for, applications, shards
    )
    return conductor.carry_out(plan.trials, placements)


def resume(
    path: Path,
    options: Options,
    listener: Listener,
    interrupt: Interrupt,
    clock: Clock | None = None,
    watch_for: WatchFor | None = None,
) -> Path:
    """Measure what a partial run lacks, with the same seeds, and seal it again.

    Raises:
        UsageError: as `resumable`, and as `conduct`; the run is as it was.
        PerfkitError: there still is no trial that could be measured.
    """
    clock = clock or SystemClock()
    found = resumable(path, options)
    placements, shards, applications = _prepare(found.plan, found.todo, options)
    redo = [trial.index for trial in found.todo]
    now = {
        "at_ns": clock.wall_ns(),
        "trials": redo,
        "command": redact_command(list(options.command)),
    }
    writer = RunWriter.reopen(
        found.path,
        redo,
        clock=clock,
        needs_bytes=max((_spool_bytes(trial) for trial in found.todo), default=0),
        resumed=[*found.manifest.get("resumed", ()), now],
    )
    narrator = Narrator(found.plan, found.todo, listener, clock)
    conductor = _Conductor(
        writer, options, narrator, interrupt, clock, watch_for, applications, shards
    )
    kept = len(found.plan.trials) - len(found.todo)
    return conductor.carry_out(found.todo, placements, kept=kept)


def extend(
    path: Path,
    plan: Plan,
    options: Options,
    listener: Listener,
    interrupt: Interrupt,
    clock: Clock | None = None,
    watch_for: WatchFor | None = None,
) -> Path:
    """Measure the trials that a plan has beyond those of a sealed run, and seal it again.

    Raises:
        UsageError: as `conduct`; the run is as it was.
        ResultsNotWritable: nothing can be written any more.
    """
    clock = clock or SystemClock()
    known = {each["trial"] for each in open_run(path).manifest["plan"]}
    todo = [trial for trial in plan.trials if trial.index not in known]
    placements, shards, applications = _prepare(plan, todo, options)
    writer = RunWriter.reopen(
        path,
        (),
        clock=clock,
        needs_bytes=max((_spool_bytes(trial) for trial in todo), default=0),
        extends=True,
        **plan.facts(),
    )
    narrator = Narrator(plan, todo, listener, clock)
    conductor = _Conductor(
        writer, options, narrator, interrupt, clock, watch_for, applications, shards
    )
    return conductor.carry_out(todo, placements, kept=len(known))


def _prepare(
    plan: Plan, todo: Sequence[Trial], options: Options
) -> tuple[list[Placement], dict[int, int], dict[int, Application]]:
    """Refuse what can be refused before anything is written.

    Returns: the placement of each trial; by its index, how many processes send its load, and its
    application, of those that have a stack.

    Raises:
        UsageError: something can't be used.
    """
    _check_open_files(plan)
    refuse_above_ceiling(todo, options.results)
    applications = applications_of(plan, options.results)
    check_journeys(plan, todo)
    _check_redis([trial for trial in todo if trial.scenario.has_stack], options, applications)
    refuse_faults(plan.name, todo, options)
    refuse_unreachable(todo)
    placements, shards = [], {}
    for trial in todo:
        wanted = shards_wanted(trial.scenario, options.results)
        host = trial.scenario.host
        placements.append(place(host.system_cpus, host.instrument_cpus, own=wanted))
        shards[trial.index] = shards_of(trial.scenario, wanted, len(placements[-1].instrument_cpus))
    return placements, shards, applications


def _check_redis(
    todo: Sequence[Trial], options: Options, applications: Mapping[int, Application]
) -> None:
    """Whether the Redis that trials with a stack ask for can be used, or started.

    Raises:
        UsageError: it can't, or there is no such trial and one was named all the same.
    """
    if not todo:
        for flag, named in (
            ("--redis", options.redis_url),
            ("--redis-server", options.redis_server),
        ):
            if named is not None:
                raise UsageError(
                    f"{flag} is of a stack; for a target elsewhere (target.url) none is started",
                    f"leave out {flag}; a Redis is watched with the application whose broker "
                    "[system] names",
                )
    elif options.redis_url is not None:
        if any(trial.scenario.redis.per_queue for trial in todo):
            raise UsageError(
                "--redis names one server, and redis.per_queue asks for one for each queue",
                "leave out --redis, or set redis.per_queue = false",
            )
        if any(trial.scenario.redis.settings() for trial in todo):
            raise UsageError(
                "--redis names a server that is not configured here",
                "leave out --redis, or redis.maxmemory and redis.policy",
            )
        if any(trial.scenario.redis.server for trial in todo):
            raise UsageError(
                "--redis names a server that runs, and redis.server one to be started",
                "leave out one of them",
            )
        for namespace in sorted({applications[trial.index].namespace for trial in todo}):
            ForeignRedis(options.redis_url).check(namespace)
    else:
        for asked in dict.fromkeys(trial.scenario.redis.server for trial in todo):
            server_for(asked, options.redis_server)


class _Conductor:
    """Leads an open run through its trials to its seal."""

    def __init__(
        self,
        writer: RunWriter,
        options: Options,
        narrator: Narrator,
        interrupt: Interrupt,
        clock: Clock,
        watch_for: WatchFor | None,
        applications: Mapping[int, Application],
        shards: Mapping[int, int],
    ) -> None:
        self._writer = writer
        self._shards = shards
        self._applications = applications
        self._options = options
        self._narrator = narrator
        self._interrupt = interrupt
        self._clock = clock
        self._watch_for = watch_for
        self._neighbours = Neighbours()
        self._began = False
        self._measured = 0
        self._lost = 0  # of them, trials that their generator's death ended
        self._failures: list[PerfkitError] = []

    def carry_out(
        self, todo: Sequence[Trial], placements: Sequence[Placement], *, kept: int = 0
    ) -> Path:
        """Measure, seal, and return the run's folder; ``kept`` trials are in it already.

        Raises:
            PerfkitError: no trial could be measured; the last failure.
            ResultsNotWritable: nothing can be written any more.
        """
        writer = self._writer
        try:
            for trial, placement in zip(todo, placements, strict=True):
                if self._interrupt.asked:
                    break
                self._measure(trial, placement)
        except ResultsNotWritable as error:
            # Nothing more can be written now; what was measured waits for `repair`.
            mend = f"{error.mend}; then `perfkit repair {writer.path}` keeps what was measured"
            raise ResultsNotWritable(error.what, mend) from error
        except BaseException as error:
            words = INTERRUPTED if isinstance(error, KeyboardInterrupt) else str(error)
            words = words.splitlines()[0] if words else type(error).__name__
            _salvage(writer, self._narrator.trial, words)
            writer.seal("partial", words)
            raise
        path = self._seal()
        self._narrator.say("sealed")
        if self._failures and self._measured + kept == 0:
            raise self._failures[-1]
        return path

    def _measure(self, trial: Trial, placement: Placement) -> None:
        self._narrator.begin(trial)
        if self._options.settle_s and self._began:
            settle(self._options.settle_s, self._clock, self._interrupt)
            if self._interrupt.asked:
                return
        self._began = True
        for words in cautions(trial.scenario):
            if f"{trial.scenario.name}: {words}" not in self._writer.manifest.get("warnings", ()):
                self._warn(f"{trial.scenario.name}: {words}")
        try:
            sound = run_trial(
                trial,
                self._writer,
                application=self._applications.get(trial.index),
                redis_url=self._options.redis_url,
                redis_server=self._options.redis_server,
                placement=placement,
                say=self._say,
                interrupt=self._interrupt,
                clock=self._clock,
                watch=self._watch_for(trial.scenario) if self._watch_for else None,
                shards=self._shards[trial.index],
            )
            self._measured += 1
            self._lost += not sound
        except ResultsNotWritable:
            raise
        except PerfkitError as error:
            self._failures.append(error)
            _salvage(self._writer, trial, error.what)

    def _say(self, phase: Phase, **figures: float) -> None:
        self._narrator.say(phase, **figures)
        for words in self._neighbours.news(self._clock.now_ns()):
            self._warn(words)

    def _warn(self, words: str) -> None:
        """Tell the listener, and keep it with the run."""
        told = self._writer.manifest.get("warnings", [])
        self._writer.amend(warnings=[*told, words])
        self._narrator.warn(words)

    def _seal(self) -> Path:
        if self._interrupt.asked:
            return self._writer.seal("partial", INTERRUPTED)
        if count := len(self._failures) + self._lost:
            return self._writer.seal("partial", f"{count} trial{'' if count == 1 else 's'} failed")
        return self._writer.seal("complete")


def _spool_bytes(trial: Trial) -> int:
    if not trial.scenario.has_stack:
        return 0
    enqueued = trial.scenario.load.via == "enqueue"
    producers = 1 if enqueued else settings_of(trial.scenario).ingest_processes
    processes = most_workers(trial.scenario) + producers
    return _SPOOL_BYTES * processes


def _salvage(writer: RunWriter, trial: Trial, reason: str) -> None:
    """Keep what a trial measured before it failed; name it as failed where that is nothing."""
    folder = writer.path / f"{trial_folder(trial.index)}.partial"
    try:
        if not folder.is_dir():
            raise ValueError("it never began")
        rebuild(folder, reason)
        TrialWriter(writer.path, trial.index).finish()
    except (PerfkitError, ValueError, OSError):
        writer.fail(trial.index, reason)


def _check_open_files(plan: Plan) -> None:
    wanted = max(trial.scenario.load.connection_limit for trial in plan.trials)
    check = check_open_files(wanted)
    if check.ok is False:
        raise UsageError(check.detail, check.mend)


def _manifest(plan: Plan, options: Options, placement: Placement) -> dict[str, Any]:
    git = git_state(checkout())
    return {
        "perfkit_version": __version__,
        "command": list(options.command),
        **plan.facts(),
        "host": asdict(HostFacts.read()),
        "versions": versions(),
        "redis": None,
        "git": asdict(git) if git is not None else None,
        "placement": placement.facts(),
        "synthetic": False,
    }
