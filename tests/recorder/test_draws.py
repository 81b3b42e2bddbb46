"""Keyed draws."""

from __future__ import annotations

import random
import uuid
from collections import Counter
from hashlib import blake2b

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.recorder.draws import choice, drawn, is_drawn, job_id, job_key, unit


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


WHOLE = {"seeded": "int", "low": -3, "high": 3}
NUMBER = {"seeded": "float", "low": 0.5, "high": 2.5}
ONE_OF = {"seeded": "choice", "values": ["s", "m", "l"]}
TEXT = {"seeded": "text", "length": 70}


def test_drawn_arguments_do_not_depend_on_the_order_of_arrival() -> None:
    argument = [WHOLE, NUMBER, {"size": ONE_OF, "name": TEXT}, {"seeded": "key"}, "literal"]
    keys = [f"7/{seq}" for seq in range(200)]
    in_order = {key: drawn(argument, key, "resize", "args") for key in keys}
    shuffled = random.Random(1).sample(keys, len(keys))
    assert {key: drawn(argument, key, "resize", "args") for key in shuffled} == in_order
    assert in_order["7/12"][3:] == ["7/12", "literal"]


def test_drawn_values_keep_to_their_kinds() -> None:
    keys = [f"7/{seq}" for seq in range(2000)]
    assert {drawn(WHOLE, key, 0) for key in keys} == set(range(-3, 4))
    assert {drawn(ONE_OF, key, 0) for key in keys} == {"s", "m", "l"}
    numbers = [drawn(NUMBER, key, 0) for key in keys]
    assert 0.5 < min(numbers) < 0.6
    assert 2.4 < max(numbers) < 2.5
    texts = {drawn(TEXT, key, 0) for key in keys}
    assert len(texts) == 2000
    assert {len(text) for text in texts} == {70}
    assert set("".join(texts)) == set("abcdefghijklmnopqrstuvwxyz234567")


def test_drawn_values_are_spread_evenly() -> None:
    shares = Counter(drawn(ONE_OF, f"7/{seq}", 0) for seq in range(9000))
    assert all(count == pytest.approx(3000, rel=0.05) for count in shares.values())


def test_two_places_actors_or_seeds_are_two_draws() -> None:
    draws = {
        drawn(TEXT, key, actor, "args", place)
        for key in ("7/1", "8/1")
        for actor in ("resize", "publish")
        for place in (0, 1)
    }
    assert len(draws) == 8


def test_what_is_not_drawn_is_passed_on_as_it_is() -> None:
    literal = {"a": [1, {"b": None}], "c": "seeded"}
    assert drawn(literal, "7/1", 0) == literal
    assert not is_drawn(literal)
    assert is_drawn([{"deep": [WHOLE]}])


def test_the_key_of_a_job_is_its_number_or_that_of_its_user() -> None:
    assert job_key(7, 12, -1, -1) == "7/12"
    assert job_key(7, 12, 3, 0) == "7/u3/0"
