"""The notebooks that launch, launching."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perfkit.paths import checkout, report_notebook
from perfkit.reporting import document, execute


@pytest.mark.full
def test_the_quickstart_measures_this_machine_when_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PERFKIT_RESULTS", str(tmp_path / "results"))
    made = tmp_path / "quickstart.ipynb"
    execute(report_notebook("00_quickstart"), made, {"live": True, "duration": "3s"})
    shown = str(document.read(made))
    assert "simulated" not in shown.split("Go on")[0].split("first_screen")[1]
    assert list((tmp_path / "results" / "smoke").glob("*/manifest.json"))


def batch(folder: Path, *parameters: str) -> Any:
    """Plain papermill on the benchmark, in a folder that is not the notebook's."""
    environment = dict(os.environ) | {
        "PYTHONPATH": str(checkout()),
        "JUPYTER_PREFER_ENV_PATH": "1",
        "PERFKIT_RESULTS": str(folder / "results"),
    }
    words = [word for each in parameters for word in ("-p", *each.split("=", 1))]
    source = str(report_notebook("05_benchmark"))
    return subprocess.run(
        [sys.executable, "-m", "papermill", source, "out.ipynb", "--no-progress-bar", *words],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.full
def test_papermill_launches_loads_records_and_reports(tmp_path: Path) -> None:
    ran = batch(tmp_path, "live=true", "scenarios=smoke", "workers=1,2", "duration=3s")
    assert ran.returncode == 0, ran.stderr[-2000:]
    [manifest] = (tmp_path / "results" / "smoke").glob("*/manifest.json")
    assert len(list(manifest.parent.glob("trial=*"))) == 2
    assert (manifest.parent / "report.html").is_file()
    shown = str(document.read(tmp_path / "out.ipynb"))
    assert "2 trials measured, none of them INVALID or cut short." in shown
    assert "simulated example data" not in shown


@pytest.mark.full
@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ("scenaros=light", "there is no 'scenaros', did you mean 'scenarios'?"),
        ("workers=0", "workers is text such as"),
        ("scenarios=nowhere", "nowhere"),
    ],
)
def test_a_wrong_parameter_starts_nothing_and_exits_with_one(
    tmp_path: Path, parameter: str, said: str
) -> None:
    ran = batch(tmp_path, "live=true", parameter)
    assert ran.returncode == 1
    assert said in ran.stderr
    assert not (tmp_path / "results").exists()
