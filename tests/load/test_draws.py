"""Keyed draws."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.load.draws import choice, job_id, unit


@given(st.integers(), st.lists(st.one_of(st.integers(), st.text(max_size=5)), max_size=4))
def test_a_draw_lies_strictly_between_0_and_1(seed: int, parts: list[int | str]) -> None:
    assert 0 < unit(seed, *parts) < 1


def test_draws_do_not_depend_on_the_order_of_arrival() -> None:
    keys = [f"7/{seq}" for seq in range(500)]
    shuffled = random.Random(1).sample(keys, len(keys))
    in_order = {key: (unit(key, "queue"), job_id("n", key)) for key in keys}
    assert {key: (unit(key, "queue"), job_id("n", key)) for key in shuffled} == in_order


def test_a_seed_and_its_parts_may_be_given_joined() -> None:
    assert unit(7, 12, "queue") == unit("7/12", "queue") == unit("7/12/queue")


def test_draws_are_spread_evenly() -> None:
    draws = [unit(3, n) for n in range(20_000)]
    deciles = Counter(int(10 * draw) for draw in draws)
    assert sum(draws) / len(draws) == pytest.approx(0.5, abs=0.01)
    assert all(count == pytest.approx(2000, rel=0.1) for count in deciles.values())


@given(st.lists(st.floats(0, 100), min_size=1, max_size=6), st.floats(0, 1, exclude_max=True))
def test_a_choice_cuts_the_line_by_weight(weights: list[float], u: float) -> None:
    if not any(weights):
        with pytest.raises(ValueError, match="no weight"):
            choice(weights, u)
        return
    chosen = choice(weights, u)
    point = u * sum(weights)
    slack = 1e-9 * sum(weights)
    assert weights[chosen] > 0
    assert sum(weights[:chosen]) - slack <= point <= sum(weights[: chosen + 1]) + slack


def test_shares_follow_the_weights() -> None:
    counts = Counter(choice((22, 47, 31), unit(1, n, "queue")) for n in range(20_000))
    assert [counts[i] / 20_000 for i in range(3)] == pytest.approx([0.22, 0.47, 0.31], abs=0.01)


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_job_id_is_the_uuid_of_nonce_and_key(nonce: str, key: str) -> None:
    digest = blake2b(f"{nonce}|{key}".encode(), digest_size=16).digest()
    assert job_id(nonce, key) == str(uuid.UUID(bytes=digest, version=4))
