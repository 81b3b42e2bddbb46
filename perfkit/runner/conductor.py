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
from typing import Any

from perfkit import __version__
from perfkit.clock import Clock, SystemClock
from perfkit.errors import PerfkitError, ResultsNotWritable, UsageError
from perfkit.launcher.foreign import ForeignRedis
from perfkit.launcher.placement import Placement, place
from perfkit.launcher.server import find_server
from perfkit.paths import checkout
from perfkit.plan import Plan, Trial, trial_ns
from perfkit.runner.progress import Interrupt, Listener, Phase, Progress
from perfkit.runner.trial import run_trial
from perfkit.scenario import digest, workload_digest
from perfkit.store import RunWriter
from perfkit.telemetry.checks import check_open_files
from perfkit.telemetry.facts import HostFacts, git_state, versions

__all__ = ["Options", "conduct"]

INTERRUPTED = "interrupted"


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
        self._trial = plan.trials[0]
        self._trial_began_ns = self._began_ns

    def begin(self, trial: Trial) -> None:
        """A trial starts."""
        self._trial, self._trial_began_ns = trial, self._clock.now_ns()

    def say(self, phase: Phase, **figures: float) -> None:
        """Report where the trial stands."""
        now_ns = self._clock.now_ns()
        here, later = self._trial, self._plan.trials[self._trial.index + 1 :]
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
    if options.redis_url is not None:
        ForeignRedis(options.redis_url).check("dramatiq")
    else:
        find_server(options.redis_server)
    placements = [
        place(trial.scenario.host.system_cpus, trial.scenario.host.instrument_cpus)
        for trial in plan.trials
    ]
    writer = RunWriter.create(
        options.results, plan.name, _manifest(plan, options, placements[0]), clock=clock
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
                facts = run_trial(
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
                writer.amend(redis=facts["redis"])
            except ResultsNotWritable:
                raise
            except PerfkitError as error:
                failure = error
                writer.fail(trial.index, error.what)
        if interrupt.asked:
            status, reason = "partial", INTERRUPTED
        elif failure is not None:
            status, reason = "partial", f"{len(plan.trials) - measured} trials failed"
    except BaseException as error:
        words = INTERRUPTED if isinstance(error, KeyboardInterrupt) else str(error)
        writer.seal("partial", words.splitlines()[0] if words else type(error).__name__)
        raise
    path = writer.seal(status, reason)
    narrator.say("sealed")
    if failure is not None and measured == 0:
        raise failure
    return path


def _check_open_files(plan: Plan) -> None:
    wanted = max(trial.scenario.load.connection_limit for trial in plan.trials)
    check = check_open_files(wanted)
    if check.ok is False:
        raise UsageError(check.detail, check.mend)


def _manifest(plan: Plan, options: Options, placement: Placement) -> dict[str, Any]:
    scenarios = {}
    for source in plan.sources:
        trial = next(t for t in plan.trials if t.document.get("name") == source.document["name"])
        scenarios[trial.scenario.name] = {
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
