"""k6's JSON output as a run, and archives put back: against what k6 1.1 itself wrote and summed."""

from __future__ import annotations

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from perfkit.api.document import exit_code, outcome
from perfkit.api.importing import import_run
from perfkit.api.runs import Run
from perfkit.api.text import run_text
from perfkit.errors import NotARun, UsageError
from perfkit.store import verify
from perfkit.verdict.books import CLASSES

RECORDED = Path(__file__).parent / "k6" / "output.json.gz"
SUMMED: dict[str, Any] = json.loads((RECORDED.parent / "summary.json").read_text())["metrics"]
MS = 1_000_000


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return import_run(RECORDED, results=tmp_path_factory.mktemp("results")).run


def _request(
    ms: float, at: str = "2026-01-01T00:00:10.5Z", status: str = "202", **tags: str
) -> list[dict[str, Any]]:
    whole = {"name": "payments", "scenario": "users", "status": status} | tags
    parts = {"http_reqs": 1, "http_req_duration": ms, "http_req_sending": 0.5}
    parts |= {"http_req_waiting": max(0.0, ms - 1), "http_req_blocked": 0.25}
    return [
        {"type": "Point", "metric": name, "data": {"time": at, "value": value, "tags": whole}}
        for name, value in parts.items()
    ]


def _file(folder: Path, points: Sequence[Any], name: str = "out.json") -> Path:
    path = folder / name
    path.write_text("".join(json.dumps(point) + "\n" for point in points))
    return path


def test_the_rows_are_those_that_k6_counted(recorded: Run) -> None:
    requests = recorded.requests()
    assert len(requests) == SUMMED["http_reqs"]["count"]
    took_ms = (requests["done_ns"] - requests["sent_ns"]).dropna() / MS
    assert max(took_ms) == pytest.approx(SUMMED["http_req_duration"]["max"], abs=1e-6)
    assert requests["blocked_ns"].max() / MS == pytest.approx(
        SUMMED["http_req_blocked"]["max"], abs=1e-6
    )
    failed = requests["status"].isna() | (requests["status"] >= 400)
    assert int(failed.sum()) == SUMMED["http_req_failed"]["passes"]
    assert (requests["intended_ns"] == requests["sent_ns"]).all()
    assert set(requests["queue"]) == {"payments", "/jobs/notifications", "/refused", "/nobody"}
    assert requests["error"].dropna().tolist() == ["k6 1212"]


def test_it_says_that_it_is_closed_loop_wherever_figures_are_read(recorded: Run) -> None:
    said = "coordinated omission not corrected"
    assert recorded.manifest["imported"]["omission"] == "not corrected"
    assert said in recorded.headline().sentence
    assert any(said in line for line in recorded.headline().lines)
    assert any(said in reason for reason in recorded.verdict().reasons)
    assert said in run_text(recorded)
    assert recorded.trials()["model"].tolist() == ["closed"]


def test_nothing_is_said_of_jobs_that_nobody_recorded(recorded: Run) -> None:
    counts = recorded.accounting().counts()
    assert (counts["planned"], counts["accepted"], counts["refused"], counts["errored"]) == (
        17,
        11,
        5,
        1,
    )
    assert {counts[name] for name in ("done", "lost", "unexplained", "duplicated", "late")} == {
        None
    }
    (row,) = recorded.trials().to_dict("records")
    for name in ("workers", "slots", "backlog_end", "offered_per_s", "send_lag_p99_ns"):
        assert np.isnan(row[name]), name
    assert row["state"] == "undecided"
    assert recorded.jobs()["queue_wait_ns"].isna().all()
    assert not set(recorded.accounts(0)["class"].dropna()) & set(CLASSES)
    assert not any("INVALID" in each.status for each in recorded.verdict().trials)


def test_k6s_own_thresholds_are_judged_where_perfkit_has_the_same(recorded: Run) -> None:
    found = {(each.metric, each.expr): each.holds for each in recorded.thresholds()}
    assert found == {("request", "p(95)<500ms"): True, ("errors", "rate<0.5"): True}
    assert exit_code(recorded) == 0


def test_the_document_is_strict_and_the_run_verifies(recorded: Run) -> None:
    document = outcome(recorded)
    assert json.loads(json.dumps(document, allow_nan=False)) == document
    assert verify(recorded.path) == []


def test_what_was_not_accepted_never_makes_latency_better(recorded: Run) -> None:
    by_queue = recorded.percentiles().set_index("queue")
    assert by_queue.loc["/refused", "unfinished"] == by_queue.loc["/refused", "n"] == 5
    assert np.isinf(by_queue.loc["/nobody", "p50_ns"])
    assert np.isfinite(by_queue.loc["payments", "p99_ns"])


def test_an_address_leaves_its_host_and_query_behind(tmp_path: Path) -> None:
    name = "http://user:hunter2@shop.example:8080/pay?token=hunter2"
    points = _request(5, name=name, url=name, status="0", error=f"dial {name}")
    run = import_run(_file(tmp_path, points), results=tmp_path / "results").run
    assert run.requests()["queue"].tolist() == ["/pay"]
    for path in run.path.rglob("*"):
        assert path.is_dir() or b"hunter2" not in path.read_bytes()


