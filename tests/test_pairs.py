"""Pairs of trials: interleaved, ordered by chance, and with the same draws in both arms."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.errors import NotARun, ScenarioError, UsageError
from perfkit.pairs import (
    Arm,
    are_same,
    arm_of,
    digest_of,
    measured_again,
    pair_up,
    partner_of,
    repeats_at_most,
    share_work,
)
from perfkit.plan import build, restore
from perfkit.units import parse_duration_ns

A = Arm(name="a", scenario="smoke")
B = Arm(name="b", scenario="smoke", values={"prefetch": 2})


@settings(max_examples=15, deadline=None)
@given(pairs=st.integers(1, 6), seed=st.integers(0, 2**62))
def test_every_pair_is_two_neighbours_one_of_each_arm_with_one_seed(pairs: int, seed: int) -> None:
    plan = pair_up(A, B, pairs=pairs, values={"seed": seed})
    assert [trial.index for trial in plan.trials] == list(range(2 * pairs))
    for first in plan.trials[::2]:
        second = plan.trials[partner_of(first.index)]
        assert {arm_of(first), arm_of(second)} == {"A", "B"}
        assert first.seed == second.seed
        assert first.repetition == second.repetition == first.index // 2
    assert len({trial.seed for trial in plan.trials}) == pairs
    assert plan.trials[0].seed == seed
    assert plan == pair_up(A, B, pairs=pairs, values={"seed": seed})


def test_the_order_within_the_pairs_is_drawn_and_not_biased() -> None:
    firsts = Counter(
        arm_of(pair_up(A, B, pairs=1, values={"seed": seed}).trials[0]) for seed in range(120)
    )
    assert 40 <= firsts["A"] <= 80  # of 120; 4 sd are 22


def test_arms_get_their_own_values_and_what_is_set_for_both() -> None:
    plan = pair_up(A, B, pairs=1, values={"rate": 30.0})
    by_arm = {arm_of(trial): trial.scenario for trial in plan.trials}
    assert by_arm["A"].stack.prefetch != by_arm["B"].stack.prefetch == 2
    assert {each.load.rate for each in by_arm.values()} == {30.0}
    assert share_work(by_arm["A"], by_arm["B"])
    assert not are_same(by_arm["A"], by_arm["B"])


def test_the_seed_of_one_arm_alone_is_refused() -> None:
    with pytest.raises(UsageError, match="the seed is that of both arms"):
        pair_up(A, Arm(name="b", scenario="smoke", values={"seed": 7}))


def test_the_windows_are_those_of_a_comparison_unless_they_are_set() -> None:
    window = pair_up(A, B, pairs=1).trials[0].scenario.window
    assert (window.warmup_ns, window.duration_ns, window.drain_ns) == tuple(
        parse_duration_ns(text) for text in ("5s", "20s", "5s")
    )
    given = pair_up(A, B, pairs=1, values={"duration": "7s"}).trials[0].scenario
    assert given.window_ns == parse_duration_ns("7s")
    phased = Arm(name="spike", scenario="spike-open")
    whole = build(["spike-open"]).trials[0].scenario
    assert pair_up(phased, phased, pairs=1).trials[0].scenario.window_ns == whole.window_ns


def test_a_pair_measured_again_is_appended_with_draws_of_its_own() -> None:
    plan = pair_up(A, B, pairs=3)
    more = measured_again(plan, {1: "trial 3 is INVALID"})
    assert more.trials[:6] == plan.trials
    again = more.trials[6:]
    assert [trial.index for trial in again] == [6, 7]
    assert {trial.repetition for trial in again} == {1}
    assert {trial.reason for trial in again} == {"trial 3 is INVALID"}
    assert again[0].seed == again[1].seed
    assert again[0].seed not in {trial.seed for trial in plan.trials}
    prefetch = {arm_of(trial): trial.scenario.stack.prefetch for trial in again}
    assert prefetch["B"] == 2
    twice = measured_again(more, {1: "once more"})
    assert len({trial.seed for trial in twice.trials}) == 5
    with pytest.raises(UsageError, match="no pair 9"):
        measured_again(plan, {9: ""})


def test_it_is_restored_from_its_manifest() -> None:
    plan = measured_again(pair_up(A, B, pairs=2), {0: "again"})
    assert restore({"name": plan.name, **plan.facts()}) == plan


def test_two_names_of_one_thing_are_the_same_and_an_environment_tells_them_apart(
    tmp_path: Path,
) -> None:
    smoke = build(["smoke"]).trials[0]
    assert are_same(smoke.scenario, build(["smoke"], values={"seed": 9}).trials[0].scenario)
    assert digest_of(smoke.scenario) == digest_of(
        build(["smoke"], values={"name": "other"}).trials[0].scenario
    )
    path = tmp_path / "own.toml"
    path.write_text(
        """
        name = "own"
        load = { model = "open", via = "enqueue", rate = 5 }
        job = [{ queue = "mail", actor = "send" }]
        system = { broker = "shop.app:broker" }
        """
    )
    one, other = (
        build([str(path)], values={"system.env.MODE": mode}).trials[0].scenario
        for mode in ("old", "new")
    )
    assert not are_same(one, other)


@pytest.mark.parametrize(("pairs", "most"), [(1, 2), (4, 2), (8, 4), (16, 8)])
def test_half_of_the_pairs_may_be_measured_again(pairs: int, most: int) -> None:
    assert repeats_at_most(pairs) == most


def test_what_makes_no_comparison_is_refused() -> None:
    with pytest.raises(UsageError, match="0 pairs"):
        pair_up(A, B, pairs=0)
    with pytest.raises(UsageError, match="for both arms and for one"):
        pair_up(A, B, values={"stack.prefetch": 4})
    with pytest.raises(UsageError, match="nowhere"):
        pair_up(A, Arm(name="x", scenario="nowhere"))
    with pytest.raises(ScenarioError, match="prefetsch"):
        pair_up(A, Arm(name="x", scenario="smoke", values={"stack.prefetsch": 4}))
    with pytest.raises(NotARun, match="no arm"):
        arm_of(build(["smoke"]).trials[0])
