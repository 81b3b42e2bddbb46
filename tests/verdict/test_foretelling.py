"""What is said before a comparison starts: how long, what it can find, and what it can't."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from perfkit.api.comparing_plan import arms_of, ask, design_of
from perfkit.pairs import pair_up
from perfkit.stats.detecting import detectable_by_flips
from perfkit.store.aa import AA, Figure, Ledger
from perfkit.verdict.foretelling import foretell, half_width, resolutions, utilisation
from tests.store.test_aa import FOUND

FIGURES = (
    Figure(name="P95 of payments", kind="p95", sd=0.02, p_adjusted=0.5),
    Figure(name="P99 of payments", kind="p99", sd=0.30, p_adjusted=0.5),
    Figure(name="error rate", kind="errors", sd=0.001, p_adjusted=0.5),
)


def foretold(
    *known: AA,
    set_b: dict[str, Any] | None = None,
    asked: dict[str, Any] | None = None,
    **given: Any,
) -> str:
    a, b = arms_of("smoke", "smoke", {}, set_b or {})
    plan = pair_up(a, b, **given)
    return "\n".join(foretell(design_of(plan, ask(plan, (a, b), Ledger(known), **(asked or {})))))


def test_without_a_ledger_it_says_that_it_does_not_know() -> None:
    said = foretold(set_b={"prefetch": 2})
    assert "smoke prefetch=2 against smoke: 8 pairs of trials, 7 m 28 s to " in said
    assert "What it can resolve is not known" in said
    assert "at most 4 pairs are measured again" in said
    assert "drawn from seed 1" in said


def test_with_a_ledger_it_says_what_it_finds_and_what_it_cannot_resolve() -> None:
    said = foretold(replace(FOUND, figures=FIGURES))
    # 8 pairs find 1.90 s_d of one metric among 13: exp(1.90 x 0.02) - 1, and so on.
    assert detectable_by_flips(8, 13) == pytest.approx(1.90, abs=0.04)
    assert "P95 of payments 3.9 %" in said
    assert "P99 of payments 7" in said
    assert "error rate 0.19 points" in said
    assert "It cannot resolve what matters in: P99 of " in said
    assert "(margin 10.0 %)" in said
    assert "of other scenarios, so take it as a hint" in said
    assert "both are the same (A/A)" in said


def test_few_pairs_other_work_and_a_busy_system_are_warned_of() -> None:
    assert "3 pairs are exploratory" in foretold(pairs=3)
    assert "not asked to do the same work" in foretold(set_b={"rate": 20.0})
    assert "busy: one trial of" in foretold(values={"rate": 250.0})
    assert "will not sustain its load" in foretold(set_b={"rate": 1000.0})
    assert "lie beyond the P99 of payments" in foretold(values={"rate": 20.0})


def test_pairs_that_can_prove_nothing_are_told_of_before_anything_is_measured() -> None:
    known = replace(FOUND, figures=FIGURES)
    said = foretold(known, pairs=7, asked={"level": 0.99})
    assert "It can prove no difference: 7 pairs have a p of .0156 at the least" in said
    assert "With 80 % power" not in said
    assert "It can prove no difference" not in foretold(known, pairs=7)


def test_a_gate_is_told_where_its_intervals_are_wider_than_its_margins() -> None:
    known = replace(FOUND, figures=FIGURES)
    said = foretold(known, asked={"level": 0.99, "gate": True})
    # At 99 % half an interval of 8 pairs is 1.237 s_d: exp(1.237 x 0.3) - 1.
    assert "hardly pass even what is equal: intervals as wide as the margin in P99 of " in said
    assert "P99 of payments (±44.9 %)" in said
    assert "P95 of payments (±" not in said
    assert "hardly pass" not in foretold(known, asked={"level": 0.99})


def test_the_busier_arm_is_the_one_that_is_warned_of() -> None:
    said = foretold(set_b={"rate": 250.0}, values={"duration": "20s"})
    assert "one trial of 5,000 jobs" in said  # of B: 250/s for 20 s


def test_utilisation_is_load_times_mean_delay_over_slots() -> None:
    scenario = pair_up(*arms_of("smoke", "smoke", {}, {}), pairs=1).trials[0].scenario
    mean_s = (
        0.22 * 0.040 * math.exp(0.125) + 0.47 * 0.015 * math.exp(0.08)
        + 0.31 * 0.080 * math.exp(0.405)
    )  # fmt: skip
    assert utilisation(scenario) == pytest.approx(150 * mean_s / 16)


@pytest.mark.parametrize(
    ("rho", "width"), [(0.5, 0.106), (0.7, 0.154), (0.8, 0.218), (0.9, 0.413), (0.95, 0.804)]
)
def test_the_half_width_is_that_of_the_planning_table(rho: float, width: float) -> None:
    assert half_width(rho, 10_000) == pytest.approx(width, abs=6e-4)


def test_the_half_width_of_nothing_is_refused() -> None:
    for rho, jobs in ((0.0, 10.0), (1.0, 10.0), (0.5, 0.0)):
        with pytest.raises(ValueError, match="rho"):
            half_width(rho, jobs)


def test_one_pair_can_find_nothing() -> None:
    a, b = arms_of("smoke", "smoke", {}, {})
    plan = pair_up(a, b, pairs=1)

    design = design_of(plan, ask(plan, (a, b), Ledger((replace(FOUND, figures=FIGURES),))))
    assert not any(each.suffices for each in resolutions(design))
