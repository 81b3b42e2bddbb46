"""Exports: an archive, tables, histograms and k6's summary, without anybody's secrets."""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from perfkit.api.exporting import export_run
from perfkit.api.exporting_csv import neutral
from perfkit.api.importing import import_run
from perfkit.api.runs import Run, open_run
from perfkit.errors import NotARun, RunNotSealed, UsageError
from perfkit.records import TABLES
from perfkit.store import RunWriter, verify
from tests.examples import example
from tests.fabricated import write_run
from tests.sealed import MS, SECOND, Sketch, delivery, request, sample, seal, waiting

SECRET = "hunter2"


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The committed example in a folder of its own, with a report in it."""
    source = example("good")
    folder = tmp_path_factory.mktemp("results") / source.name / source.run_id
    shutil.copytree(source.path, folder)
    (folder / "report.html").write_text("<p>the report</p>")
    return open_run(folder)


def _texts(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name).decode() for name in archive.namelist()}


def _rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_an_archive_opens_with_its_report_and_comes_back_as_the_same_run(
    tmp_path: Path, good: Run
) -> None:
    written = export_run(good, output=tmp_path)
    assert written.path == tmp_path / f"{good.name}-{good.run_id}.zip"
    with zipfile.ZipFile(written.path) as archive:
        assert archive.namelist()[0] == "report.html"
        assert archive.read("report.html") == b"<p>the report</p>"
        assert json.loads(archive.read("summary.json"))["run_dir"] == f"{good.name}/{good.run_id}"
        archive.extractall(tmp_path / "by-hand")
    assert verify(tmp_path / "by-hand") == []
    back = import_run(written.path, results=tmp_path / "elsewhere").run
    assert verify(back.path) == []
    assert back.manifest == good.manifest
    assert back.trials().equals(good.trials())


def test_exporting_twice_gives_the_same_bytes_and_replaces_nothing(
    tmp_path: Path, good: Run
) -> None:
    first = export_run(good, output=tmp_path / "a.zip").path.read_bytes()
    assert export_run(good, output=tmp_path / "b.zip").path.read_bytes() == first
    with pytest.raises(UsageError, match="is there already"):
        export_run(good, output=tmp_path / "a.zip")
    assert export_run(good, output=tmp_path / "a.zip", overwrite=True).path.read_bytes() == first


def _planted(root: Path) -> Run:
    """A run that a careless perfkit wrote: secrets in all that it may hold."""
    url = f"redis://user:{SECRET}@db:6379/0"
    document = {
        "name": "x",
        "system": {"broker": "a:b", "env": {"DB": SECRET}},
    }
    manifest = {
        "scenarios": {
            "x": {"text": f'[system]\nenv = {{ DB = "{SECRET}" }}', "document": document}
        },
        "plan": [],
        "description": f"against {url}",
    }
    writer = RunWriter.create(root, "x", manifest)
    trial = writer.trial(0)
    sketch = Sketch(
        [request(0), request(1, status=None, error=f"refused by {url}")],
        [delivery(request(0), error=f"token={SECRET}")],
    )
    for kind, schema in TABLES.items():
        trial.write_table(kind, pa.Table.from_pylist(list(getattr(sketch, kind)), schema))
    whole = seal(root / "model", Sketch([request(0)], [delivery(request(0))]))
    facts = dict(whole.trial_facts(0))
    trial.write_facts(facts | {"document": document, "reason": None})
    trial.finish()
    path = writer.seal("complete")
    (path / "report.html").write_text(f"<p>{url}</p><script>var a='password=kept';</script>")
    (path / "logs").mkdir()
    (path / "logs" / "worker.log").write_text(SECRET)
    (path / ".env").write_text(SECRET)
    assert sum(SECRET.encode() in each.read_bytes() for each in path.rglob("*.*")) >= 4
    return open_run(path)


def test_no_secret_leaves_with_an_archive_and_the_copy_still_verifies(tmp_path: Path) -> None:
    run = _planted(tmp_path / "results")
    written = export_run(run, output=tmp_path)
    with zipfile.ZipFile(written.path) as archive:
        assert not [name for name in archive.namelist() if SECRET.encode() in archive.read(name)]
        assert not [name for name in archive.namelist() if "log" in name or ".env" in name]
        redacted = json.loads(archive.read("manifest.json"))["redacted"]
        assert b"password=kept" in archive.read("report.html")  # code is perfkit's own
    assert {"trial=0000/requests.parquet", "trial=0000/trial.json"} <= set(redacted)
    assert any("secrets were blotted out" in note for note in written.notes)
    back = import_run(written.path, results=tmp_path / "elsewhere").run
    assert verify(back.path) == []
    assert not any(
        SECRET.encode() in each.read_bytes() for each in back.path.rglob("*") if each.is_file()
    )
    assert back.requests()["error"].dropna().tolist() == ["refused by redis://user:***@db:6379/0"]


@pytest.mark.parametrize("form", ["csv", "hgrm", "hlog", "k6"])
def test_no_secret_leaves_in_any_other_form(tmp_path: Path, form: str) -> None:
    written = export_run(_planted(tmp_path / "results"), format=form, output=tmp_path).path
    texts = _texts(written).values() if written.suffix == ".zip" else [written.read_text()]
    assert not any(SECRET in text for text in texts)


def test_tables_have_units_and_every_row(tmp_path: Path, good: Run) -> None:
    texts = _texts(export_run(good, format="csv", output=tmp_path).path)
    requests, jobs = _rows(texts["requests.csv"]), _rows(texts["jobs.csv"])
    assert len(requests) == len(jobs) == len(good.requests())
    assert {"intended_ns [ns]", "status"} <= set(requests[0])
    latency = np.array([float(row["latency_ns [ns]"]) for row in jobs])
    assert np.array_equal(latency, good.jobs()["latency_ns"].to_numpy())
    (first, *_) = _rows(texts["trials.csv"])
    assert float(first["offered_per_s [1/s]"]) == 90.0
    units = {row["metric"]: row["unit_of_value"] for row in _rows(texts["samples.csv"])}
    assert (units["host.cpu_busy_ns"], units["queue.waiting"]) == ("ns", "count")


def test_what_begins_like_a_formula_is_neutralised_and_that_is_said(tmp_path: Path) -> None:
    bad = "=HYPERLINK(1)"
    rows = [request(0, queue=bad), request(1, queue="@x"), request(2, queue="payments")]
    run = Run(seal(tmp_path / "runs", Sketch(rows, [], [sample(1, "queue.waiting", -1.0, bad)])))
    written = export_run(run, format="csv", output=tmp_path / "tables")
    assert written.path.is_dir()
    queues = [row["queue"] for row in _rows((written.path / "requests.csv").read_text())]
    assert queues == [f"'{bad}", "'@x", "payments"]
    (read,) = _rows((written.path / "samples.csv").read_text())
    assert (read["subject"], float(read["value [unit in unit_of_value]"])) == (f"'{bad}", -1.0)
    assert any("requests.csv: 2 cells" in note for note in written.notes)
    assert "2 cells" in (written.path / "README.txt").read_text()


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\t=1", "\r=1"])
def test_no_text_reaches_a_spreadsheet_as_a_formula(text: str) -> None:
    assert neutral(text) == f"'{text}"
    assert neutral(f"a{text}") == f"a{text}"


def _unfinished(root: Path) -> Run:
    """18 jobs done after 40 ms, and two that no worker took."""
    rows = [request(n, 12 * SECOND + n * MS) for n in range(20)]
    jobs = [delivery(row) for row in rows[:18]] + [waiting(row) for row in rows[18:]]
    return Run(seal(root, Sketch(rows, jobs)))


def test_jobs_that_never_ended_are_counted_in_percentiles_and_said(tmp_path: Path) -> None:
    written = export_run(_unfinished(tmp_path / "runs"), format="hgrm", output=tmp_path)
    text = written.path.read_text()
    levels = [
        float(line.split()[1]) for line in text.splitlines() if line[:12].strip()[:1].isdigit()
    ]
    assert max(levels) <= 0.9
    assert "2 of 20 never ended" in text
    assert written.notes == ("2 of 20 never ended: they count in every percentile",)
    assert "microseconds" in text


def test_a_log_has_all_of_them_and_its_quantiles_agree_with_exact_ones(tmp_path: Path) -> None:
    reading = pytest.importorskip("hdrh.log")
    kinds = pytest.importorskip("hdrh.histogram")
    run = example("good")
    path = export_run(run, format="hlog", output=tmp_path, trial=2).path
    reader = reading.HistogramLogReader(str(path), kinds.HdrHistogram(1, 10**13, 3))
    jobs = run.jobs(2)
    for queue in sorted(set(jobs["queue"])):
        found = reader.get_next_interval_histogram()
        mine = jobs[(jobs["queue"] == queue) & jobs["in_window"]]["latency_ns"].to_numpy()
        assert found.get_tag() == f"0002.{queue}"
        assert found.get_total_count() == len(mine)
        for p in (50, 90, 99):
            exact = np.sort(mine)[int(p / 100 * len(mine) + 0.5) - 1]  # the library's rank
            assert found.get_value_at_percentile(p) == pytest.approx(exact, rel=1.1e-3)
    reader.close()


def test_in_a_log_what_never_ended_stands_at_the_time_it_had_waited(tmp_path: Path) -> None:
    kinds = pytest.importorskip("hdrh.histogram")
    written = export_run(_unfinished(tmp_path / "runs"), format="hlog", output=tmp_path)
    (line,) = [each for each in written.path.read_text().splitlines() if each.startswith("Tag=")]
    found = kinds.HdrHistogram.decode(line.rsplit(",", 1)[1])
    assert found.get_total_count() == 20
    # Intended at 12.018 s and later; the trial ended at 25 s.
    assert found.get_max_value() == pytest.approx(12.982 * SECOND, rel=1.1e-3)
    assert "lower bounds" in written.path.read_text()


def test_the_summary_has_k6s_keys_and_numbers_that_were_measured(tmp_path: Path, good: Run) -> None:
    path = export_run(good, format="k6", output=tmp_path, trial=2).path
    metrics = json.loads(path.read_text())["metrics"]
    jobs = good.jobs(2)
    jobs = jobs[jobs["in_window"]]
    assert metrics["http_reqs"]["count"] == len(jobs)
    took_ms = (jobs["done_ns"] - jobs["sent_ns"]).astype(float) / MS
    assert metrics["http_req_duration"]["p(95)"] == pytest.approx(np.percentile(took_ms, 95))
    assert metrics["perfkit_latency"]["med"] == pytest.approx(jobs["latency_ns"].median() / MS)
    assert metrics["http_req_failed"] == {"passes": 0, "fails": len(jobs), "value": 0.0}
    assert not {"http_req_waiting", "data_sent", "checks", "iterations", "vus"} & set(metrics)


def test_user_codes_iterations_and_checks_are_no_requests(tmp_path: Path) -> None:
    """Two requests to an iteration; of three iterations one is outside the window."""
    rows = [
        request(seq, user=0, iteration=seq // 2, queue="GET /", job_id=None, status=200)
        for seq in range(4)
    ]
    told = [
        sample(0.5, "journey.iteration", 9.0, "done"),
        sample(2, "journey.iteration", 0.25, "done"),
        sample(3, "journey.iteration", 0.75, "ValueError at journey.py:3"),
        sample(3, "journey.iteration", 0.0, "in a task: KeyError"),
        sample(4, "journey.iteration", 5.0, "abandoned"),
        sample(2, "journey.check", 1.0, "paid"),
        sample(3, "journey.check", 0.0, "paid"),
        sample(3, "journey.check", 1.0, "kept"),
    ]
    users = {"model": "closed", "users": 1, "journey": True}
    for recorded in (True, False):
        sketch = Sketch(rows, samples=told, facts={**users, "jobs_recorded": recorded})
        run = open_run(seal(tmp_path / str(recorded), sketch).path)
        path = export_run(run, format="k6", output=tmp_path / f"{recorded}.json").path
        document = json.loads(path.read_text())
        metrics = document["metrics"]
        assert metrics["iterations"] == {"count": 2, "rate": 0.2}
        assert metrics["iteration_duration"]["med"] == 500
        assert metrics["iteration_duration"]["max"] == 750
        assert metrics["checks"] == {"passes": 2, "fails": 1, "value": pytest.approx(2 / 3)}
        assert document["root_group"]["checks"]["paid"] == {
            "name": "paid", "path": "::paid", "passes": 1, "fails": 1
        }  # fmt: skip
        assert metrics["http_reqs"]["count"] == 4
        assert metrics["perfkit_latency"]["med"] == 3, "from the intended time, jobs or not"
        assert "perfkit_service" not in metrics


def test_one_file_goes_into_a_zip_too_where_its_name_says_so(tmp_path: Path) -> None:
    run = example("good")
    path = export_run(run, format="hgrm", trial=1, output=tmp_path / "one.zip").path
    assert list(_texts(path)) == ["trial=0001.hgrm"]


def test_a_threshold_says_whether_it_failed_as_k6_does(tmp_path: Path) -> None:
    run = example("bad")
    path = export_run(run, format="k6", output=tmp_path / "all.zip").path
    for trial in run.stored.trials:
        metrics: dict[str, Any] = json.loads(_texts(path)[f"trial={trial:04d}.k6.json"])["metrics"]
        told = [
            failed for each in metrics.values() for failed in each.get("thresholds", {}).values()
        ]
        judged = [each for each in run.thresholds(trial) if each.applicable]
        seen = [not each.holds for each in judged if not math.isnan(each.observed)]
        assert sorted(told) == sorted(seen)


def test_an_infinite_percentile_is_absent_and_named(tmp_path: Path) -> None:
    path = export_run(_unfinished(tmp_path / "runs"), format="k6", output=tmp_path).path
    document = json.loads(path.read_text())
    assert "med" in document["metrics"]["perfkit_latency"]
    assert "max" not in document["metrics"]["perfkit_latency"]
    assert "perfkit_latency max" in document["perfkit"]["absent"]


def test_a_partial_run_says_so_in_its_name_and_in_it(tmp_path: Path) -> None:
    written = export_run(example("bad"), format="csv", output=tmp_path)
    assert written.path.name.endswith("-partial-csv.zip")
    assert "partial" in written.notes[0]
    assert "(partial)" in _texts(written.path)["README.txt"]


def test_a_run_that_is_not_sealed_is_refused(tmp_path: Path) -> None:
    path = write_run(tmp_path / "runs", sealed=False)
    with pytest.raises(RunNotSealed):
        export_run(path, output=tmp_path)
    with pytest.raises(NotARun):
        export_run(tmp_path, output=tmp_path)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "pdf"}, "no format 'pdf'"),
        ({"format": "hgrm", "metric": "speed"}, "no metric 'speed'"),
        ({"format": "hgrm", "queue": "nobody"}, "no queue 'nobody'"),
        ({"format": "hgrm", "trial": 9}, "no trial 9"),
        ({"format": "csv", "queue": "payments"}, "narrow"),
        ({"format": "archive", "trial": 0}, "no meaning"),
    ],
)
def test_what_does_not_fit_is_refused_before_anything_is_written(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        export_run(example("good"), output=tmp_path, **options)
    assert list(tmp_path.iterdir()) == []
