"""A run from a stranger is opened safely, or refused with one clear error; nothing in it runs."""

from __future__ import annotations

import contextlib
import copy
import json
import os
import pickle
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from perfkit.api import document, rendering
from perfkit.api.runs import open_run
from perfkit.api.text import run_text
from perfkit.errors import NotARun, PerfkitError
from perfkit.figures import environment, first_screen, reproduce, settings
from perfkit.frames.session import session
from perfkit.runner.rebuild import rebuild
from perfkit.store import StoredRun, list_runs, repair, verify
from tests.sealed import Sketch, call, delivery, request, sample, seal

CASES = 150  # of a thousand and more: each reads the whole run
ODD = (None, "x", "<b>", -1, 1.5, 10**30, True, [], ["x"], [{}], {}, {"x": {}})


@pytest.fixture
def run(tmp_path: Path) -> StoredRun:
    rows = [request(seq) for seq in range(8)]
    trial = Sketch(
        rows,
        [delivery(row) for row in rows],
        [sample(second, "redis.up", 1.0) for second in range(10)],
        [call(row) for row in rows],
        facts={"deaths": [{"name": "worker-1", "at_ns": 1, "status": -9}]},
    )
    return seal(
        tmp_path,
        trial,
        plan=[{"trial": 0, "seed": 1, "label": "a", "scenario": "test"}],
        host={"cpus": 2, "cpu_model": "x", "memory_bytes": 10**9},
        versions={"dramatiq": "2"},
        command=["perfkit", "run", "test"],
        redis={"config": {"hz": "10"}, "server": "redis"},
        placement={"system_cpus": [0], "instrument_cpus": [1]},
        git={"commit": "abc", "dirty": False},
        warnings=["busy"],
    )


def read_everything(folder: Path) -> None:
    """What the verbs that read do."""
    opened = open_run(folder)
    run_text(opened)
    document.outcome(opened)
    verdict, headline = opened.verdict(), opened.headline()
    first_screen(verdict, headline, opened.trials(), opened.manifest, opened.trial_facts)
    environment(opened.manifest)
    settings(opened.trials(), opened.trial_facts)
    reproduce(opened.manifest)
    verify(folder)
    list_runs(folder.parent.parent)


