"""A report without the sections that a run has nothing for."""

from __future__ import annotations

from pathlib import Path

from perfkit.api.rendering import OF_INSTRUMENT, OF_JOBS
from perfkit.paths import report_notebook
from perfkit.reporting import document
from perfkit.reporting.sections import headings, without_sections

NOTEBOOK = report_notebook("10_run_report")


LEFT_OUT = (*OF_JOBS, *OF_INSTRUMENT)


def test_every_section_that_is_left_out_is_in_the_notebook() -> None:
    assert set(LEFT_OUT) < set(headings(NOTEBOOK))


def test_names_that_the_rest_uses_are_kept(tmp_path: Path) -> None:
    shorter = without_sections(NOTEBOOK, LEFT_OUT, tmp_path / "short.ipynb")
    assert headings(shorter) == [each for each in headings(NOTEBOOK) if each not in LEFT_OUT]
    sources = [cell.source for cell in document.read(shorter).cells if cell.cell_type == "code"]
    assert "windows = figures.windows(trials, run.trial_facts)" in sources
    assert not any("figures.cpu(" in source for source in sources)


def test_a_notebook_that_keeps_all_stays_as_it_is(tmp_path: Path) -> None:
    same = without_sections(NOTEBOOK, (), tmp_path / "same.ipynb")
    assert document.read(same).cells == document.read(NOTEBOOK).cells
