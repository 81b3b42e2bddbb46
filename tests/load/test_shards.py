"""One load from several processes: divided, and merged as if it had been one."""

from __future__ import annotations

import json
import random
import tempfile
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.errors import PerfkitError, UsageError
from perfkit.load.arrivals import Segment, Think
from perfkit.load.demand import demand_of
from perfkit.load.exchange import NEVER_NS, ErrorKind, Exchange
from perfkit.load.jobs import JobRequests
from perfkit.load.opening import has_own_connections, lead_ns
from perfkit.load.rows import finish, new_ledger, read_ledger
from perfkit.load.shards import SPEC, divide, merge, shard_folders
from perfkit.load.spec import LoadSpec
from perfkit.recorder.draws import unit
from perfkit.records import REQUESTS
from tests.load.specs import MS, S, population, read_requests, spec_for

START = 50 * S
FATES = ("accepted", "refused", "timeout", "dropped", "flying")
MODELS: dict[str, dict[str, Any]] = {
    "open": {"segments": (Segment(S, 20.0, 90.0),), "arrivals": "poisson"},
    "paced": {"model": "closed", "segments": population(9), "pacing_ns": 150 * MS},
}


def spec_of(folder: Path, model: str, **more: Any) -> LoadSpec:
    return spec_for(folder, start_ns=START, load_ns=S, **(MODELS[model] | more))


def exchange_of(key: str, intended_ns: int) -> Exchange | None:
    """What became of a request, by its key alone; None: it was dropped, or is still in flight."""
    fate = FATES[int(unit(key, "fate") * len(FATES))]
    if fate in ("dropped", "flying"):
        return None
    made = Exchange(b"", print, 1)
    made.sent_ns = intended_ns + int(unit(key, "lag") * 20 * MS)
    if fate == "timeout":
        made.error = ErrorKind.TIMEOUT
    else:
        made.first_byte_ns, made.done_ns = made.sent_ns + MS, made.sent_ns + 2 * MS
        made.status = 202 if fate == "accepted" else 503
    return made


def carry_out(spec: LoadSpec, *, most: int | None = None, interrupted: bool = False) -> int:
    """Leave the files of a generator that planned so many requests; ``most``: and was killed."""
    folder = Path(spec.output)
    folder.mkdir(exist_ok=True)
    (folder / SPEC).write_text(spec.to_json())
    ledger, demand, jobs = new_ledger(spec), demand_of(spec), JobRequests(spec)
    while demand.next_ns != NEVER_NS and (most is None or ledger.rows < most):
        due = demand.take()
        place = ledger.plan(due.intended_ns, due.user, due.iteration, jobs.queue(due.key))
        made = exchange_of(due.key, due.intended_ns)
        if made is not None:
            ledger.ended(place, made)
    ledger.close()
    if most is None:
        cost = {"cpu_ns": S // 4, "wall_ns": S, "run_queue_wait_ns": MS, "loop": "a loop"}
        more = {**cost, "python": "3", "interrupted": interrupted, "counted": ledger.rows}
        finish(folder, read_ledger(folder), more)
    return ledger.rows


def summary_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "generator.json").read_text())
    return found


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
@pytest.mark.parametrize("model", ["open", "paced"])
def test_the_merged_rows_are_those_of_one_process(tmp_path: Path, model: str, shards: int) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "many").mkdir()
    carry_out(spec_of(tmp_path / "one", model))
    for part in divide(spec_of(tmp_path / "many", model), shards):
        carry_out(part)
    assert merge(tmp_path / "many")
    one = sorted(
        read_requests(tmp_path / "one"),
        key=lambda row: (row["intended_ns"], row["user"] or 0, row["seq"]),
    )
    assert len(one) > 40
    assert read_requests(tmp_path / "many") == one
    alone, merged = summary_of(tmp_path / "one"), summary_of(tmp_path / "many")
    costs = ("cpu_ns", "run_queue_wait_ns", "counted")
    same = {name: alone[name] for name in alone if name not in costs}
    assert {name: merged[name] for name in same} == same
    assert merged["cpu_ns"] == shards * alone["cpu_ns"]
    assert [path.name for path in sorted((tmp_path / "many").iterdir())] == [
        "generator.json",
        "requests.arrow",
    ]


def test_the_merged_table_is_the_documented_one(tmp_path: Path) -> None:
    for part in divide(spec_of(tmp_path, "open"), 3):
        carry_out(part)
    merge(tmp_path)
    with pa.ipc.open_file(str(tmp_path / "requests.arrow")) as reader:
        assert reader.schema == REQUESTS
        reader.read_all().validate(full=True)


