"""20_compare: on the committed example, by its parameter files, and measuring."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import papermill
import pytest
from papermill.iorw import read_yaml_file

from perfkit.api import report
from perfkit.errors import ServerNotFound
from perfkit.launcher.server import server_for
from perfkit.paths import checkout, example_data, report_notebook
from perfkit.plan import build
from perfkit.reporting import document, external_references

NOTEBOOK = report_notebook("20_compare")
FILES = sorted((NOTEBOOK.parent / "parameters").glob("compare-*.yaml"))
SECTIONS = [
    "Effects",
    "Every percentile",
    "Stages",
    "Noise",
    "Trials in time",
    "Validity",
    "What differs between the arms",
    "Environment",
    "How to measure this again",
]


@pytest.mark.full
def test_the_report_of_a_comparison_answers_on_its_first_screen(tmp_path: Path) -> None:
    folder = tmp_path / "comparison"
    shutil.copytree(example_data() / "comparison", folder)
    page = report(folder)
    text = page.read_text()
    assert re.findall(r'<h2 id="[^"]*">(.*?)</h2>', text) == SECTIONS
    first = text[: text.index("<h2")]
    assert '<span class="pk-status">WORSE</span>' in first
    assert "Where: service of payments +6." in first
    assert external_references(text) == []
    assert page.stat().st_size < 1_500_000
    assert "FAILED" not in text


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.stem)
def test_a_parameter_file_names_parameters_that_there_are_and_arms_that_are_valid(
    file: Path,
) -> None:
    given = read_yaml_file(str(file))
    assert given["live"] is True
    assert set(given) <= set(papermill.inspect_notebook(str(NOTEBOOK)))
    for scenario, key in ((given["a"], "set_a"), (given.get("b") or given["a"], "set_b")):
        name, sign, value = given.get(key, "").partition("=")
        assert build([scenario], values={name: value} if sign else {}).trials


def test_there_is_a_file_for_scenarios_profiles_presets_and_servers() -> None:
    assert [file.stem.removeprefix("compare-") for file in FILES] == [
        "presets",
        "profiles",
        "scenarios",
        "servers",
    ]


def by_papermill(folder: Path, *parameters: str) -> Any:
    """Plain papermill, in a folder that is not the notebook's."""
    environment = dict(os.environ) | {
        "PYTHONPATH": str(checkout()),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PERFKIT_RESULTS": str(folder / "results"),
    }
    return subprocess.run(
        [
            *(sys.executable, "-m", "papermill", str(NOTEBOOK), "out.ipynb"),
            *("--no-progress-bar", *parameters),
        ],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )


@pytest.mark.full
def test_a_wrong_parameter_starts_nothing_and_exits_with_one(tmp_path: Path) -> None:
    ran = by_papermill(tmp_path, "-p", "live", "true", "-p", "pears", "8")
    assert ran.returncode == 1
    assert "there is no 'pears', did you mean 'pairs'?" in ran.stderr
    assert not (tmp_path / "results").exists()


@pytest.mark.full
def test_a_parameter_file_measures_both_servers_in_pairs(tmp_path: Path) -> None:
    try:
        server_for("valkey")
        server_for("redis")
    except ServerNotFound as error:
        pytest.skip(f"not tried for real: {error}")
    file = str(NOTEBOOK.parent / "parameters" / "compare-servers.yaml")
    ran = by_papermill(tmp_path, "-f", file, "-p", "pairs", "1", "-p", "duration", "2s")
    assert ran.returncode == 0, ran.stderr[-2000:]
    shown = str(document.read(tmp_path / "out.ipynb"))
    assert "NOT ABLE TO TELL" in shown
    assert "redis.server: " in shown or "redis.server  redis  valkey" in shown
    assert "simulated example data" not in shown


@pytest.mark.full
def test_a_server_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    ran = by_papermill(tmp_path, "-p", "live", "true", "-p", "set_b", "redis.server=no-such-server")
    assert ran.returncode == 1
    assert "redis.server = 'no-such-server' is not a program on PATH" in ran.stderr
