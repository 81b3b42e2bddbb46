"""The sentences of a comparison: its verdict, what changed where, and what it all rests on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, get_args

from perfkit.stats import Comparison
from perfkit.units import format_duration, format_percent
from perfkit.verdict.comparing import Outcome, describe, outcome_of, p_words

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FalseAlarms",
    "correlation_words",
    "counted_words",
    "ledger_words",
    "noise_words",
    "stage_words",
    "verdict_words",
]

_INTERVAL: Final = 0.95
_MOST_STAGES: Final = 3
_LEAST_NS: Final = 1_000.0


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseAlarms:
    """How often comparisons of a thing with itself said that it differs."""

    comparisons: int = 0
    """In the ledger of this machine."""
    tested: int = 0
    """Those of enough pairs to raise an alarm."""
    false_alarms: int = 0

    def __post_init__(self) -> None:
        if not 0 <= self.false_alarms <= self.tested <= self.comparisons:
            raise ValueError(
                f"{self.false_alarms} alarms of {self.tested} tested of {self.comparisons} in all"
            )

    @property
    def rate(self) -> float:
        """Share of those tested; NaN of none."""
        return self.false_alarms / self.tested if self.tested else math.nan

    @property
    def interval(self) -> tuple[float, float]:
        """The rate's interval at 95 % (Clopper and Pearson 1934); 0 to 1 where none was tested."""
        from scipy.stats import binomtest

        if not self.tested:
            return 0.0, 1.0
        found = binomtest(self.false_alarms, self.tested).proportion_ci(_INTERVAL, method="exact")
        return float(found.low), float(found.high)

    @property
    def low(self) -> float:
        """Lower end of the interval."""
        return self.interval[0]

    @property
    def high(self) -> float:
        """Upper end of the interval."""
        return self.interval[1]

    def distrust(self, allowed: float) -> str | None:
        """Why no verdict may be drawn here, in words: the rate is proved to be above its promise.

        ``allowed`` is the promised rate; ledgers are kept at 5 %, so that is the least.
        """
        bound = max(allowed, 1 - _INTERVAL)
        if self.low <= bound:
            return None
        low, high = (format_percent(each) for each in self.interval)
        return (
            f"{self.false_alarms} of {self.tested} A/A comparisons on this machine raised a false "
            f"alarm (95 % CI {low}…{high}), more than the {format_percent(bound, 0)} promised"
        )


def verdict_words(
    comparison: Comparison, said: Outcome, *, same: bool = False, distrust: str | None = None
) -> str:
    """The first sentence: the outcome by the metric that decided it, and how the others are."""
    prefix = "A/A, so there is nothing to find: " if same else ""
    if not comparison.effects:
        return f"{prefix}inconclusive: no metric is known in both arms."
    words = {effect.metric.name: outcome_of(comparison, effect) for effect in comparison.effects}
    worst = said if distrust is None else min(words.values(), key=_rank)
    deciding = [each for each in comparison.effects if words[each.metric.name] == worst]
    first = min(deciding or comparison.effects, key=lambda each: _strength(each.p_adjusted))
    told = describe(comparison, first)
    counts = Counter(words.values())
    rest = ", ".join(
        f"{number} {word}"
        for word, number in sorted(counts.items(), key=lambda each: _rank(each[0]))
    )
    several = f" Of {len(words)} metrics: {rest}." if len(counts) > 1 else (
        f" So all {len(words)} metrics." if len(words) > 1 else ""
    )  # fmt: skip
    if distrust is not None:
        told = f"inconclusive, whatever was measured: {distrust}. It would read: {told}"
    return f"{prefix}{told}{several}"