@settings(max_examples=40, deadline=None)
@given(
    model=st.sampled_from(sorted(MODELS)),
    shards=st.integers(1, 5),
    seed=st.integers(0, 2**32),
    chosen=st.randoms(use_true_random=False),
)
def test_a_merge_loses_no_row_of_shards_that_were_killed_at_any_moment(
    model: str, shards: int, seed: int, chosen: random.Random
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        parts = divide(spec_of(Path(folder), model, seed=seed), shards)
        killed = [chosen.choice([None, 0, 1, chosen.randrange(40)]) for _ in parts]
        counts = [carry_out(part, most=most) for part, most in zip(parts, killed, strict=True)]
        merge(Path(folder))
        rows, found = read_requests(Path(folder)), summary_of(Path(folder))
    assert [each["rows"] for each in found["by_shard"]] == counts
    unreached = [each["unreached"] for each in found["by_shard"]]
    assert found["planned"] == len(rows) == sum(counts) + sum(unreached)
    assert found["planned"] == found["sent"] + found["dropped"]
    assert found["sent"] == found["accepted"] + found["refused"] + found["errored"]
    # Up to the last instant that anybody saw, the plan is there without a gap, and only that.
    until = max((row["intended_ns"] for row in rows), default=0)
    whole = demand_of(spec_of(Path(folder), model, seed=seed))
    keys = []
    while whole.next_ns <= until and whole.next_ns != NEVER_NS:
        keys.append(whole.take().key)
    assert sorted(row["key"] for row in rows) == sorted(keys)
    assert len({row["seq"] for row in rows}) == len(rows)
    assert [row["intended_ns"] for row in rows] == sorted(row["intended_ns"] for row in rows)


def test_what_a_dead_shard_would_have_sent_counts_as_dropped_and_its_cost_as_unknown(
    tmp_path: Path,
) -> None:
    first, second = divide(spec_of(tmp_path, "open"), 2)
    whole = carry_out(first)
    carry_out(second, most=5)
    merge(tmp_path)
    rows = read_requests(tmp_path)
    unsent = [row for row in rows if row["error"] == "unsent"]
    assert [row["seq"] for row in unsent] == [1 + 2 * n for n in range(5, 5 + len(unsent))]
    assert len(unsent) in (whole - 5, whole - 6)
    assert {row["sent_ns"] for row in unsent} == {None}
    found = summary_of(tmp_path)
    assert found["by_shard"][1]["unreached"] == len(unsent)
    assert found["interrupted"]
    assert found["cpu_ns"] is None


def test_users_who_wait_for_replies_are_divided_and_counted_in_order(tmp_path: Path) -> None:
    closed: dict[str, Any] = {
        "model": "closed",
        "segments": population(5, S // 2),
        "think": Think("constant", S),
    }
    for part in divide(spec_for(tmp_path, start_ns=START, load_ns=S, **closed), 2):
        carry_out(part)
    merge(tmp_path)
    rows = read_requests(tmp_path)
    assert [row["seq"] for row in rows] == list(range(5))
    assert [row["key"] for row in rows] == [f"7/u{user}/0" for user in range(5)]


def test_shards_without_a_common_start_are_no_load(tmp_path: Path) -> None:
    first, second = divide(spec_of(tmp_path, "open"), 2)
    carry_out(first)
    carry_out(LoadSpec.from_json(second.to_json().replace(str(START), str(START + 1))))
    with pytest.raises(PerfkitError, match="starts of their own, 1 ns apart"):
        merge(tmp_path)


def test_a_merge_that_was_broken_off_is_ended_by_the_next(tmp_path: Path) -> None:
    for part in divide(spec_of(tmp_path, "open"), 2):
        carry_out(part)
    copy = tmp_path / "shard-1"
    kept = {path.name: path.read_bytes() for path in copy.iterdir()}
    assert merge(tmp_path)
    rows = read_requests(tmp_path)
    copy.mkdir()  # as if it had been killed between the removal of the second and of the first
    for name, data in kept.items():
        (copy / name).write_bytes(data)
    assert not merge(tmp_path)
    assert read_requests(tmp_path) == rows
    assert shard_folders(tmp_path) == []
    assert not merge(tmp_path)


def test_a_shard_whose_folder_is_gone_is_not_passed_over(tmp_path: Path) -> None:
    carry_out(divide(spec_of(tmp_path, "open"), 2)[0])
    with pytest.raises(PerfkitError, match="others are missing"):
        merge(tmp_path)
    assert shard_folders(tmp_path)


@pytest.mark.parametrize("shards", [1, 2, 3, 7])
def test_what_is_divided_comes_to_what_was_asked(tmp_path: Path, shards: int) -> None:
    closed: dict[str, Any] = {
        "model": "closed",
        "segments": population(20),
        "think": Think("constant", S),
    }
    asked = spec_for(tmp_path, connections=20, max_in_flight=23, **closed)
    parts = divide(asked, shards)
    assert sum(part.connections for part in parts) == 20
    assert sum(part.max_in_flight for part in parts) == 23
    assert sum(part.own_users for part in parts) == asked.users == 20
    assert all(has_own_connections(part) for part in parts)
    assert len({part.output for part in parts}) == shards


def test_fewer_connections_than_shards_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="connections is below 1"):
        divide(spec_for(tmp_path, connections=2), 3)


def test_shards_together_open_connections_no_faster_than_one_process(tmp_path: Path) -> None:
    crowd: dict[str, Any] = {
        "model": "closed",
        "segments": population(4000),
        "think": Think("constant", 9 * S),
    }
    asked = spec_for(tmp_path, connections=4000, load_ns=9 * S, **crowd)
    parts = divide(asked, 2)
    assert {lead_ns(part) for part in parts} == {lead_ns(asked)}
