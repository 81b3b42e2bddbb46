"""Two runs that are there already, compared: exploratory, never a gate.

They were not interleaved, so a difference is one of the runs and of all that lay between them.
Where their trials share seeds one to one they are paired by them, which takes the schedule's own
noise out; else they are two groups (statistics.md, 1.3). Trials that are INVALID or cut short are
left out, arm by arm, and counted.
"""

from __future__ import annotations

import functools
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from perfkit.api.environments import Difference, unlike
from perfkit.api.history import resolve
from perfkit.api.runs import Run, open_run
from perfkit.api.strict import strict_json
from perfkit.errors import PerfkitError, UsageError
from perfkit.frames import Primary, primaries, primaries_of
from perfkit.stats import Metric, compare_pairs
from perfkit.stats.unpaired import LEAST_TRIALS, compare_groups
from perfkit.units import format_percent
from perfkit.verdict.comparing import p_words

__all__ = ["Explored", "are_runs", "compare_runs"]

_CONDITIONS: Final = "host, schema, server and workload"
_MOST_SHOWN: Final = 12


@dataclass(frozen=True, eq=False)
class Explored:
    """Run B against run A: effects as observed, and in what the runs are not alike."""

    a: Run
    b: Run
    differences: tuple[Difference, ...]
    """Of the conditions that must agree: key, in A, in B; none unless it was forced."""
    level: float = 0.95

    @functools.cached_property
    def trials_used(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Trials of A and of B that are whole and valid; paired ones in the same order."""
        a, b = ({each: self._seed(run, each) for each in _sound(run)} for run in (self.a, self.b))
        seeds_a, seeds_b = list(a.values()), list(b.values())
        shared = set(seeds_a) & set(seeds_b)
        one_each = len(set(seeds_a)) == len(a) and len(set(seeds_b)) == len(b)
        # One trial of each says nothing of noise, shared seed or not.
        if one_each and len(shared) == len(a) == len(b) and len(a) > 1:
            order = sorted(shared)
            by_seed = [{seed: trial for trial, seed in each.items()} for each in (a, b)]
            return (
                tuple(by_seed[0][seed] for seed in order),
                tuple(by_seed[1][seed] for seed in order),
            )
        return tuple(a), tuple(b)

    @property
    def paired(self) -> bool:
        """Whether the trials share their seeds one to one, and so are paired by them."""
        a, b = self.trials_used
        return (
            len(a) == len(b) > 1
            and [self._seed(self.a, each) for each in a] == [self._seed(self.b, each) for each in b]
            and len({self._seed(self.a, each) for each in a}) == len(a)
        )

    @property
    def left_out(self) -> tuple[int, int]:
        """Trials of A and of B that are INVALID or cut short."""
        used = self.trials_used
        return (
            len(self.a.stored.trials) - len(used[0]),
            len(self.b.stored.trials) - len(used[1]),
        )

    @functools.cached_property
    def primaries(self) -> tuple[Primary, ...]:
        """Figures that both runs have."""
        theirs = {each.name for each in primaries_of(self.b.stored)}
        return tuple(each for each in primaries_of(self.a.stored) if each.name in theirs)

    def effects(self) -> pd.DataFrame:
        """One row per metric.

        Columns: metric, queue, unit, scale, better, baseline, candidate (medians), point, low, high
        (B / A - 1, or B - A), p (adjusted over all metrics), words. Ends and p are NaN where the
        trials are too few.
        """
        used = self.trials_used
        if not (used[0] and used[1]):
            return pd.DataFrame()
        tables = [
            primaries(run.stored).set_index("trial").reindex(trials)
            for run, trials in zip((self.a, self.b), used, strict=True)
        ]
        names = [each.name for each in self.primaries]
        a, b = (table[names].to_numpy(dtype=np.float64) for table in tables)
        rows = []
        for place, (each, found) in enumerate(
            zip(self.primaries, self._inferred(a, b), strict=True)
        ):
            point, low, high, p = found
            rows.append(
                {
                    "metric": each.name,
                    "queue": each.queue,
                    "unit": each.unit,
                    "scale": "difference" if each.is_difference else "ratio",
                    "better": "higher" if each.higher_is_better else "lower",
                    "baseline": float(np.median(a[:, place])),
                    "candidate": float(np.median(b[:, place])),
                    "point": point,
                    "low": low,
                    "high": high,
                    "p": p,
                    "words": _words(each, point, low, high, p, self.level),
                }
            )
        return pd.DataFrame(rows)

    def sentences(self) -> tuple[str, ...]:
        """What may be said: that it is exploratory, what was observed, and what differs."""
        used, effects = self.trials_used, self.effects()
        names = [f"{run.name} {run.run_id}" for run in (self.a, self.b)]
        if not len(effects):
            return (
                (
                    f"Exploratory: nothing to compare, {names[0]} has {len(used[0])} valid trials "
                    f"and {names[1]} has {len(used[1])}."
                ),
            )
        how = (
            f"{len(used[0])} trials of each, paired by their seeds"
            if self.paired
            else f"{len(used[0])} against {len(used[1])} trials, unpaired"
        )
        if min(len(used[0]), len(used[1])) < 2:
            how += "; one trial says nothing of noise: observed, not inferred"
        elif not self.paired and min(len(used[0]), len(used[1])) < LEAST_TRIALS:
            how += f"; no p of fewer than {LEAST_TRIALS} against {LEAST_TRIALS}"
        lines = [
            (
                f"Exploratory, no verdict: {names[1]} against {names[0]}, which were not "
                f"interleaved ({how})."
            ),
            *effects["words"],
        ]
        if any(self.left_out):
            lines.append(
                f"Left out as INVALID or cut short: {self.left_out[0]} trials of A, "
                f"{self.left_out[1]} of B."
            )
        if self.differences:
            lines.append("Forced although their conditions differ:")
            lines += _shown(self.differences)
        lines.append("For a verdict measure both here and now: perfkit compare A B.")
        return tuple(lines)

    def document(self) -> dict[str, Any]:
        """As JSON's types."""
        raw = {
            "exploratory": True,
            "outcome": "exploratory",
            "runs": {"A": str(self.a.path), "B": str(self.b.path)},
            "sentences": list(self.sentences()),
            "paired": self.paired,
            "trials": {"A": list(self.trials_used[0]), "B": list(self.trials_used[1])},
            "left_out": {"A": self.left_out[0], "B": self.left_out[1]},
            "effects": self.effects().to_dict("records"),
            "differences": [{"key": key, "A": a, "B": b} for key, a, b in self.differences],
        }
        return {key: strict_json(value) for key, value in raw.items()}

    def _inferred(
        self, a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]
    ) -> list[tuple[float, float, float, float]]:
        metrics = [
            Metric(
                name=each.name,
                scale="difference" if each.is_difference else "ratio",
                better="higher" if each.higher_is_better else "lower",
            )
            for each in self.primaries
        ]
        if self.paired:
            found = compare_pairs(a, b, margin=0.05, level=self.level, metrics=metrics)
            return [
                (each.estimate.point, each.estimate.low, each.estimate.high, each.p_adjusted)
                for each in found.effects
            ]
        return [
            (each.estimate.point, each.estimate.low, each.estimate.high, each.p)
            for each in compare_groups(a, b, metrics=metrics, level=self.level)
        ]

    @staticmethod
    def _seed(run: Run, trial: int) -> int:
        return run.stored.facts(trial).seed


