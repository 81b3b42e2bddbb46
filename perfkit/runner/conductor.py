"""The run: trials in the plan's order, one manifest, one seal.

create run ── trial 0 ── trial 1 ── ... ── seal complete
                 │
                 ├── a trial that fails is named in the manifest; the rest goes on
                 └── interrupted: what was measured is kept, the run is sealed partial
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from perfkit import __version__
from perfkit.clock import Clock, SystemClock
from perfkit.errors import PerfkitError, ResultsNotWritable, UsageError
from perfkit.launcher.foreign import ForeignRedis
from perfkit.launcher.placement import Placement, place
from perfkit.launcher.server import find_server
from perfkit.paths import checkout
from perfkit.plan import Plan, Trial, trial_ns
from perfkit.runner.application import check_queues
from perfkit.runner.progress import Interrupt, Listener, Phase, Progress
from perfkit.runner.rebuild import rebuild
from perfkit.runner.trial import run_trial
from perfkit.scenario import digest, settings_of, workload_digest
from perfkit.store import RunWriter, TrialWriter, trial_folder
from perfkit.telemetry.checks import check_open_files
from perfkit.telemetry.facts import HostFacts, git_state, versions

__all__ = ["Options", "conduct"]

INTERRUPTED: Final = "interrupted"
_SPOOL_BYTES: Final = 21 * 1024 * 1024  # a recorded process reserves this at its start


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How a plan is carried out, as opposed to what it asks."""

    results: Path
    redis_url: str | None = None
    redis_server: Path | None = None
    command: Sequence[str] = ()


class _Narrator:
    """Turns the phases of trials into progress of the run."""

    def __init__(self, plan: Plan, listener: Listener, clock: Clock) -> None:
        self._plan = plan
        self._listener = listener
        self._clock = clock
        self._began_ns = clock.now_ns()
        self.trial = plan.trials[0]
        self._trial_began_ns = self._began_ns

    def begin(self, trial: Trial) -> None:
        """A trial starts."""
        self.trial, self._trial_began_ns = trial, self._clock.now_ns()

    def say(self, phase: Phase, **figures: float) -> None:
        """Report where the trial stands."""
        now_ns = self._clock.now_ns()
        here, later = self.trial, self._plan.trials[self.trial.index + 1 :]
        rest_ns = max(0, trial_ns(here.scenario)[0] - (now_ns - self._trial_began_ns))
        left_ns = rest_ns + sum(trial_ns(trial.scenario)[0] for trial in later)
        self._listener(
            Progress(
                phase=phase,
                trial=here.index,
                trials=len(self._plan.trials),
                label=f"{here.scenario.name} {here.label}"
                if here.label != here.scenario.name
                else here.label,
                elapsed_s=(now_ns - self._began_ns) / 1e9,
                left_s=0.0 if phase == "sealed" else left_ns / 1e9,
                figures=figures,
            )
        )


def conduct(
    plan: Plan,
    options: Options,
    listener: Listener,
    interrupt: Interrupt,
    clock: Clock | None = None,
) -> Path:
    """Carry out a plan and seal the run; returns its folder.

    Raises:
        UsageError: something can't be used (server, results folder, cores); nothing is left.
        PerfkitError: every trial failed; the last failure, after sealing what there is.
    """
    clock = clock or SystemClock()
    # What can be refused is refused before anything is written.
    _check_open_files(plan)
    check_queues(plan)
    if options.redis_url is not None:
        ForeignRedis(options.redis_url).check("dramatiq")
    else:
        find_server(options.redis_server)
    placements = [
        place(trial.scenario.host.system_cpus, trial.scenario.host.instrument_cpus)
        for trial in plan.trials
    ]
    writer = RunWriter.create(
        options.results,
        plan.name,
        _manifest(plan, options, placements[0]),
        clock=clock,
        needs_bytes=max(_spool_bytes(trial) for trial in plan.trials),
    )
    narrator = _Narrator(plan, listener, clock)
    measured, failure = 0, None
    status: Any = "complete"
    reason: str | None = None
    try:
        for trial, placement in zip(plan.trials, placements, strict=True):
            if interrupt.asked:
                break
            narrator.begin(trial)
            try:
                run_trial(
                    trial,
                    writer,
                    redis_url=options.redis_url,
                    redis_server=options.redis_server,
                    placement=placement,
                    say=narrator.say,
                    interrupt=interrupt,
                    clock=clock,
                )
                measured += 1
            except ResultsNotWritable:
                raise
            except PerfkitError as error:
                failure = error
                _salvage(writer, trial, error.what)
        if interrupt.asked:
            status, reason = "partial", INTERRUPTED
        elif failure is not None:
            status, reason = "partial", f"{len(plan.trials) - measured} trials failed"
    except ResultsNotWritable as error:
        # Nothing more can be written now; what was measured waits for `repair`.
        mend = f"{error.mend}; then `perfkit repair {writer.path}` keeps what was measured"
        raise ResultsNotWritable(error.what, mend) from error
    except BaseException as error:
        words = INTERRUPTED if isinstance(error, KeyboardInterrupt) else str(error)
        words = words.splitlines()[0] if words else type(error).__name__
        _salvage(writer, narrator.trial, words)
        writer.seal("partial", words)
        raise
    path = writer.seal(status, reason)
    narrator.say("sealed")
    if failure is not None and measured == 0:
        raise failure
    return path


def _spool_bytes(trial: Trial) -> int:
    settings = settings_of(trial.scenario)
    return _SPOOL_BYTES * (settings.workers + settings.ingest_processes)


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
    scenarios = {}
    for source in plan.sources:
        trial = next(trial for trial in plan.trials if trial.source == source.name)
        scenarios[trial.scenario.name] = {
            "source": source.name,
            "text": source.text,
            "digest": digest(trial.scenario),
            "workload_digest": workload_digest(trial.scenario),
            "document": dict(source.document),
        }
    git = git_state(checkout())
    return {
        "perfkit_version": __version__,
        "command": list(options.command),
        "scenarios": scenarios,
        "plan": [
            {
                "trial": trial.index,
                "scenario": trial.scenario.name,
                "label": trial.label,
                "axes": dict(trial.axes),
                "repetition": trial.repetition,
                "seed": trial.seed,
                "reason": trial.reason,
                "digest": digest(trial.scenario),
                "workload_digest": workload_digest(trial.scenario),
            }
            for trial in plan.trials
        ],
        "host": asdict(HostFacts.read()),
        "versions": versions(),
        "redis": None,
        "git": asdict(git) if git is not None else None,
        "placement": placement.facts(),
        "synthetic": False,
    }
