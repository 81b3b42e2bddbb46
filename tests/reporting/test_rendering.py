"""A report beside its data: whole, or marked FAILED."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.errors import ReportFailed, ResultsNotWritable, UsageError
from perfkit.reporting import document, render, rendering
from tests.reporting.notebooks import notebook


def test_a_report_is_a_notebook_and_a_page(tmp_path: Path) -> None:
    source = notebook(tmp_path / "n.ipynb", "print(word)", parameters='word: str = ""')
    page = render(source, {"word": "hello"}, tmp_path)
    assert page == tmp_path / "report.html"
    assert "hello" in page.read_text()
    assert f"<title>Report · {tmp_path.parent.name} {tmp_path.name}</title>" in page.read_text()
    assert "FAILED" not in page.read_text()
    assert (tmp_path / "report.ipynb").is_file()


def test_a_failure_replaces_the_page_by_one_marked_failed(tmp_path: Path) -> None:
    source = notebook(tmp_path / "n.ipynb", "print('before')", "import os\nos._exit(0)", "'after'")
    (tmp_path / "report.html").write_text("an older, good report")
    (tmp_path / "report.ipynb").write_text("an older, good notebook")
    with pytest.raises(ReportFailed, match="the kernel died") as failed:
        render(source, {}, tmp_path)
    assert "marked FAILED" in failed.value.mend
    made = (tmp_path / "report.html").read_text()
    assert "<title>FAILED" in made
    assert "before" in made
    assert (tmp_path / "report.ipynb").read_text() == "an older, good notebook"
    left = document.read(tmp_path / "report.ipynb.partial")
    assert left.cells[0].source.startswith("FAILED")
    assert "the kernel died" in left.metadata.perfkit.failed


def test_a_failure_that_left_nothing_is_marked_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise ReportFailed("n.ipynb did not run to its end: no kernel")

    monkeypatch.setattr(rendering, "execute", fail)
    source = notebook(tmp_path / "n.ipynb", "1")
    with pytest.raises(ReportFailed, match="no kernel"):
        render(source, {}, tmp_path)
    assert "FAILED" in (tmp_path / "report.html").read_text()


def test_an_unknown_parameter_starts_nothing(tmp_path: Path) -> None:
    source = notebook(tmp_path / "n.ipynb", "1", parameters="a: int = 1")
    with pytest.raises(UsageError, match="no parameter 'b'"):
        render(source, {"b": 1}, tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["n.ipynb"]


def test_a_folder_that_takes_nothing_is_refused(tmp_path: Path) -> None:
    source = notebook(tmp_path / "n.ipynb", "1")
    with pytest.raises(ResultsNotWritable):
        render(source, {}, tmp_path / "absent")
