"""Traces: what is read from a file of times, what is refused, and what makes two of them one."""

from __future__ import annotations

import datetime
from fractions import Fraction
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from perfkit.api.planning import plan_text
from perfkit.errors import NotARun, UsageError
from perfkit.plan import build, restore
from perfkit.scenario import (
    Scenario,
    cautions,
    load_document,
    parse,
    replayed,
    with_values,
    workload_digest,
)
from perfkit.scenario.traces import TraceFile, busiest_per_s, read_trace
from tests.scenario.documents import problems

S = 1_000_000_000

SCENARIO = """
name = "replay"
[load]
model = "open"
arrivals = "trace"
trace = { file = "times.txt" }
[window]
warmup = "0s"
[[job]]
queue = "payments"
[gateway.payments]
median = "40ms"
"""


def written(folder: Path, text: str, name: str = "times.txt") -> str:
    (folder / name).write_text(text, encoding="utf-8")
    return str(folder / name)


def replaying(file: str, **values: Any) -> dict[str, Any]:
    """A document that replays the file."""
    whole, _ = load_document("light-open")
    for key in ("rate", "ramp"):
        whole["load"].pop(key, None)
    del whole["window"]["duration"], whole["threshold"]
    asked = {"load.arrivals": "trace", "load.trace.file": file, "window.warmup": "0s"}
    keys = {key.replace("__", "."): value for key, value in values.items()}
    return with_values(whole, asked | keys)


def times(scenario: Scenario) -> list[int]:
    assert scenario.load.trace is not None
    return [int(each) for each in replayed(scenario.load.trace, scenario.load.speed)]


def test_times_are_read_from_lines_csv_and_parquet_alike(tmp_path: Path) -> None:
    plain = written(tmp_path, "0\n0.25\n\n0.25\n1e1\n")
    table = written(tmp_path, 'id,"at, s"\na,0\nb,0.25\nc,.25\nd,10\n', "times.csv")
    column = pa.table({"at": [0.0, 0.25, 0.25, 10.0]})
    pq.write_table(column, tmp_path / "times.parquet")
    asked = [
        TraceFile(file=plain),
        TraceFile(file=table, column="at, s"),
        TraceFile(file=str(tmp_path / "times.parquet"), column="at"),
    ]
    found = [read_trace(each) for each in asked]
    assert [each.times_ns.tolist() for each in found] == [[0, S // 4, S // 4, 10 * S]] * 3
    assert len({each.digest for each in found}) == 1


@pytest.mark.parametrize(
    ("unit", "text", "ns"),
    [("ms", "1.5", 1_500_000), ("us", "2", 2_000), ("ns", "7", 7), ("s", "0.000000001", 1)],
)
def test_times_are_in_the_unit_that_is_named(tmp_path: Path, unit: Any, text: str, ns: int) -> None:
    asked = TraceFile(file=written(tmp_path, text), unit=unit)
    assert read_trace(asked).times_ns.tolist() == [ns]


def test_times_of_day_count_from_the_first_and_keep_their_nanoseconds(tmp_path: Path) -> None:
    lines = written(tmp_path, "1767225600.000000001\n1767225601.5\n")
    assert read_trace(TraceFile(file=lines, origin="first")).times_ns.tolist() == [0, 1499999999]
    stamps = [datetime.datetime(2026, 1, 1, 0, 0, second) for second in (3, 5)]
    pq.write_table(pa.table({"at": stamps}), tmp_path / "times.parquet")
    asked = TraceFile(file=str(tmp_path / "times.parquet"), column="at", origin="first")
    assert read_trace(asked).times_ns.tolist() == [0, 2 * S]


@pytest.mark.parametrize(
    ("text", "why", "mend"),
    [
        ("0\n-1\n", "before the one above", "sort"),
        ("-1\n0\n", "time 1", 'origin = "first"'),
        ("0\n2\n1\n", "time 3", "sort the file"),
        ("0\nnan\n", "line 2: 'nan'", "numbers"),
        ("0\ninf\n", "line 2: 'inf'", "numbers"),
        ("at\n1\n", "line 1: 'at'", "load.trace.column"),
        ("", "holds no time", "one or more"),
        ("\n\n", "holds no time", "one or more"),
        ("1767225600\n", "days after the start", 'origin = "first"'),
        ("1e29\n", "days after the start", 'origin = "first"'),
        ("0\n1e400\n", "line 2: '1e400'", "numbers"),
        ("0\n1e999999999\n", "line 2", "numbers"),
    ],
)
def test_times_that_can_not_be_replayed_are_refused_before_the_run_with_a_mend(
    tmp_path: Path, text: str, why: str, mend: str
) -> None:
    said = problems(replaying(written(tmp_path, text)))["load.trace"]
    assert why in said
    assert mend in said


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"id": [1]}, "there are 'id'"),
        ({"at": ["x"]}, "numbers or time stamps"),
        ({"at": [1.0, None]}, "1 nulls"),
        ({"at": [1.0, float("nan")]}, "no number"),
        ({"at": [1.0, 1e300]}, "no number"),
        ({"at": pa.array([], pa.float64())}, "holds no time"),
    ],
)
def test_columns_of_parquet_that_are_no_times_are_refused(
    tmp_path: Path, values: dict[str, Any], why: str
) -> None:
    path = tmp_path / "times.parquet"
    pq.write_table(pa.table(values), path)
    whole = replaying(str(path), load__trace__column="at")
    assert why in problems(whole)["load.trace"]