def are_runs(names: Sequence[str], *, results: str | os.PathLike[str] | None = None) -> bool:
    """Whether names are those of runs; scenarios go before runs of the same name.

    Raises:
        UsageError: one is a run and another is not.
    """
    found = {name: _is_run(name, results) for name in names}
    if len(set(found.values())) > 1:
        run = next(name for name, is_run in found.items() if is_run)
        other = next(name for name, is_run in found.items() if not is_run)
        raise UsageError(
            f"{run} is a run and {other} is a scenario", "compare two runs, or two scenarios"
        )
    return all(found.values())


def compare_runs(
    a: str | Path | Run,
    b: str | Path | Run,
    *,
    force: bool = False,
    results: str | os.PathLike[str] | None = None,
) -> Explored:
    """Compare two sealed runs, exploratively.

    Args:
        a, b: folder, run id, NAME/RUN_ID, or a run that is open.
        force: although host, server or workload differ.
        results: folder for runs.

    Raises:
        NotARun: there is no such run, or it is of another schema.
        UsageError: their conditions differ, and it was not forced; or one has several variants.
    """
    first, second = (
        each if isinstance(each, Run) else open_run(resolve(str(each), results=results))
        for each in (a, b)
    )
    for run in (first, second):
        variants = sorted({str(each["label"]) for each in run.manifest["plan"]})
        if len(variants) > 1:
            raise UsageError(
                f"{run.name} {run.run_id} has trials of several variants: {', '.join(variants)}",
                "compare runs of one variant each; what is in one run `perfkit report` compares",
            )
    differences = unlike(_conditions(first), _conditions(second))
    if differences and not force:
        listed = "\n".join(f"  {line}" for line in _shown(differences))
        raise UsageError(
            f"{first.run_id} and {second.run_id} do not agree in {_CONDITIONS}:\n{listed}",
            "compare them all the same with --force; for a verdict measure both: "
            "perfkit compare A B",
        )
    return Explored(first, second, differences)


