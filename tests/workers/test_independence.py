"""The sample is an ordinary application: it knows nothing of the instrument that measures it."""

from __future__ import annotations

import ast
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workers.services import ROOT, environment

MODULES = sorted((ROOT / "workers").glob("*.py"))
ALLOWED = {"circuitbreaker", "dramatiq", "redis", "urllib3", "uvicorn", *sys.stdlib_module_names}


def imports(path: Path) -> set[str]:
    """Top-level packages that a module imports; relative imports are its own package."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[0] for name in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
    return found


def run(folder: Path, code: str, **settings: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=folder,
        env=environment(**settings),
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_imports_only_what_an_ordinary_application_needs(path: Path) -> None:
    assert imports(path) <= ALLOWED
    assert "perfkit" not in path.read_text()


def test_every_module_can_be_imported_with_only_a_redis_url(tmp_path: Path) -> None:
    names = ", ".join(f"workers.{path.stem}" for path in MODULES if path.stem != "__init__")
    # Nothing listens there: importing opens no connection.
    ended = run(
        tmp_path,
        f"import sys, {names}; print('perfkit' in sys.modules)",
        REDIS_URL="redis://127.0.0.1:1/0",
    )
    assert (ended.returncode, ended.stdout.strip(), ended.stderr) == (0, "False", "")


def test_it_works_under_any_package_name(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "workers", tmp_path / "elsewhere" / "_sample" / "workers")
    code = (
        "import sys; from elsewhere._sample.workers import app, gateway, ingest;"
        "print(sorted(app.broker.actors), 'workers' in sys.modules)"
    )
    ended = run(tmp_path, code)
    assert ended.stderr == ""
    assert ended.stdout.strip() == "['notifications', 'payments', 'webhooks'] False"


def test_a_setting_that_cannot_be_used_stops_the_import_with_its_name(tmp_path: Path) -> None:
    ended = run(tmp_path, "import workers.app", MAX_RETRIES="many")
    assert ended.returncode == 1
    assert "SettingsError: MAX_RETRIES='many' must be a whole number from 0" in ended.stderr
