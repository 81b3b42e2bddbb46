"""The file between the runner and a generator process."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest

from perfkit.errors import UsageError
from perfkit.load.arrivals import Segment, Think
from perfkit.load.spec import JobShare, LoadSpec, read_spec
from tests.load.specs import S, population, spec_for


def test_a_spec_survives_json(tmp_path: Path) -> None:
    spec = spec_for(
        tmp_path,
        segments=(Segment(S, 0.0, 50.5),),
        think=Think("uniform", 1, 2),
        pacing_ns=5,
        cpus=(0, 1),
    )
    assert LoadSpec.from_json(spec.to_json()) == spec
    (tmp_path / "spec.json").write_text(spec.to_json())
    assert read_spec(tmp_path / "spec.json") == spec


@pytest.mark.parametrize(
    ("wrong", "what"),
    [
        ({"model": "half-open"}, "neither open nor closed"),
        ({"base_url": "https://127.0.0.1"}, "not http://"),
        ({"jobs": ()}, "no job has a positive weight"),
        ({"jobs": (JobShare("a", 0),)}, "no job has a positive weight"),
        ({"jobs": (JobShare("a", 1), JobShare("b", -1))}, "not a number from 0 up"),
        ({"jobs": (JobShare("a", math.inf),)}, "not a number from 0 up"),
        ({"model": "closed"}, "no users"),
        ({"model": "closed", "segments": population(11), "max_in_flight": 10}, "in flight"),
        ({"idle_limit_ns": 0}, "idle_limit_ns"),
        ({"connections": 0}, "connections"),
        ({"timeout_ns": 0}, "timeout_ns"),
        ({"pacing_ns": 0}, "pacing_ns"),
        ({"shard": 2, "shards": 2}, "no shard 2 of 2"),
    ],
)
def test_a_load_that_can_not_be_made_is_refused(
    tmp_path: Path, wrong: dict[str, Any], what: str
) -> None:
    with pytest.raises(UsageError, match=what):
        spec_for(tmp_path, **wrong)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"jobs": [{"queue": 1}]}', '{"jobs": 1}'])
def test_what_is_no_spec_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "spec.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="not a load spec"):
        read_spec(path)


def test_a_missing_spec_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="can't read"):
        read_spec(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("segments", "users"),
    [
        (population(250, S), 250),
        ((Segment(S, 10.0, 40.0), Segment(S, 5.0, 5.0)), 40),
        ((Segment(S, 3.0, 0.5),), 3),
        ((Segment(S, 0.0, 2.5),), 3),
        ((Segment(S, 1.0, 1.0), Segment(0, 900.0, 900.0)), 1),
    ],
)
def test_a_closed_load_has_as_many_users_as_its_peak(
    tmp_path: Path, segments: tuple[Segment, ...], users: int
) -> None:
    assert spec_for(tmp_path, model="closed", segments=segments).users == users
    assert spec_for(tmp_path, model="open", segments=segments).users == 0