def _is_run(name: str, results: str | os.PathLike[str] | None) -> bool:
    from perfkit.scenario import builtins

    if name.endswith(".toml") or name in builtins():
        return False
    try:
        resolve(name, results=results)
    except PerfkitError:
        return False
    return True


def _conditions(run: Run) -> dict[str, Any]:
    """What two runs must have in common, flat."""
    manifest = run.manifest
    host, redis = manifest.get("host") or {}, manifest.get("redis") or {}
    work = sorted({_work(run, each) for each in manifest["plan"] if each})
    found: dict[str, Any] = {
        "schema_version": manifest.get("schema_version"),
        "host.fingerprint": host.get("fingerprint"),
        "workload": ", ".join(work),
        "synthetic": bool(manifest.get("synthetic")),
    }
    for key in ("cpu_model", "cpus", "memory_bytes", "kernel"):
        found[f"host.{key}"] = host.get(key)
    for key in ("version", "binary_sha256", "url" if not redis.get("private") else "private"):
        found[f"redis.{key}"] = redis.get(key)
    return found


def _work(run: Run, planned: Mapping[str, Any]) -> str:
    """A trial's work whatever its seed: repetitions of one scenario do the same."""
    from perfkit.errors import ScenarioError
    from perfkit.scenario import parse, with_values, workload_digest

    document = planned.get("document")
    if document is None:
        return str(planned.get("workload_digest"))
    try:
        scenario = parse(with_values(document, {"seed": 1}), str(planned.get("label")))
    except (ScenarioError, TypeError):
        return str(planned.get("workload_digest"))
    return f"{planned['scenario']} {workload_digest(scenario)[:12]}"


def _sound(run: Run) -> list[int]:
    statuses = {each.trial: each.status for each in run.verdict().trials}
    return [
        trial
        for trial in run.stored.trials
        if statuses.get(trial) != "INVALID"
        and (
            run.stored.facts(trial).outcome == "complete"
            or run.stored.facts(trial).aborted is not None
        )
    ]


def _words(each: Primary, point: float, low: float, high: float, p: float, level: float) -> str:
    def shown(value: float) -> str:
        if math.isnan(value):
            return "n/a"
        sign = "+" if value > 0 else ""
        if each.is_difference:
            return f"{sign}{100 * value:.3g} points"
        return f"{sign}∞" if math.isinf(value) else f"{sign}{format_percent(value)}"

    ends = "" if math.isnan(low) else f", {100 * level:g} % CI {shown(low)}…{shown(high)}"
    proof = "" if math.isnan(p) else f", p={p_words(p)}"
    return f"{each.name} {shown(point)}{ends}{proof}"


def _shown(differences: Sequence[Difference]) -> list[str]:
    lines = [f"{key}: {a} | {b}" for key, a, b in differences[:_MOST_SHOWN]]
    if len(differences) > _MOST_SHOWN:
        lines.append(f"and {len(differences) - _MOST_SHOWN} more")
    return lines
