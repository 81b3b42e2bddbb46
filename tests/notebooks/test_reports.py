"""The report notebook over the example runs, through the runner and by papermill itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from perfkit.paths import checkout, example_data, report_notebook
from perfkit.reporting import document, external_references, render
from tests.notebooks import suites

SECTIONS = [
    "Scoreboard",
    "Journeys",
    "Accounting",
    "Findings, the worst first",
    "Trials compared",
    "Phases of the load",
    "Workers while running",
    "Faults and recovery",
    "Throughput over time",
    "Backlog",
    "Latency by percentile",
    "Where the time goes",
    "Resources",
    "Redis",
    "Laws that must hold",
    "What the instrument cost",
    "Environment",
    "How to measure this again",
]


class _Bold(HTMLParser):
    """What stands in a ``<b>``, scripts and plotly's own markup left out."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.inside = False
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.inside = tag == "b"

    def handle_data(self, data: str) -> None:
        if self.inside and data.startswith("&"):
            self.found.append(data)


def bold_names(page: str) -> list[str]:
    """Where the bad example's name ``<b>&"`` became a tag."""
    found = _Bold()
    found.feed(page)
    return found.found


@pytest.mark.parametrize("hole", ['<td><b>&"</td>', "<td><b>&amp;&quot;</td>"])
def test_a_name_that_became_a_tag_is_found(hole: str) -> None:
    assert bold_names(f"<table>{hole}</table>") == ['&"']
    assert bold_names(hole.replace("<b>", "&lt;b&gt;")) == []


@pytest.mark.parametrize("name", ["bad", pytest.param("good", marks=pytest.mark.full)])
def test_the_report_of_an_example_is_whole_closed_and_small(name: str, tmp_path: Path) -> None:
    run_dir = example_data() / name
    page = render(report_notebook("10_run_report"), {"run_dir": run_dir}, tmp_path)
    text = page.read_text()
    assert re.findall(r'<h2 id="[^"]*">(.*?)</h2>', text) == SECTIONS
    assert text.index("pk-banner") < text.index("<h2")
    assert external_references(text) == []
    assert page.stat().st_size < 1_500_000
    assert "FAILED" not in text
    assert bold_names(text) == []
    assert name != "bad" or "&lt;b&gt;&amp;" in text  # its name is there, as text
    assert text.count("data-captioned") >= 10
    assert not [
        output
        for cell in document.read(tmp_path / "report.ipynb").cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream"
    ]


@pytest.mark.full
def test_plain_papermill_runs_it_from_any_folder(tmp_path: Path) -> None:
    environment = dict(os.environ) | {"PYTHONPATH": str(checkout()), "JUPYTER_PREFER_ENV_PATH": "1"}
    ran = subprocess.run(
        [
            sys.executable,
            "-m",
            "papermill",
            str(report_notebook("10_run_report")),
            "out.ipynb",
            "--no-progress-bar",
        ],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert ran.returncode == 0, ran.stderr
    cells = document.read(tmp_path / "out.ipynb").cells
    assert all(cell.execution_count for cell in cells if cell.cell_type == "code")


@pytest.mark.full
def test_a_suite_of_twelve_trials_is_one_small_report_that_answers_first(tmp_path: Path) -> None:
    run_dir = suites.seal(tmp_path / "runs", "suite", suites.twelve())
    page = render(report_notebook("10_run_report"), {"run_dir": run_dir}, tmp_path)
    text = page.read_text()
    assert page.stat().st_size < 2_500_000
    first = text[: text.index('<h2 id="')]
    assert re.search(r'class="pk-sentence">\d+ of 12 trials carry their offered load', first)
    matrix = text[text.index('class="pk-table pk-matrix"') :]
    assert matrix[: matrix.index("</table>")].count("<th scope=row>") == 12
    # Of a dozen panels only the finding stands open.
    assert text.count("<summary>show 12 panels</summary>") >= 6


@pytest.mark.full
@pytest.mark.parametrize("name", ["05_benchmark", "10_run_report"])
def test_scenarios_on_several_numbers_of_workers_are_told_apart(name: str, tmp_path: Path) -> None:
    run_dir = suites.seal(tmp_path / "runs", "light-heavy", suites.crossed())
    text = render(report_notebook(name), {"run_dir": run_dir}, tmp_path).read_text()
    for scenario in ("light", "heavy"):
        for repetition in (1, 2):
            assert f"{scenario}, workers=4 #{repetition}" in text
    assert external_references(text) == []
