"""Progress of a run, from the phases of its trials."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from perfkit.clock import Clock
from perfkit.plan import Plan, Trial, trial_ns
from perfkit.runner.progress import Listener, Phase, Progress

__all__ = ["Narrator"]


class Narrator:
    """Tells a listener where the run stands.

    Args:
        plan: all trials, by which they are counted.
        todo: those that are measured now, in their order; fewer where a run is resumed.
    """

    def __init__(self, plan: Plan, todo: Sequence[Trial], listener: Listener, clock: Clock) -> None:
        self._trials = len(plan.trials)
        self._listener = listener
        self._clock = clock
        self._began_ns = clock.now_ns()
        self.trial = (todo or plan.trials)[0]
        self._trial_began_ns = self._began_ns
        self._phase: Phase = "start"
        # Time that the trials after each one need at least.
        self._later_ns: dict[int, int] = {}
        later_ns = 0
        for trial in reversed(todo):
            self._later_ns[trial.index] = later_ns
            later_ns += trial_ns(trial.scenario)[0]

    def begin(self, trial: Trial) -> None:
        """A trial starts."""
        self.trial, self._trial_began_ns = trial, self._clock.now_ns()

    def say(self, phase: Phase, **figures: float) -> None:
        """Report where the trial stands."""
        self._phase = phase
        self._tell(figures)

    def warn(self, words: str) -> None:
        """Report what makes the numbers worth less."""
        self._tell({}, words)

    def _tell(self, figures: Mapping[str, float], warning: str | None = None) -> None:
        phase = self._phase
        now_ns = self._clock.now_ns()
        here = self.trial
        rest_ns = max(0, trial_ns(here.scenario)[0] - (now_ns - self._trial_began_ns))
        left_ns = rest_ns + self._later_ns.get(here.index, 0)
        self._listener(
            Progress(
                phase=phase,
                trial=here.index,
                trials=self._trials,
                label=f"{here.scenario.name} {here.label}"
                if here.label != here.scenario.name
                else here.label,
                elapsed_s=(now_ns - self._began_ns) / 1e9,
                left_s=0.0 if phase == "sealed" else left_ns / 1e9,
                figures=figures,
                has_stack=here.scenario.has_stack,
                warning=warning,
            )
        )
