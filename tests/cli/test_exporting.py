"""`perfkit export` and `perfkit import` as they are typed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Tell
from tests.examples import example

K6 = Path(__file__).parents[1] / "api" / "k6" / "output.json.gz"


@pytest.fixture
def results(tmp_path: Path) -> Path:
    source = example("good")
    folder = tmp_path / "results" / source.name / source.run_id
    shutil.copytree(source.path, folder)
    (folder / "report.html").write_text("<p>the report</p>")
    return tmp_path / "results"


def test_an_archive_goes_out_and_comes_back(tmp_path: Path, results: Path, tell: Tell) -> None:
    code, out, _ = tell(
        "export", "example-good", "--results", str(results), "-o", str(tmp_path), "--json"
    )
    assert code == 0
    path = json.loads(out)["path"]
    code, out, _ = tell("import", path, "--results", str(tmp_path / "theirs"), "--json")
    assert code == 0
    folder = json.loads(out)["run_dir"]
    code, out, _ = tell("list", "--results", str(tmp_path / "theirs"))
    assert (code, "example-good" in out, "PASS" in out) == (0, True, True)
    code, _, err = tell("import", path, "--results", str(tmp_path / "theirs"))
    assert (code, "there is a run" in err) == (2, True)
    assert Path(folder, "summary.json").is_file()


def test_k6s_output_can_be_shown_listed_and_put_in_a_history(tmp_path: Path, tell: Tell) -> None:
    where = ("--results", str(tmp_path))
    code, out, _ = tell("import", str(K6), *where)
    assert (code, "coordinated omission not corrected" in out) == (0, True)
    code, out, _ = tell("show", "k6-output", *where)
    assert (code, "coordinated omission not corrected" in out, " done " in out) == (0, True, False)
    code, out, _ = tell("show", "k6-output", *where, "--json")
    assert json.loads(out)["accounting"]["done"] is None
    code, out, _ = tell("history", "k6-output", *where)
    assert (code, "k6-output" in out) == (0, True)


@pytest.mark.parametrize("verb", ["export", "import"])
def test_the_help_names_it_under_read(verb: str, tell: Tell) -> None:
    code, out, _ = tell("--help")
    section = out.partition("Read:")[2].partition("Operate:")[0]
    assert (code, f"  {verb} " in section) == (0, True)


def test_what_is_neither_archive_nor_k6_is_a_usage_error(tmp_path: Path, tell: Tell) -> None:
    (tmp_path / "x.json").write_text("hello\n")
    code, _, err = tell("import", str(tmp_path / "x.json"), "--results", str(tmp_path / "r"))
    assert (code, "mend:" in err) == (2, True)
    code, _, err = tell("import", str(tmp_path / "missing.zip"))
    assert (code, "there is no file" in err) == (2, True)
