"""A sealed run, as notebooks and the command line read it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from perfkit import findings, frames, verdict
from perfkit.store import StoredRun
from perfkit.store import open_run as open_stored

if TYPE_CHECKING:
    import pandas as pd

    from perfkit.findings import Advice
    from perfkit.verdict import Accounting, Bottleneck, Headline, Pathwise, ThresholdResult, Verdict

__all__ = ["Run", "open_run"]


class Run:
    """One run: its manifest, its tables as frames, and what they mean.

    Frames come from `perfkit.frames` (shapes and units are documented there); judgements from
    `perfkit.verdict`.
    """

    def __init__(self, stored: StoredRun) -> None:
        self.stored = stored

    def __repr__(self) -> str:
        return f"<Run {self.name} {self.run_id}, {self.manifest['status']}>"

    @property
    def path(self) -> Path:
        """The run's folder."""
        return self.stored.path

    @property
    def manifest(self) -> Mapping[str, Any]:
        """What was asked and where it ran."""
        return self.stored.manifest

    @property
    def name(self) -> str:
        """Name of the scenario, or of the set of scenarios."""
        return str(self.manifest["name"])

    @property
    def run_id(self) -> str:
        """Folder name under the run's name."""
        return str(self.manifest["run_id"])

    @property
    def report(self) -> Path | None:
        """The rendered report, where there is one."""
        path = self.path / "report.html"
        return path if path.is_file() else None

    def trial_facts(self, trial: int) -> Mapping[str, Any]:
        """What is known of one trial beside its tables."""
        return self.stored.trial_facts(trial)

    def jobs(self, trial: int | None = None) -> pd.DataFrame:
        """One row per planned request, joined with its job."""
        return frames.jobs(self.stored, trial)

    def deliveries(self, trial: int | None = None) -> pd.DataFrame:
        """One row per delivery of a job to a worker, as recorded."""
        return frames.deliveries(self.stored, trial)

    def requests(self, trial: int | None = None) -> pd.DataFrame:
        """One row per planned request, as recorded."""
        return frames.requests(self.stored, trial)

    def schedule(self, trial: int) -> pd.DataFrame:
        """What was planned before the load began, also what a trial that was cut short never sent.

        Columns: trial, offset_ns (from the start of load); of a closed model a row is the stay of a
        user (user, until_ns).

        Raises:
            NotARun: the run is from before schedules were kept.
        """
        planned: pd.DataFrame = self.stored.table("schedule", trial).to_pandas()
        return planned

    def samples(self, trial: int | None = None, metric: str | None = None) -> pd.DataFrame:
        """Telemetry, one row per reading."""
        return frames.samples(self.stored, trial, metric)

    def trials(self) -> pd.DataFrame:
        """One row per trial: load, throughput, latency, saturation, efficiency, costs."""
        return verdict.trials(self.stored)

    def percentiles(
        self,
        *,
        by: Sequence[str] = ("trial", "queue"),
        value: str = "latency_ns",
        ps: Sequence[float] = (50, 95, 99),
    ) -> pd.DataFrame:
        """Quantiles of a column over the cohort; unfinished jobs count as +infinity."""
        return frames.percentiles(self.stored, by=by, value=value, ps=ps)

    def curve(self, *, value: str = "latency_ns", by: Sequence[str] = ("trial",)) -> pd.DataFrame:
        """Value by quantile on a log-nines grid."""
        return frames.curve(self.stored, value=value, by=by)

    def timeline(self, trial: int, step_ns: int = 1_000_000_000) -> pd.DataFrame:
        """Rates and latency over the time of one trial."""
        return frames.timeline(self.stored, trial, step_ns)

    def backlog(self, trial: int) -> pd.DataFrame:
        """Queue counts over the time of one trial."""
        return frames.backlog(self.stored, trial)

    def stages(self, trial: int | None = None) -> pd.DataFrame:
        """Where the time went; stages add up to the latency."""
        return frames.stages(self.stored, trial)

    def contributions(self, by: Literal["queue", "actor"] = "queue") -> pd.DataFrame:
        """What each stage contributes to P50 and P99: parts that add up, with intervals."""
        return verdict.contributions(self.stored, by)

    def demands(self) -> pd.DataFrame:
        """What one job asks of each resource, and how much of it is used."""
        return verdict.demands(self.stored)

    def bottlenecks(self) -> list[Bottleneck]:
        """The bottleneck of each trial where two signs agree, else why none is named."""
        return [verdict.bottleneck(self.stored, trial) for trial in self.stored.trials]

    def laws(self) -> pd.DataFrame:
        """Laws that must hold of any system: stage sums, Little's law, the pathwise oracle."""
        return verdict.laws(self.stored)

    def pathwise(self, trial: int) -> Pathwise:
        """How many starts of one trial follow from when its jobs came and how long they took."""
        return verdict.pathwise(self.stored, trial)

    def findings(self) -> Advice:
        """What the advisor found, the worst first, and what was looked at."""
        return findings.advise(self.stored)

    def phases(self) -> pd.DataFrame:
        """One row per phase of the load of each trial: rates, latency, whether it was carried."""
        return verdict.phases(self.stored)

    def scale_events(self) -> pd.DataFrame:
        """One row per change of the number of workers while running, and how long it took."""
        return frames.scale_events(self.stored)

    def worker_time(self) -> pd.DataFrame:
        """One row per trial: what its workers cost, and how soon the backlog of its peak went."""
        return frames.worker_time(self.stored)

    def workers_over_time(self, trial: int) -> pd.DataFrame:
        """Workers by pool over the time of one trial, as a step function."""
        return frames.workers_over_time(self.stored, trial)

    def recovery(self) -> pd.DataFrame:
        """One row per fault: what it cost, and how soon it was over."""
        return verdict.recovery(self.stored)

    def stalled(self, trial: int) -> pd.DataFrame:
        """Messages that waited for recovery, by queue, over the time of one trial."""
        return frames.stalled(self.stored, trial)

    def journeys(self) -> pd.DataFrame:
        """What user code did: how its iterations ended, its checks, and values of its own."""
        return frames.journeys(self.stored)

    def slow_commands(self) -> pd.DataFrame:
        """What Redis' slow log had, by command."""
        return frames.slow_commands(self.stored)

    def latency_events(self) -> pd.DataFrame:
        """What Redis' latency monitor had, by event."""
        return frames.latency_events(self.stored)

    def resources(self, trial: int) -> pd.DataFrame:
        """What each process used in the window of one trial."""
        return frames.resources(self.stored, trial)

    def resource_timeline(self, trial: int) -> pd.DataFrame:
        """CPU of each process over the time of one trial."""
        return frames.resource_timeline(self.stored, trial)

    def accounting(self, trial: int | None = None) -> Accounting:
        """Every planned request in exactly one class."""
        return verdict.accounting(self.stored, trial)

    def accounts(self, trial: int) -> pd.DataFrame:
        """One row per request of one trial: its class, the mechanism, and what proves it."""
        return verdict.accounts(self.stored, trial)

    def thresholds(self, trial: int | None = None) -> list[ThresholdResult]:
        """Targets and what was observed."""
        return verdict.evaluate_thresholds(self.stored, trial)

    def verdict(self) -> Verdict:
        """PASS, FAIL, INCONCLUSIVE or INVALID, and why."""
        return verdict.judge(self.stored)

    def headline(self) -> Headline:
        """The verdict in words and the few lines a person wants to know."""
        return verdict.headline(self.stored)


def open_run(path: str | Path) -> Run:
    """Open a sealed run by its folder.

    Raises:
        NotARun: the folder holds none that this version reads.
        RunNotSealed: it is still being measured, or was killed.
    """
    # Absolute: a notebook that reads it has a working directory of its own.
    return Run(open_stored(Path(path).absolute()))
