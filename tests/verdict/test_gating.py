"""What a gate says of each metric agrees with what it says of them all."""

from __future__ import annotations

import math
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from perfkit.stats import Comparison, Effect, Estimate, Metric, Stability
from perfkit.verdict import gate
from perfkit.verdict.gating import judged

ENDS = st.floats(-0.5, 0.5) | st.sampled_from([math.nan, math.inf, -math.inf])
STABILITIES: list[Stability] = ["held", "candidate unstable", "baseline unstable", "undecided"]


@st.composite
def effects(draw: st.DrawFn) -> Effect:
    low, high = sorted((draw(ENDS), draw(ENDS)))
    point = (low + high) / 2
    return Effect(
        metric=Metric(
            name="P95",
            scale=draw(st.sampled_from(["ratio", "difference"])),
            better=draw(st.sampled_from(["lower", "higher"])),
        ),
        estimate=Estimate(point=point, low=low, high=high, confidence=0.99, n=8, method="drawn"),
        equivalence=(low, high),
        p=0.01,
        p_adjusted=draw(st.sampled_from([0.001, 0.5, math.nan])),
        margin=draw(st.sampled_from([0.05, 0.1])),
        sd=0.02,
        mde=0.03,
        correlation=0.9,
    )


comparisons = st.builds(
    Comparison,
    baseline=st.just("A"),
    candidate=st.just("B"),
    effects=st.lists(effects(), max_size=4).map(tuple),
    level=st.just(0.99),
    pairs=st.sampled_from([2, 8]),
    planned_pairs=st.just(8),
    invalid=st.sampled_from([(0, 0), (1, 0)]),
    unstable=st.just((0, 0)),
    stability=st.sampled_from(STABILITIES),
)


@given(comparisons)
def test_a_gate_passes_if_all_metrics_do_and_fails_if_one_does(comparison: Comparison) -> None:
    found = {each.gate for each in judged(comparison)}
    if "regression" in found:
        assert gate(comparison) == "regression"
    elif found == {"pass"}:
        assert gate(comparison) == "pass"
    else:
        assert gate(comparison) == "inconclusive"


@given(comparisons)
def test_where_nothing_may_be_decided_nothing_is(comparison: Comparison) -> None:
    found = judged(comparison, "the ledger cries wolf")
    assert {each.gate for each in found} <= {"inconclusive"}
    assert all(each.words.startswith("the ledger cries wolf. ") for each in found)


def test_effects_are_told_with_their_sign_and_in_their_unit() -> None:
    estimate = Estimate(point=0.094, low=0.061, high=0.128, confidence=0.99, n=8, method="by hand")
    effect = Effect(
        metric=Metric(name="P95"), estimate=estimate, equivalence=(0.07, 0.12), p=0.008,
        p_adjusted=0.008, margin=0.05, sd=0.02, mde=0.03, correlation=0.9,
    )  # fmt: skip
    errors = replace(effect, metric=Metric(name="error rate", scale="difference"), margin=0.2)
    comparison = Comparison(
        baseline="A", candidate="B", effects=(effect, errors), level=0.99, pairs=8,
        planned_pairs=8, invalid=(0, 0), unstable=(0, 0), stability="held",
    )  # fmt: skip
    p95, rate = judged(comparison)
    assert (p95.effect, p95.interval, p95.margin) == ("+9.4 %", "+6.1 % to +12.8 %", "5.0 %")
    assert (p95.gate, p95.outcome) == ("regression", "worse")
    assert (rate.effect, rate.interval, rate.margin) == ("+0.094", "+0.061 to +0.128", "0.2")
    assert rate.gate == "pass"
