"""Committed notebooks carry outputs and nothing that changes from run to run."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.errors import ReportFailed
from perfkit.reporting import document, normalise
from perfkit.reporting.normalise import main
from tests.reporting.notebooks import notebook


def test_a_renewed_notebook_has_its_outputs_and_no_trace_of_the_run(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = notebook(tmp_path / "n.ipynb", "print(a)", parameters="a: int = 1")
    assert main([str(tmp_path)]) == 0
    read = document.read(made)
    assert read.cells[0].metadata == {"tags": ["parameters"]}
    assert read.cells[1].metadata == {}
    assert read.cells[1].outputs[0].text == "1\n"
    assert [cell.execution_count for cell in read.cells] == [1, 2]
    assert set(read.metadata) == {"kernelspec", "language_info"}
    assert str(made) in capsys.readouterr().out


def test_a_notebook_that_fails_is_left_as_it_was(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ReportFailed("code cell 1 of 1 raised ZeroDivisionError")

    monkeypatch.setattr(normalise, "execute", fail)
    made = notebook(tmp_path / "n.ipynb", "1 / 0")
    before = made.read_bytes()
    assert main([str(made)]) == 1
    assert made.read_bytes() == before
    assert "ZeroDivisionError" in capsys.readouterr().err
