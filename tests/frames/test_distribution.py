"""Percentiles and curves, against a slow oracle."""

from __future__ import annotations

import math
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from perfkit import frames
from perfkit.frames import session
from perfkit.stats import quantile_of_sorted
from tests.frames import oracle
from tests.frames.histories import histories
from tests.sealed import MS, SECOND, Sketch, delivery, dropped, request, seal


@settings(max_examples=15, deadline=None)
@given(history=histories())
def test_percentiles_agree_with_the_oracle(history: Any) -> None:
    requests, jobs, calls = history
    with tempfile.TemporaryDirectory() as folder:
        run = seal(Path(folder), Sketch(requests, jobs, calls=calls))
        found = frames.percentiles(run, ps=(0, 50, 95, 99.9, 100))
    groups: dict[str, list[float]] = {}
    for row in requests:
        known = oracle.job(row, jobs, calls)
        if known["in_window"]:
            groups.setdefault(row["queue"], []).append(known["latency_ns"])
    assert found["queue"].tolist() == sorted(groups)
    for _, line in found.iterrows():
        values = groups[line["queue"]]
        assert line["n"] == len(values)
        assert line["unfinished"] == sum(map(math.isinf, values))
        assert line["mean_ns"] == pytest.approx(sum(values) / len(values))
        for p in (0, 50, 95, 99.9, 100):
            assert line[f"p{p:g}_ns"] == pytest.approx(oracle.type7(values, p / 100))


@pytest.mark.parametrize("n", [1, 2, 3, 5, 21, 100, 101])
@pytest.mark.parametrize("infinite", [0, 1, 3])
def test_the_quantile_in_sql_is_the_one_of_stats(tmp_path: Path, n: int, infinite: int) -> None:
    values = [float(k) ** 1.5 for k in range(n)] + [math.inf] * infinite
    ps = [0, 0.01, 0.05, 0.25, 1 / 3, 0.5, 0.9, 0.95, 0.99, 1]
    with session(seal(tmp_path, Sketch())) as sql:
        for p in ps:
            found = sql.rows("select type7($values, $p)", {"values": values, "p": p})[0][0]
            assert found == pytest.approx(quantile_of_sorted(np.array(values), p))


def test_a_percentile_written_as_a_literal_is_exact_too(tmp_path: Path) -> None:
    rows = [request(0), request(1)]
    jobs = [delivery(row) for row in rows]
    jobs[1] |= {"finished_ns": rows[1]["intended_ns"] + 1041 * MS, "acked_ns": None}
    found = frames.percentiles(seal(tmp_path, Sketch(rows, jobs)), ps=(99, 99.9, 99.99)).iloc[0]
    expected = [(41 + 1000 * share) * MS for share in (0.99, 0.999, 0.9999)]
    assert found[["p99_ns", "p99.9_ns", "p99.99_ns"]].tolist() == pytest.approx(expected)


def test_infinity_minus_infinity_is_never_taken(tmp_path: Path) -> None:
    rows = [request(seq) for seq in range(4)]
    found = frames.percentiles(seal(tmp_path, Sketch(rows, [delivery(rows[0])]))).iloc[0]
    assert found["p50_ns"] == math.inf
    assert found["p99_ns"] == math.inf
    assert found["mean_ns"] == math.inf
    assert found["unfinished"] == 3


def test_all_failed_is_all_infinite(tmp_path: Path) -> None:
    rows = [request(seq) for seq in range(3)]
    dead = [delivery(row, outcome="dead") for row in rows]
    found = frames.percentiles(seal(tmp_path, Sketch(rows, dead)), by=["trial"]).iloc[0]
    assert (found["n"], found["unfinished"]) == (3, 3)
    assert found["p50_ns"] == math.inf


def test_one_job_is_every_percentile(tmp_path: Path) -> None:
    row = request(0)
    found = frames.percentiles(seal(tmp_path, Sketch([row], [delivery(row)]))).iloc[0]
    assert {found["p50_ns"], found["p99_ns"], found["mean_ns"]} == {41.0 * MS}


def test_warm_up_is_in_no_percentile(tmp_path: Path) -> None:
    early, counted = request(0, 10 * SECOND), request(1)
    slow = delivery(early, finished_ns=early["intended_ns"] + 9 * SECOND)
    found = frames.percentiles(seal(tmp_path, Sketch([early, counted], [slow, delivery(counted)])))
    assert found["n"].tolist() == [1]


def test_a_dropped_request_counts_as_unfinished(tmp_path: Path) -> None:
    found = frames.percentiles(seal(tmp_path, Sketch([dropped(0)])))
    assert found["unfinished"].tolist() == [1]
    assert frames.percentiles(seal(tmp_path, Sketch([dropped(0)])), value="send_lag_ns").empty


def test_unknown_columns_are_refused(tmp_path: Path) -> None:
    run = seal(tmp_path, Sketch())
    with pytest.raises(ValueError, match="no duration of a job"):
        frames.percentiles(run, value="1; drop table job")
    with pytest.raises(ValueError, match="can't group by"):
        frames.percentiles(run, by=["nothing"])
    with pytest.raises(ValueError, match="can't group by"):
        frames.curve(run, by=[])


def _many(n: int) -> Sketch:
    rows = [request(seq, 12 * SECOND + seq) for seq in range(n)]
    jobs = [delivery(row, finished_ns=row["intended_ns"] + (row["seq"] + 50) * MS) for row in rows]
    return Sketch(rows, jobs)


def test_a_curve_is_cut_where_fewer_than_ten_values_remain(tmp_path: Path) -> None:
    found = frames.curve(seal(tmp_path, _many(1000)))
    assert list(found.columns) == ["trial", "n", "quantile", "value_ns"]
    assert found["quantile"].max() == pytest.approx(0.99)
    assert found["quantile"].min() == 0
    assert found["quantile"].is_monotonic_increasing
    assert found["value_ns"].is_monotonic_increasing
    middle = found[found["quantile"] == 0.5]["value_ns"].item()
    assert middle == pytest.approx((499.5 + 50) * MS)


def test_a_curve_of_a_few_jobs_still_has_points(tmp_path: Path) -> None:
    found = frames.curve(seal(tmp_path, _many(3)))
    assert found["quantile"].max() == 0.5
    assert len(found) > 3


def test_curves_of_unequal_groups_are_cut_each_by_its_own_size(tmp_path: Path) -> None:
    found = frames.curve(seal(tmp_path, _many(1000), _many(100)))
    longest = found.groupby("trial")["quantile"].max()
    assert longest[0] == pytest.approx(0.99)
    assert longest[1] == pytest.approx(0.9)
