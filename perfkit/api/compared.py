"""A comparison, read: two arms over interleaved pairs, and what may be said of them.

A comparison is a run like any other (`Compared.run`) whose manifest says what was asked. All that
is said here follows from the sealed run; ``comparison.json`` beside it is a copy for other tools.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

import numpy as np
import pandas as pd

from perfkit.api.asked import Asked
from perfkit.api.comparing_shift import drift_of_pairs, shift_of_quantiles
from perfkit.api.comparing_stages import stage_effects
from perfkit.api.comparing_trials import Attempts, Pair, attempts_of, measured_trials
from perfkit.api.environments import environment_difference
from perfkit.api.runs import Run, open_run
from perfkit.frames import AT_EQUAL_SPEED, Primary, primaries_of
from perfkit.stats import Comparison, Metric, compare_pairs
from perfkit.stats.detecting import detectable_by_flips
from perfkit.verdict import Outcome, describe, outcome, outcome_of
from perfkit.verdict.telling import (
    FalseAlarms,
    correlation_words,
    counted_words,
    ledger_words,
    noise_words,
    stage_words,
    verdict_words,
)

__all__ = ["Compared", "open_comparison"]

_LOPSIDED: Final = 3
"""So many more invalid trials in one arm, those measured again included, make the rest a selection:
3 against 0 has a chance of 1 in 4 where both arms are alike, 2 against 0 of 1 in 2."""


@dataclass(frozen=True, eq=False)
class Compared:
    """Candidate against baseline: the statistics, the words, and the rows behind them."""

    run: Run
    asked: Asked

    def __repr__(self) -> str:
        return f"<Compared {self.baseline} v {self.candidate}: {self.outcome}>"

    @property
    def path(self) -> Path:
        """Folder of the run."""
        return self.run.path

    @property
    def manifest(self) -> Mapping[str, Any]:
        """Of the run."""
        return self.run.manifest

    @property
    def baseline(self) -> str:
        """Name of arm A."""
        return self.asked.baseline

    @property
    def candidate(self) -> str:
        """Name of arm B."""
        return self.asked.candidate

    @property
    def same(self) -> bool:
        """Whether both arms are the same thing: an A/A comparison."""
        return self.asked.same

    @property
    def facts(self) -> Mapping[str, Any]:
        """What the caller wished to keep with it, such as a gate's baseline."""
        return self.asked.facts

    @functools.cached_property
    def attempts(self) -> Attempts:
        """Every pair that was measured, and which of its attempts counts."""
        return attempts_of(self.run, self.asked.pairs)

    @property
    def pairs(self) -> tuple[tuple[int, int], ...]:
        """Trials of A and of B, of each pair that counts; all of them are valid."""
        return tuple((each.a, each.b) for each in self.attempts.counted if each.valid)

    @property
    def invalid(self) -> tuple[int, int]:
        """Trials of A and of B that were not valid, those measured again included."""
        return self.attempts.invalid

    @property
    def repeated(self) -> int:
        """How many pairs were measured again."""
        return len(self.attempts.replaced)

    @functools.cached_property
    def primaries(self) -> tuple[Primary, ...]:
        """The figures that are compared: those that both arms have."""
        found = tuple(each for each in primaries_of(self.run.stored) if self._has(each))
        return (*found, AT_EQUAL_SPEED) if AT_EQUAL_SPEED.name in self.attempts.values else found

    @functools.cached_property
    def left_out(self) -> tuple[str, ...]:
        """Figures that one arm, or both, has in no trial."""
        return tuple(each.name for each in primaries_of(self.run.stored) if not self._has(each))

    @functools.cached_property
    def comparison(self) -> Comparison:
        """The statistics of it."""
        rows = self._rows()
        metrics = [self._metric(each) for each in self.primaries]
        valid = [[each.valid_a for each in rows], [each.valid_b for each in rows]]
        shaky = [[each.unstable_a for each in rows], [each.unstable_b for each in rows]]
        return compare_pairs(
            self._values("A", rows),
            self._values("B", rows),
            margin=[self.asked.margins[each.kind] for each in self.primaries],
            level=self.asked.level,
            metrics=metrics,
            valid=valid,
            unstable=shaky,
            baseline=self.baseline,
            candidate=self.candidate,
            seed=self.asked.seed,
        )

    @property
    def downgraded(self) -> str | None:
        """Why no verdict may be drawn on this machine, in words; None where one may."""
        return self.ledger.distrust(1 - self.asked.level)

    @property
    def outcome(self) -> Outcome:
        """What the comparison says as a whole."""
        return "inconclusive" if self.downgraded else outcome(self.comparison)

    @property
    def ledger(self) -> FalseAlarms:
        """How often A/A comparisons on this machine cried wolf, as known when it began."""
        return self.asked.ledger

    @property
    def noise_floor(self) -> pd.DataFrame:
        """What A/A comparisons on this machine have shown, as known when this one began.

        One row per metric. Columns: metric, sd_log (of the pairs' log ratios; of an error rate of
        its differences), pairs, comparisons, own (of the same scenario), mde (found with a power
        of 80 % by the pairs of this one, among all its metrics). NaN where the ledger had nothing.
        """
        pairs, level, rows = max(1, self.comparison.pairs), self.asked.level, []
        multiple = detectable_by_flips(pairs, max(1, len(self.primaries)), level=level)
        for each in self.primaries:
            noise = self.asked.noise.get(each.name)
            sd = math.nan if noise is None else noise.sd
            shift = math.inf if math.isinf(multiple) else multiple * sd
            mde = shift if each.is_difference or not shift < 700 else math.expm1(shift)
            rows.append(
                {
                    "metric": each.name,
                    "sd_log": sd,
                    "pairs": 0 if noise is None else noise.pairs,
                    "comparisons": 0 if noise is None else noise.comparisons,
                    "own": noise is not None and noise.own,
                    "mde": math.nan if noise is None else mde,
                }
            )
        columns = ["metric", "sd_log", "pairs", "comparisons", "own", "mde"]
        return pd.DataFrame(rows, columns=columns)

    @functools.cached_property
    def environment_difference(self) -> tuple[tuple[str, str, str], ...]:
        """What the arms were asked, or ran with, that is not the same: key, in A, in B."""
        return environment_difference(self.run, self.attempts)

    def effects(self) -> pd.DataFrame:
        """One row per metric, the worst first.

        Columns: metric, kind, queue ("all" of what is not by queue), unit ("ns", "per_s", "ms",
        "share"), scale, better, outcome, point, low, high, equivalence_low, equivalence_high
        (B / A - 1, or B - A), p, p_adjusted, margin, sd, mde, correlation, planned_sd, baseline,
        candidate (of the arm's values: the geometric mean, of shares the mean), words.
        """
        said = get_args(Outcome)
        rows = []
        for each, effect in zip(self.primaries, self.comparison.effects, strict=True):
            valid = [pair for pair in self.attempts.counted if pair.valid]
            arms = {arm: self._values(arm, valid, each)[:, 0] for arm in ("A", "B")}
            word = outcome_of(self.comparison, effect)
            rows.append(
                {
                    "metric": each.name,
                    "kind": each.kind,
                    "queue": each.queue,
                    "unit": each.unit,
                    "scale": effect.metric.scale,
                    "better": effect.metric.better,
                    "outcome": word,
                    "point": effect.estimate.point,
                    "low": effect.estimate.low,
                    "high": effect.estimate.high,
                    "equivalence_low": effect.equivalence[0],
                    "equivalence_high": effect.equivalence[1],
                    "p": effect.p,
                    "p_adjusted": effect.p_adjusted,
                    "margin": effect.margin,
                    "sd": effect.sd,
                    "mde": effect.mde,
                    "correlation": effect.correlation,
                    "planned_sd": effect.metric.planned_sd,
                    "baseline": _mean(arms["A"], each.is_difference),
                    "candidate": _mean(arms["B"], each.is_difference),
                    "words": describe(self.comparison, effect),
                    "_rank": said.index(word),
                }
            )
        frame = pd.DataFrame(rows)
        if frame.empty:
            return frame
        frame["_p"] = frame["p_adjusted"].fillna(2.0)
        return frame.sort_values(["_rank", "_p"], kind="stable", ignore_index=True).drop(
            columns=["_rank", "_p"]
        )

    def trials(self) -> pd.DataFrame:
        """One row per trial, in the order in which they were measured.

        Columns: trial, pair (from 0), arm ("A", "B"), order (from 0), at_s (since the first trial
        began), status (the verdict on it), valid, unstable, replaced (its pair was measured again),
        reasons, and one column per metric (see `perfkit.frames.primaries`).
        """
        return measured_trials(self.run, self.attempts)

    def stages(self) -> pd.DataFrame:
        """How each stage of each actor's jobs changed, over the pairs.

        One row per queue, actor, of ("mean", "p50", "p99") and stage. Columns: queue, actor, of,
        stage, baseline_ns, candidate_ns, change_ns (mean over pairs of B - A), low_ns, high_ns
        (Student's t), p (sign flips, this row alone), p_adjusted (max-T among the rows of the same
        ``of``). Rows of p50 and p99 are contributions that add up to the quantile.
        """
        return self._stages

    def shift(self) -> pd.DataFrame:
        """How every quantile of the latency moved: the hierarchical shift function over the pairs.

        One row per queue and quantile of which every trial has a few jobs beyond. Columns: queue,
        quantile, pairs, baseline_ns, candidate_ns (medians of the trials), point, low, high (B / A
        - 1: trimmed mean over pairs, Yuen's interval), change_ns, change_low_ns, change_high_ns
        (B - A), p, p_adjusted (Hochberg over the quantiles of a queue), moved (proved to have),
        warning.
        """
        return shift_of_quantiles(self.run, self.pairs, self.asked.level)

    def drift(self) -> pd.DataFrame:
        """How much the machine changed from the first pair to the last, both arms alike.

        One row per metric that has a ratio, but for the throughput. Columns: metric, kind, queue,
        pairs, point, low, high (shares of one; all rows at once, by Bonferroni). Interleaved pairs
        keep it out of the effects.
        """
        return drift_of_pairs(self.trials(), self.primaries, self.asked.level)

    @functools.cached_property
    def _stages(self) -> pd.DataFrame:
        return stage_effects(self.run, self.pairs, self.asked.level)

    def sentences(self) -> tuple[str, ...]:
        """The verdict; which actor and stage changed; then what it rests on."""
        comparison, effects = self.comparison, self.effects()
        first = verdict_words(comparison, self.outcome, same=self.same, distrust=self.downgraded)
        second = stage_words(self.stages(), self.asked.level)
        return (
            first,
            second,
            *self._warnings(),
            counted_words(self.attempts.invalid, self.repeated, comparison.pairs),
            *correlation_words(effects),
            *noise_words(self.noise_floor),
            ledger_words(self.ledger),
        )

    def _warnings(self) -> list[str]:
        found = list(self.asked.warnings)
        if missing := self.attempts.unmeasured:
            found.append(
                f"{missing} of {self.asked.pairs} pairs were not measured: the comparison was cut "
                f"short; {self._how_to_go_on()}"
            )
        found += self._why_invalid()
        if self.left_out:
            found.append(f"not compared, since an arm has no value: {', '.join(self.left_out)}")
        # An inconclusive verdict says these itself.
        if self.outcome != "inconclusive":
            found += self.comparison.warnings
        return [f"{each[0].upper()}{each[1:]}." for each in found]

    def _why_invalid(self) -> Iterator[str]:
        for arm in ("A", "B"):
            bad = [
                each
                for each in self.attempts.judged.values()
                if each.arm == arm and not (each.valid or each.pending)
            ]
            if bad:
                why = f": {bad[0].reasons[0]}" if bad[0].reasons else ""
                more = f" and {len(bad) - 1} more" if bad[1:] else ""
                yield f"not valid of {arm}: trial {bad[0].trial} ({bad[0].status}{why}){more}"

    def _how_to_go_on(self) -> str:
        if self.asked.of_versions:
            return "its versions are not kept: measure it anew"
        systems = [each["document"].get("system") or {} for each in self.manifest["plan"]]
        if any(each.get("env") for each in systems):
            return "values of system.env are not kept: measure it anew"
        return f"`perfkit compare --resume {self.run.name}/{self.run.run_id}` measures them"

    def document(self) -> dict[str, Any]:
        """As JSON's types: what ``comparison.json`` and ``compare --json`` hold."""
        from perfkit.api.comparing_document import document

        return document(self)

    def _rows(self) -> tuple[Pair, ...]:
        """Those that count; all that were measured where one arm was invalid far more often."""
        a, b = self.attempts.invalid
        if abs(a - b) >= _LOPSIDED:
            return (*self.attempts.counted, *self.attempts.replaced)
        return self.attempts.counted

    def _metric(self, each: Primary) -> Metric:
        noise = self.asked.noise.get(each.name)
        return Metric(
            name=each.name,
            scale="difference" if each.is_difference else "ratio",
            better="higher" if each.higher_is_better else "lower",
            planned_sd=math.nan if noise is None else noise.sd,
        )

    def _values(
        self, arm: str, rows: tuple[Pair, ...] | list[Pair], only: Primary | None = None
    ) -> np.ndarray[Any, np.dtype[np.float64]]:
        names = [each.name for each in self.primaries if only in (None, each)]
        trials = [pair.a if arm == "A" else pair.b for pair in rows]
        return self.attempts.values.reindex(trials)[names].to_numpy(dtype=np.float64)

    def _has(self, each: Primary) -> bool:
        measured = self.attempts.counted
        if not measured:
            return True
        values = self.attempts.values.reindex
        return all(
            bool(values([getattr(pair, arm) for pair in measured])[each.name].notna().any())
            for arm in ("a", "b")
        )


def open_comparison(path: str | Path | Run) -> Compared:
    """Open the sealed run of a comparison by its folder.

    Raises:
        NotARun: the folder holds none, or a run that is no comparison.
        RunNotSealed: it is still being measured, or was killed.
    """
    run = path if isinstance(path, Run) else open_run(path)
    return Compared(run, Asked.of(run.manifest, run.path))


def _mean(values: np.ndarray[Any, np.dtype[np.float64]], plain: bool) -> float:
    known = values[~np.isnan(values)]
    if not len(known):
        return math.nan
    if plain:
        return float(known.mean())
    with np.errstate(divide="ignore", invalid="ignore"):  # zero in one trial, infinite in another
        return float(np.exp(np.log(known).mean()))