def test_too_many_names_are_told_apart_by_scenario_and_that_is_said(tmp_path: Path) -> None:
    points = [each for n in range(51) for each in _request(5, name=f"http://x/{n}")]
    found = import_run(_file(tmp_path, points), results=tmp_path / "results")
    assert set(found.run.requests()["queue"]) == {"users"}
    assert any("51 names" in note for note in found.notes)


def test_what_k6_dropped_and_what_is_not_taken_is_said(tmp_path: Path) -> None:
    beside = [
        {
            "type": "Point",
            "metric": metric,
            "data": {"time": "2026-01-01T00:00:10Z", "value": value},
        }
        for metric, value in (("dropped_iterations", 7), ("my_metric", 1.5), ("vus", 12))
    ]
    stated = {"type": "Metric", "metric": "checks", "data": {"thresholds": ["rate>0.9"]}}
    path = _file(tmp_path, [stated, *_request(5), *beside, _request(5, name="other")[1]])
    found = import_run(path, results=tmp_path / "results", name="mine")
    said = "\n".join(found.notes)
    for part in ("dropped 7 iterations", "my_metric", "checks rate>0.9", "1 points belong to no"):
        assert part in said
    assert found.run.name == "mine"
    assert found.run.samples()["metric"].tolist() == ["k6.vus"]


def test_the_correction_is_hdrhistograms_and_stands_in_the_name(tmp_path: Path) -> None:
    took = (2.0, 4.0, 10.0, 37.5)
    points = [each for ms in took for each in _request(ms)]
    path = _file(tmp_path, points)
    found = import_run(path, results=tmp_path / "results", expected_interval="10ms")
    oracle = []
    for ms in took:
        oracle.append(ms)
        missing = ms - 10
        while missing >= 10:
            oracle.append(missing)
            missing -= 10
    run = found.run
    assert run.name == "k6-out-corrected-10000us"
    (row,) = run.percentiles(by=("trial",), ps=(50, 75, 100)).to_dict("records")
    assert row["n"] == len(oracle) == 6
    for name, p in (("p50_ns", 50), ("p75_ns", 75), ("p100_ns", 100)):
        assert row[name] == pytest.approx(np.percentile(oracle, p) * MS)
    assert "2 durations beside 4 requests are made up" in "\n".join(found.notes)
    # Rows, rates and accounting are as measured.
    assert run.accounting().planned == len(run.requests()) == 4
    assert run.trials()["n"].tolist() == [4]


@pytest.mark.parametrize("interval", ["0s", "soon", "-1s"])
def test_an_interval_that_is_none_is_refused(tmp_path: Path, interval: str) -> None:
    path = _file(tmp_path, _request(5))
    with pytest.raises(UsageError, match="expected-interval"):
        import_run(path, results=tmp_path / "results", expected_interval=interval)
    assert not (tmp_path / "results").exists()


def test_a_packed_file_is_read_as_its_content_is(tmp_path: Path) -> None:
    plain = tmp_path / "plain.json"
    plain.write_bytes(gzip.decompress(RECORDED.read_bytes()))
    run = import_run(plain, results=tmp_path / "results").run
    assert len(run.requests()) == SUMMED["http_reqs"]["count"]


def _point(metric: str, value: float, *, time: str = "2026-01-01T00:00:00Z", **tags: str) -> bytes:
    data = {"time": time, "value": value, "tags": tags}
    return json.dumps({"type": "Point", "metric": metric, "data": data}).encode() + b"\n"


def test_a_status_that_is_none_is_no_answer(tmp_path: Path) -> None:
    path = tmp_path / "out.json"
    points = [
        _point(metric, 1, status=status)
        for status in ("200", "9" * 5_000, "99", "", "0200")
        for metric in ("http_reqs", "http_req_duration")
    ]
    path.write_bytes(b"".join(points))
    run = import_run(path, results=tmp_path / "results").run
    assert run.requests()["status"].dropna().tolist() == [200]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no requests"),
        (b"{}\n", "line 1"),
        (b"[1]\n", "line 1"),
        (b'{"type":"Point","metric":"vus","data":7}\n', "line 1"),
        (b'{"type":"Point","metric":"http_reqs","data":{"time":"now"}}\n', "no time"),
        (b'{"metrics": {"http_reqs": {"count": 3}}}', "line 1"),
        (b"\x1f\x8b and no more", "can't be read"),
        (b"\xff\xfe\n", "line 1"),
        (b"[" * 100_000 + b"\n", "line 1"),
        (_point("http_reqs", 1, time="9999-12-31T23:59:59Z"), "after 2261"),
        (_point("http_reqs", 1) + _point("http_req_duration", 1e999), "line 2"),
        (_point("vus", 1e999), "line 1"),
        (_point("iterations", 1e999), "line 1"),
    ],
)
def test_what_is_no_output_of_k6_is_refused_by_its_line(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "out.json"
    path.write_bytes(content)
    with pytest.raises(NotARun, match=message):
        import_run(path, results=tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_packed_file_that_grows_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "out.json.gz"
    path.write_bytes(gzip.compress(b"\n" * 1_000_000))
    with pytest.raises(NotARun, match="more than 1000 bytes"):
        import_run(path, results=tmp_path / "results", most_bytes=1000)
