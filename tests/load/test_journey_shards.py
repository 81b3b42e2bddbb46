"""User code from several generators: the users, draws and arrivals of one, and nothing is lost."""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.load.arrivals import Segment, Think
from perfkit.load.happenings import BLOCKED, TRACE, Happenings, happenings_table, unite
from perfkit.load.shards import SPEC, divide, merge
from perfkit.load.spec import JobIdRule, JourneySpec, LoadSpec
from perfkit.load.usercode import load_user
from tests.load.conftest import Run
from tests.load.journeys import Played, accepts, carry_out, serving
from tests.load.servers import playing
from tests.load.specs import MS, S, population, spec_for

CODE = """
async def user(client, ctx):
    ctx.metric(f"draw {ctx.user}/{ctx.iteration}", ctx.random.random(), "of one")
    ctx.metric(f"unit {ctx.user}/{ctx.iteration}", ctx.unit("here"))
    await client.get("/items/1")
    await client.post("/jobs/payments", json={"key": ctx.key}, extensions={"name": "pay"})
"""
OPEN: dict[str, Any] = {"model": "open", "segments": (Segment(S // 5, 150.0, 150.0),)}
CLOSED: dict[str, Any] = {
    "model": "closed", "segments": population(7), "think": Think("uniform", 5 * MS, 40 * MS),
}  # fmt: skip


def journey(folder: Path, port: int, **more: Any) -> LoadSpec:
    (folder / "journey.py").write_text(CODE)
    load_user.cache_clear()
    spec = JourneySpec(
        name="user", user="journey.py:user", folder=str(folder), job_id=JobIdRule(pointer="/id")
    )
    return spec_for(folder, f"http://127.0.0.1:{port}", jobs=(), journey=spec, **more)


async def merged(whole: LoadSpec, shards: int) -> tuple[Played, list[Played]]:
    """The load of so many generators as one, and what each of them left before."""
    folder = Path(whole.output)
    parts = divide(whole, shards)
    for part in parts:
        Path(part.output).mkdir()
        (Path(part.output) / SPEC).write_text(part.to_json())
    each = await asyncio.gather(*(carry_out(part) for part in parts))
    assert merge(folder)
    return Played(folder), list(each)


def draws(played: Played) -> dict[str, float]:
    return {
        row["metric"]: row["value"] for row in played.happened if row["metric"].startswith("own.")
    }


def test_arrivals_and_draws_of_several_shards_are_those_of_one(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        found = []
        async with playing(serving(accepts)) as port:
            for shards in (1, 3):
                folder = tmp_path / str(shards)
                folder.mkdir()
                spec = journey(folder, port, **OPEN)
                played, _ = await merged(spec, shards)
                found.append((spec, played))
        (_, alone), (_, several) = found
        assert draws(several) == draws(alone)
        assert len(draws(alone)) == 2 * 30
        for spec, played in found:
            assert sorted(row["key"] for row in played.rows) == sorted(
                f"7/{number}/{step}" for number in range(30) for step in (0, 1)
            )
            begun = [
                row["at_ns"] - spec.start_ns for row in played.happened
                if row["metric"] == "journey.iteration"
            ]  # fmt: skip
            assert begun == [round(n * S / 150) for n in range(30)]
        assert {row["key"]: row["job_id"] for row in several.rows} == {
            row["key"]: row["job_id"] for row in alone.rows
        }

    run(main())


def test_users_of_several_shards_think_and_draw_as_those_of_one(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        found = []
        async with playing(serving(accepts)) as port:
            for shards in (1, 3):
                folder = tmp_path / str(shards)
                folder.mkdir()
                found.append((await merged(journey(folder, port, **CLOSED), shards))[0])
        alone, several = found
        for played in found:
            assert {row["user"] for row in played.rows} == set(range(7))
        shared = draws(alone).keys() & draws(several).keys()
        assert len(shared) >= 2 * 7
        assert all(draws(alone)[name] == draws(several)[name] for name in shared)

    run(main())


def test_merged_they_have_every_row_and_every_record(run: Run, tmp_path: Path) -> None:
    async def main() -> None:
        async with playing(serving(accepts)) as port:
            whole, parts = await merged(journey(tmp_path, port, **OPEN), 3)
        assert len(whole.rows) == sum(len(part.rows) for part in parts)
        assert {row["key"] for row in whole.rows} == {
            row["key"] for part in parts for row in part.rows
        }
        assert [row["seq"] for row in whole.rows] == list(range(len(whole.rows)))
        records = [
            (row["at_ns"], row["metric"], row["subject"], row["value"])
            for part in parts for row in part.happened
        ]  # fmt: skip
        assert sorted(records) == sorted(
            (row["at_ns"], row["metric"], row["subject"], row["value"]) for row in whole.happened
        )
        assert len(whole.of("journey.iteration")) == 30
        left = {path.name for path in tmp_path.iterdir()} - {"__pycache__"}
        assert left == {
            "journey.py", "journey.names", "journey.records", "requests.arrow", "generator.json",
        }  # fmt: skip

    run(main())


NAMES = st.sampled_from(["journey.iteration", "own.a", "own.b", "done", "kg", "ValueError at x:1"])
RECORDS = st.lists(st.tuples(st.integers(0, 99), NAMES, NAMES, st.integers(-5, 5)), max_size=8)


@settings(deadline=None)
@given(st.lists(RECORDS, max_size=4))
def test_records_of_several_are_those_of_one_in_the_order_of_their_instants(
    parts: list[list[tuple[int, str, str, int]]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        places = []
        for number, records in enumerate(parts):
            place = Path(folder) / str(number)
            place.mkdir()
            happenings = Happenings(place)
            for at_ns, metric, subject, value in records:
                happenings.add(at_ns, metric, subject, float(value))
            happenings.close()
            places.append(place)
        unite(Path(folder), places)
        unite(Path(folder), places)  # as after a kill: no row is there twice
        table = happenings_table(Path(folder), 3)
    found = [
        (row["at_ns"], row["metric"], row["subject"], row["value"]) for row in table.to_pylist()
    ]
    together = [record for records in parts for record in records]
    assert found == sorted(together, key=lambda record: record[0])
    assert isinstance(table, pa.Table)


def test_where_a_shard_was_stopped_by_its_watchdog_is_known_of_all(tmp_path: Path) -> None:
    for number in (1, 2):
        place = tmp_path / str(number)
        place.mkdir()
        happenings = Happenings(place)
        happenings.add(number, "journey.iteration", "done", 0.5)
        happenings.close()
    (tmp_path / "2" / TRACE).write_text('  File "/home/me/checkout.py", line 7 in customer\n')
    unite(tmp_path, [tmp_path / "1", tmp_path / "2"])
    blocked = [
        row["subject"] for row in happenings_table(tmp_path, 3).to_pylist()
        if row["metric"] == BLOCKED
    ]  # fmt: skip
    assert blocked == ["checkout.py:7"]


def test_what_each_shard_may_have_in_flight_comes_to_what_was_asked(tmp_path: Path) -> None:
    whole = replace(journey(tmp_path, 9, **OPEN), max_in_flight=10, connections=10)
    assert sum(part.max_in_flight for part in divide(whole, 3)) == 10
    assert all(part.journey == whole.journey for part in divide(whole, 3))
