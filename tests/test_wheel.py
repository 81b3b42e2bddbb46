"""The wheel works outside a checkout: an empty folder, one command, a report."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.soundness import MEASURED

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.full


def environment() -> Mapping[str, str]:
    dropped = ("PYTHONPATH", "VIRTUAL_ENV", "PERFKIT_RESULTS")
    return {name: value for name, value in os.environ.items() if name not in dropped}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*build, "--wheel-dir", str(folder), str(ROOT)], check=True, cwd=folder)
    (built,) = folder.glob("perfkit-*.whl")
    return built


@pytest.fixture(scope="module")
def perfkit(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed command, in an environment that knows this one's packages but not the tree."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=False)
    python = home / "bin" / "python"
    purelib = subprocess.run(
        [python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"],
        check=True, capture_output=True, text=True,
    ).stdout.strip()  # fmt: skip
    # A .pth inside a folder that a .pth names is not read: the editable install stays unseen.
    (Path(purelib) / "locked.pth").write_text(sysconfig.get_path("purelib") + "\n")
    install = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet"]
    subprocess.run([*install, "--no-deps", "--no-index", str(wheel)], check=True)
    return home / "bin" / "perfkit"


def test_the_sample_system_lives_inside_perfkit_in_the_wheel(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    tops = {name.split("/")[0] for name in names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {"perfkit"}
    for needed in ("workers/app.py", "stack/redis/stock.conf", "notebooks/10_run_report.ipynb"):
        assert f"perfkit/_sample/{needed}" in names
    assert not [name for name in names if "example_data" in name or "__pycache__" in name]


def test_a_run_in_an_empty_folder_ends_in_a_report(perfkit: Path, tmp_path: Path) -> None:
    # Somebody's own workers/ must not be taken for the sample.
    (tmp_path / "workers").mkdir()
    (tmp_path / "workers" / "__init__.py").write_text("raise RuntimeError('not the sample')\n")
    done = subprocess.run(
        [perfkit, "run", "smoke", "--duration", "2s", "--warmup", "500ms", "--json"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=180,
    )  # fmt: skip
    assert done.returncode in MEASURED, done.stderr
    outcome = json.loads(done.stdout)
    assert Path(outcome["report"]).is_relative_to(tmp_path / "results" / "smoke")
    assert Path(outcome["report"]).stat().st_size > 100_000
    assert outcome["accounting"]["done"] == outcome["accounting"]["planned"] > 0
