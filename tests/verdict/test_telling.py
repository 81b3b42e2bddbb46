"""The sentences of a comparison, and when no verdict may be drawn at all."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from perfkit.stats import Metric, compare_pairs
from perfkit.verdict import outcome
from perfkit.verdict.telling import (
    FalseAlarms,
    correlation_words,
    counted_words,
    ledger_words,
    noise_words,
    stage_words,
    verdict_words,
)

METRICS = (Metric(name="P95 of payments"), Metric(name="throughput", better="higher"))
A = [[100.0 + each, 50.0 + each / 100] for each in range(8)]


def compared(slower: float) -> str:
    b = [[p95 * (slower + place / 1000), rate] for place, (p95, rate) in enumerate(A)]
    found = compare_pairs(A, b, margin=0.05, metrics=METRICS)
    return verdict_words(found, outcome(found))


def test_the_first_sentence_is_of_the_metric_that_decides_and_counts_the_others() -> None:
    said = compared(1.2)
    assert said.startswith("B is worse: P95 of payments +20.3 % (95 % CI +20.")
    assert said.endswith("Of 2 metrics: 1 worse, 1 equivalent.")
    assert compared(1.0).endswith("So all 2 metrics.")


@pytest.mark.parametrize(
    ("alarms", "tested", "high", "distrusted"),
    [(0, 20, 0.1684, False), (1, 20, 0.2487, False), (3, 20, 0.3789, False), (5, 20, 0.4910, True)],
)
def test_a_machine_that_cries_wolf_too_often_is_not_trusted(
    alarms: int, tested: int, high: float, distrusted: bool
) -> None:
    ledger = FalseAlarms(comparisons=tested, tested=tested, false_alarms=alarms)
    assert ledger.high == pytest.approx(high, abs=5e-4)  # Clopper and Pearson, from tables
    assert (ledger.distrust(0.05) is not None) == distrusted
    assert (ledger.distrust(0.01) is not None) == distrusted  # ledgers are kept at 5 %


def test_a_distrusted_verdict_is_inconclusive_and_shows_what_it_would_have_been() -> None:
    found = compare_pairs(A, [[2 * p95, rate] for p95, rate in A], margin=0.05, metrics=METRICS)
    distrust = FalseAlarms(comparisons=9, tested=9, false_alarms=5).distrust(0.05)
    said = verdict_words(found, "inconclusive", distrust=distrust)
    assert said.startswith("inconclusive, whatever was measured: 5 of 9 A/A comparisons")
    assert "It would read: B is worse" in said


def test_the_ledger_is_told_with_its_interval_or_as_unknown() -> None:
    assert ledger_words(FalseAlarms()).startswith("False alarms on this machine: not known")
    said = ledger_words(FalseAlarms(comparisons=24, tested=20, false_alarms=1))
    assert said == (
        "False alarms on this machine: 1 of 20 A/A comparisons (5.0 %, 95 % CI 0.1 %…24.9 %)."
    )


def test_counts_that_contradict_each_other_are_refused() -> None:
    with pytest.raises(ValueError, match="3 alarms of 2"):
        FalseAlarms(comparisons=4, tested=2, false_alarms=3)


def rows(*changes: tuple[str, str, float, float]) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "of": "mean", "actor": actor, "stage": stage, "change_ns": change,
                "low_ns": change - 1e6, "high_ns": change + 1e6, "p_adjusted": p,
            }
            for actor, stage, change, p in changes
        ]
    )  # fmt: skip


def test_the_second_sentence_names_actor_and_stage_that_changed_the_largest_first() -> None:
    said = stage_words(
        rows(
            ("charge", "ingest", 2e6, 0.01),
            ("charge", "service", 9e6, 0.0078),
            ("mail", "service", 30e6, 0.4),
        ),
        0.95,
    )
    assert said == (
        "Where: service of charge +9.00 ms (95 % CI +8.00 ms…+10.0 ms, p=.0078); "
        "ingest of charge +2.00 ms (95 % CI +1.00 ms…+3.00 ms, p=.0100)."
    )


def test_what_does_not_stand_out_is_not_named_as_the_cause() -> None:
    said = stage_words(rows(("charge", "service", 1e6, 0.4), ("mail", "ingest", -3e6, 0.2)), 0.95)
    assert said.startswith("Where: no stage's change stands out from the noise; the largest is ")
    assert "ingest of mail -3.00 ms" in said
    assert "not known" in stage_words(pd.DataFrame(), 0.95)
    assert "not known" in stage_words(rows(("mail", "ingest", math.nan, math.nan)), 0.95)


def test_counts_correlation_and_noise_are_told() -> None:
    assert counted_words((0, 1), 1, 8) == (
        "8 valid pairs; invalid trials: 0 of A, 1 of B; 1 pair measured again."
    )
    effects = pd.DataFrame({"metric": ["P95", "errors"], "correlation": [0.914, math.nan]})
    (said,) = correlation_words(effects)
    assert said.endswith("P95 0.91.")
    floor = pd.DataFrame(
        [
            {"metric": "P95", "sd_log": 0.046, "comparisons": 3, "own": True},
            {"metric": "error rate", "sd_log": 0.002, "comparisons": 3, "own": True},
        ]
    )
    (said,) = noise_words(floor)
    assert "3 A/A comparisons of this scenario" in said
    assert said.endswith("P95 4.6 %, error rate 0.002.")
    (said,) = noise_words(floor.assign(sd_log=math.nan))
    assert "not known" in said
