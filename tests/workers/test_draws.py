"""Draws hang on their key, and follow the distribution they claim."""

from __future__ import annotations

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from workers.draws import lognormal, normal, uniform

PARTS = st.lists(st.text(st.characters(codec="utf-8"), max_size=20) | st.integers(), max_size=4)


@given(PARTS)
def test_a_uniform_draw_lies_strictly_between_0_and_1(parts: list[str | int]) -> None:
    assert 0.0 < uniform(*parts) < 1.0


@given(PARTS)
def test_the_same_parts_draw_the_same(parts: list[str | int]) -> None:
    assert uniform(*parts) == uniform(*parts)
    assert normal(*parts) == normal(*parts)


def test_the_order_of_calls_changes_nothing() -> None:
    jobs = [(f"1/{seq}", "webhooks", attempt) for seq in range(300) for attempt in range(3)]
    planned = {job: lognormal(80, 0.9, *job) for job in jobs}
    shuffler = random.Random(1)
    for _ in range(3):
        shuffler.shuffle(jobs)
        assert {job: lognormal(80, 0.9, *job) for job in jobs} == planned


def test_a_draw_is_the_same_in_every_process_and_version() -> None:
    # Known answers: str hashes differ per process, and a change of formula would change all runs.
    assert uniform("1/0", "payments", 0, "delay") == 0.12111812309749437


def test_parts_are_not_run_together() -> None:
    assert (
        len({uniform("a", "bc"), uniform("ab", "c"), uniform("abc"), uniform("a", "b", "c")}) == 4
    )


@pytest.mark.parametrize("purpose", ["delay", "error"])
def test_uniform_draws_are_uniform(purpose: str) -> None:
    draws = [uniform(f"7/{seq}", "payments", 0, purpose) for seq in range(5000)]
    assert stats.kstest(draws, "uniform").pvalue > 0.01


def test_draws_of_one_job_for_different_purposes_are_independent() -> None:
    pairs = [(uniform("7", i, "delay"), uniform("7", i, "error")) for i in range(5000)]
    assert abs(stats.spearmanr([a for a, _ in pairs], [b for _, b in pairs]).statistic) < 0.04


def test_lognormal_draws_have_the_median_and_sigma_asked_for() -> None:
    draws = [lognormal(40, 0.5, "3", seq) for seq in range(5000)]
    assert stats.kstest(draws, stats.lognorm(s=0.5, scale=40).cdf).pvalue > 0.01
    logs = [math.log(draw) for draw in draws]
    assert stats.tmean(logs) == pytest.approx(math.log(40), abs=0.03)
    assert stats.tstd(logs) == pytest.approx(0.5, abs=0.02)


def test_a_sigma_of_0_is_a_constant() -> None:
    assert lognormal(40, 0, "any") == 40