def places(value: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document, however deep."""
    if place:
        yield place
    inner: Any = value.items() if isinstance(value, dict) else ()
    for key, each in enumerate(value) if isinstance(value, list) else inner:
        yield from places(each, (*place, key))


def put(whole: Any, place: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(whole)
    at = changed
    for key in place[:-1]:
        at = at[key]
    at[place[-1]] = value
    return changed


def unlike(name: str, whole: Any, odd: tuple[Any, ...]) -> Iterator[tuple[Any, Any]]:
    for place in places(whole):
        for value in odd:
            yield (name, *place, value), put(whole, place, value)


def refused_or_read(folder: Path, path: Path, odd: tuple[Any, ...]) -> None:
    whole = json.loads(path.read_bytes())
    cases = list(unlike(path.name, whole, odd))
    for what, changed in random.Random(len(cases)).sample(cases, CASES):
        path.write_text(json.dumps(changed))
        try:
            read_everything(folder)
        except PerfkitError:
            continue
        except Exception as error:
            raise AssertionError(f"{what} was neither read nor refused") from error


@pytest.mark.full
@pytest.mark.parametrize("file", ["manifest.json", "trial=0000/trial.json"])
def test_any_odd_value_anywhere_is_refused_in_words_or_does_no_harm(
    run: StoredRun, file: str
) -> None:
    refused_or_read(run.path, run.path / file, ODD)


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("name",), 10**400),
        (("trials", 0, "trial"), -1),
        (("trials", 0, "trial"), "../../etc"),
        (("files",), {"../../../etc/passwd": {"rows": 1, "sha256": ""}}),
        (("files",), {"a\0b": {"rows": 1, "sha256": ""}}),
        (("created_ns",), 10**30),
        (("plan",), ["x"]),
        (("files", "trial=0000/jobs.parquet"), {"rows": 8}),
        (("scenarios", "test"), []),
        (("warnings",), "x"),
    ],
)
def test_a_manifest_that_can_not_be_meant_is_refused(
    run: StoredRun, place: tuple[Any, ...], value: Any
) -> None:
    path = run.path / "manifest.json"
    path.write_text(json.dumps(put(json.loads(path.read_bytes()), place, value)))
    with pytest.raises(NotARun, match=r"manifest\.json"):
        open_run(run.path)


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "9" * 10_000, "\0", ""])
def test_a_manifest_that_is_no_document_is_refused(run: StoredRun, text: str) -> None:
    (run.path / "manifest.json").write_text(text)
    with pytest.raises(NotARun, match="can't be read"):
        open_run(run.path)
    assert [each.state for each in list_runs(run.path.parent.parent)] == ["unreadable"]


@pytest.mark.parametrize(
    "name", ["manifest.json", "trial=0000/jobs.parquet", "trial=0000/trial.json", "report.html"]
)
def test_a_link_out_of_the_run_is_never_followed(run: StoredRun, tmp_path: Path, name: str) -> None:
    outside = tmp_path / "outside"
    path = run.path / name
    outside.write_bytes(path.read_bytes() if path.exists() else b"mine")
    path.unlink(missing_ok=True)
    path.symlink_to(outside)
    before = outside.read_bytes()
    with pytest.raises(NotARun, match="a link that leads out of its run"):
        rendering.report(run.path)
    assert outside.read_bytes() == before


def test_a_trial_that_is_a_link_is_not_repaired(run: StoredRun, tmp_path: Path) -> None:
    (run.path / "manifest.json").rename(run.path / "manifest.partial.json")
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "precious").write_text("x")
    partial = run.path / "trial=0001.partial"
    partial.mkdir()
    (partial / "spool").symlink_to(mine)
    with pytest.raises(NotARun, match="a link that leads out of its run"):
        repair(run.path, rebuild)
    assert (mine / "precious").read_text() == "x"


def test_a_run_may_itself_be_reached_by_a_link(run: StoredRun, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(run.path)
    assert len(open_run(tmp_path / "link").jobs()) == 8


def test_a_pipe_in_a_run_holds_up_nobody(run: StoredRun) -> None:
    path = run.path / "trial=0000" / "jobs.parquet"
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(NotARun, match="neither a file nor a folder"):
        open_run(run.path)


def test_a_table_of_another_schema_is_refused(run: StoredRun) -> None:
    pq.write_table(pa.table({"trial": [0]}), run.path / "trial=0000" / "jobs.parquet")
    with pytest.raises(NotARun, match="not in the schema of jobs"):
        open_run(run.path).jobs()


class Bomb:
    """What runs when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (self.mark,))


def test_nothing_that_is_pickled_into_a_table_is_unpickled(run: StoredRun, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    pickled = pickle.dumps(Bomb(mark))
    pickle.loads(pickled)
    assert mark.exists()  # it would work
    mark.unlink()
    path = run.path / "trial=0000" / "jobs.parquet"
    table = pq.read_table(path)
    hidden = {
        b"ARROW:extension:name": b"arrow.py_extension_type",
        b"ARROW:extension:metadata": pickled,
    }
    schema = pa.schema(
        [field.with_metadata(hidden) for field in table.schema],
        metadata={b"pandas": pickled, **hidden},
    )
    pq.write_table(table.cast(schema), path)
    (run.path / "report.ipynb").write_text("not even a notebook")
    with contextlib.suppress(NotARun):
        read_everything(run.path)
    assert not mark.exists()


@pytest.mark.parametrize(
    "query",
    [
        "select * from read_csv('/etc/passwd')",
        "select * from read_text('{outside}')",
        "select * from '{outside}'",
        "copy jobs to '{outside}'",
        "attach '{outside}.db'",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set lock_configuration = false",
        "select * from query",
    ],
)
def test_a_query_reaches_the_tables_of_its_run_and_nothing_else(
    run: StoredRun, tmp_path: Path, query: str
) -> None:
    outside = tmp_path / "outside"
    outside.write_text("a\n1\n")
    with session(run) as opened:
        assert opened.rows("select count(*) from jobs") == [(8,)]
        with pytest.raises(duckdb.Error):
            opened.rows(query.format(outside=outside))
    assert outside.read_text() == "a\n1\n"