@pytest.mark.parametrize("name", ["times.parquet", "times.csv", "times.txt"])
def test_bytes_that_are_no_such_file_are_refused(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_bytes(b"\xff\x00PAR\xfe" * 20)
    asked = {} if name.endswith("txt") else {"load__trace__column": "at"}
    assert (
        "name a CSV, parquet or text file" in problems(replaying(str(path), **asked))["load.trace"]
    )


def test_a_missing_file_a_folder_and_a_missing_column_are_refused(tmp_path: Path) -> None:
    assert "No such file" in problems(replaying(str(tmp_path / "none.txt")))["load.trace"]
    assert "Is a directory" in problems(replaying(str(tmp_path)))["load.trace"]
    table = written(tmp_path, "id,at\n1,2\n", "times.csv")
    said = problems(replaying(table, load__trace__column="att"))["load.trace"]
    assert "there are 'id', 'at'" in said


@pytest.mark.parametrize(
    ("values", "key", "why"),
    [
        ({"load__rate": 5.0}, "load.rate", "the trace says when"),
        ({"load__exact": True}, "load.exact", "the numbers it has"),
        ({"load__ramp": "5s"}, "load.ramp", "first part of the trace"),
        ({"load__phase": [{"duration": "1s", "rate": 1}]}, "load.phase", "its own course"),
        ({"load__speed": 0}, "load.speed", "greater than 0"),
        ({"load__trace__unit": "min"}, "load.trace.unit", "'us' or 'ns'"),
        ({"load__trace__colum": "at"}, "load.trace.colum", "did you mean 'column'"),
        ({"load__arrivals": "poisson", "load__rate": 1}, "load.trace", "load.arrivals"),
        ({"load__arrivals": "trac"}, "load.arrivals", "did you mean 'trace'"),
        ({"window__warmup": "11s"}, "window.warmup", "ends after 10.0 s"),
    ],
)
def test_keys_that_do_not_go_with_a_trace_are_refused(
    tmp_path: Path, values: dict[str, Any], key: str, why: str
) -> None:
    whole = replaying(written(tmp_path, "0\n10\n"), **values)
    assert why in problems(whole)[key]


def test_a_trace_is_needed_where_it_is_asked_for() -> None:
    whole = replaying("x")
    del whole["load"]["trace"]
    assert "needs it" in problems(whole)["load.trace"]


def test_the_window_is_what_the_trace_holds_behind_the_warm_up(tmp_path: Path) -> None:
    scenario = parse(replaying(written(tmp_path, "0\n1\n4\n9\n"), window__warmup="2s"), "case")
    assert (scenario.window_start_ns, scenario.load_ns) == (2 * S, 9 * S + 1)
    assert scenario.offered_per_s == pytest.approx(2 / 7)
    assert [(each.name, each.phase, each.steady) for each in scenario.stretches] == [
        ("warm-up", None, False),
        ("window", 0, False),
    ]


def test_a_trace_has_no_steady_part_for_a_threshold(tmp_path: Path) -> None:
    whole = replaying(written(tmp_path, "0\n1\n4\n9\n"))
    whole["threshold"] = [{"metric": "latency", "expr": "p(95)<500ms", "over": "steady"}]
    assert "no part of this load is steady" in problems(whole)["threshold.0.over"]


def test_a_window_that_is_given_cuts_a_trace_and_says_so(tmp_path: Path) -> None:
    file = written(tmp_path, "0\n1\n4\n9\n")
    scenario = parse(replaying(file, window__duration="4s"), "case")
    assert scenario.load_ns == 4 * S
    assert (scenario.offered_per_s, scenario.peak) == (0.5, 1)
    assert "2 requests of the trace come after the window" in cautions(scenario)[0]


def test_a_trace_at_another_speed_is_another_load(tmp_path: Path) -> None:
    file = written(tmp_path, "0\n1\n4\n9\n")
    twice = parse(replaying(file, load__speed=2), "case")
    assert times(twice) == [0, S // 2, 2 * S, 9 * S // 2]
    assert twice.window_ns == 9 * S // 2 + 1
    assert workload_digest(twice) != workload_digest(parse(replaying(file), "case"))


@settings(deadline=None)  # files
@given(
    st.lists(st.integers(0, 10**12), min_size=1, max_size=30).map(sorted),
    st.floats(0.01, 100),
)
def test_replaying_keeps_order_and_rounds_to_the_nearest_nanosecond(
    whole: list[int], speed: float
) -> None:
    with TemporaryDirectory() as folder:
        path = written(Path(folder), "\n".join(map(str, whole)))
        found = replayed(TraceFile(file=path, unit="ns"), speed)
    assert found.dtype == np.int64
    for asked, given_ns in zip(whole, found.tolist(), strict=True):
        assert abs(given_ns - Fraction(asked) / Fraction(speed)) <= Fraction(1, 2) + asked // 2**52
    assert (np.diff(found) >= 0).all()


def test_the_same_times_are_the_same_work_wherever_they_are_from(tmp_path: Path) -> None:
    one = parse(replaying(written(tmp_path, "0\n1\n")), "case")
    table = written(tmp_path, "at\n0\n1000\n", "times.csv")
    other = parse(replaying(table, load__trace__column="at", load__trace__unit="ms"), "case")
    assert workload_digest(one) == workload_digest(other)
    changed = parse(replaying(written(tmp_path, "0\n2\n", "more.txt")), "case")
    assert workload_digest(one) != workload_digest(changed)


def test_a_digest_that_is_stated_refuses_other_times(tmp_path: Path) -> None:
    file = written(tmp_path, "0\n1\n")
    known = read_trace(TraceFile(file=file)).digest
    assert times(parse(replaying(file, load__trace__digest=known), "case")) == [0, S]
    written(tmp_path, "0\n1\n2\n")
    said = problems(replaying(file, load__trace__digest=known))["load.trace"]
    assert "other times" in said


def test_a_trace_that_changes_between_plan_and_run_is_noticed(tmp_path: Path) -> None:
    file = written(tmp_path, "0\n1\n")
    scenario = parse(replaying(file), "case")
    written(tmp_path, "0\n1\n2\n")
    with pytest.raises(UsageError, match="other times"):
        times(scenario)


def test_a_file_is_looked_for_beside_the_scenario_and_then_where_we_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home, here = tmp_path / "home", tmp_path / "here"
    home.mkdir()
    here.mkdir()
    written(home, SCENARIO, "replay.toml")
    monkeypatch.chdir(here)
    written(here, "0\n5\n")
    name = str(home / "replay.toml")
    assert times(parse(load_document(name)[0], name)) == [0, 5 * S]
    written(home, "0\n7\n")
    plan = build([name])
    assert times(plan.trials[0].scenario) == [0, 7 * S]
    text = plan_text(plan)
    assert "open, trace " in text
    assert "window 7.00 s" in text
    assert times(build([name], values={"speed": 2}).trials[0].scenario) == [0, 7 * S // 2]
    manifest = plan.facts() | {"name": plan.name}
    assert restore(manifest).digest == plan.digest
    written(home, "0\n8\n")
    with pytest.raises(NotARun, match="not the one that was run"):
        restore(manifest)


@settings(deadline=None)
@given(st.lists(st.integers(0, 5 * S), min_size=1, max_size=40).map(sorted))
def test_the_peak_of_a_trace_is_its_busiest_second(whole: list[int]) -> None:
    with TemporaryDirectory() as folder:
        path = written(Path(folder), "\n".join(map(str, whole)))
        found = busiest_per_s(TraceFile(file=path, unit="ns"), 1.0)
    assert found == max(sum(at <= each < at + S for each in whole) for at in whole)


def test_a_crowd_in_a_trace_is_told_beforehand(tmp_path: Path) -> None:
    lines = "\n".join(["0"] * 10 + [f"3.000{place:03}" for place in range(251)] + ["9"])
    scenario = parse(replaying(written(tmp_path, lines)), "case")
    assert "251 requests within a millisecond, 3.00 s after the start" in cautions(scenario)[0]
    assert not cautions(parse(replaying(written(tmp_path, "0\n1\n", "calm.txt")), "case"))