def stage_words(stages: pd.DataFrame, level: float) -> str:
    """The second sentence: in which actor and stage the mean time of a job changed."""
    table = stages[stages["of"] == "mean"] if len(stages) else stages
    if not len(table):
        return "Which stage changed is not known: no job of a valid pair has stages."
    proved = table[
        (table["p_adjusted"] <= 1 - level) & (table["change_ns"].abs() >= _LEAST_NS)
    ].sort_values("change_ns", key=abs, ascending=False, kind="stable")
    if len(proved):
        rows = proved.head(_MOST_STAGES).to_dict("records")
        more = len(proved) - len(rows)
        told = "; ".join(_stage(row, level) for row in rows)
        return f"Where: {told}{f'; and {more} more' if more else ''}."
    known = table[table["change_ns"].notna()]
    if not len(known):
        return "Which stage changed is not known: the pairs are too few."
    largest = known.sort_values("change_ns", key=abs, ascending=False, kind="stable").head(1)
    [row] = largest.to_dict("records")
    return (
        f"Where: no stage's change stands out from the noise; the largest is {_stage(row, level)}."
    )


def counted_words(invalid: tuple[int, int], repeated: int, pairs: int) -> str:
    """How many trials were not valid, arm by arm, and what was done about it."""
    again = f"{repeated} {'pair' if repeated == 1 else 'pairs'} measured again"
    return f"{pairs} valid pairs; invalid trials: {invalid[0]} of A, {invalid[1]} of B; {again}."


def correlation_words(effects: pd.DataFrame) -> Iterator[str]:
    """What pairing gained, by the metrics' realised correlations."""
    if not len(effects):
        return
    known = effects[effects["correlation"].notna()]
    if not len(known):
        yield "Correlation within the pairs: not known."
        return
    told = ", ".join(
        f"{name} {value:.2f}"
        for name, value in zip(known["metric"], known["correlation"], strict=True)
    )
    yield f"Correlation within the pairs (the same draws in both arms): {told}."


def noise_words(floor: pd.DataFrame) -> Iterator[str]:
    """This machine's noise floor, from A/A comparisons."""
    known = floor[floor["sd_log"].notna()]
    if not len(known):
        yield (
            "Noise floor of this machine: not known; `perfkit compare A A` of any scenario "
            "measures it."
        )
        return
    told = ", ".join(f"{row['metric']} {_spread(row)}" for row in known.to_dict("records"))
    most = int(known["comparisons"].max())
    of = "this scenario" if bool(known["own"].all()) else "whatever was compared here"
    count = f"{most} A/A {'comparison' if most == 1 else 'comparisons'} of {of}"
    yield f"Noise floor of this machine, s_d between pairs of the same ({count}): {told}."


def ledger_words(ledger: FalseAlarms) -> str:
    """The rate of false alarms on this machine."""
    if not ledger.tested:
        return (
            "False alarms on this machine: not known, no A/A comparison of enough pairs is in its "
            "ledger."
        )
    low, high = (format_percent(each) for each in ledger.interval)
    return (
        f"False alarms on this machine: {ledger.false_alarms} of {ledger.tested} A/A comparisons "
        f"({format_percent(ledger.rate)}, 95 % CI {low}…{high})."
    )


def _stage(row: Mapping[Hashable, object], level: float) -> str:
    change, low, high = (
        _signed(float(str(row[key]))) for key in ("change_ns", "low_ns", "high_ns")
    )
    ends = f"{100 * level:g} % CI {low}…{high}" if "n/a" not in (low, high) else "no interval"
    p = float(str(row["p_adjusted"]))
    proof = "" if math.isnan(p) else f", p={p_words(p)}"
    return f"{row['stage']} of {row['actor']} {change} ({ends}{proof})"


def _signed(ns: float) -> str:
    if math.isnan(ns):
        return "n/a"
    return f"{'+' if ns > 0 else '-' if ns < 0 else ''}{format_duration(abs(ns))}"


def _spread(row: Mapping[Hashable, object]) -> str:
    sd = float(str(row["sd_log"]))
    return f"{sd:.2g}" if row["metric"] == "error rate" else format_percent(sd)


def _rank(said: Outcome) -> int:
    return get_args(Outcome).index(said)


def _strength(p: float) -> float:
    return 2.0 if math.isnan(p) else p
