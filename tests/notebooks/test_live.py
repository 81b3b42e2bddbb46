"""The notebooks that launch, launching."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.paths import report_notebook
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
