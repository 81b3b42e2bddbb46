"""`make setup` on a machine that lacks something says what, and how to mend it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="there is no make here")


def python_that_fails_on(text: str, folder: Path) -> Path:
    """An interpreter that is ours but for one question."""
    script = folder / "python3"
    script.write_text(
        f'#!/bin/sh\ncase "$*" in *"{text}"*) exit 1;; esac\nexec {sys.executable} "$@"\n'
    )
    script.chmod(0o755)
    return script


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ("import ensurepip", ["no venv module", "python3-venv"]),
        ("sys.version_info", ["needs Python 3.11", "PYTHON="]),
    ],
)
def test_what_is_missing_is_named_with_its_mend(
    tmp_path: Path, missing: str, named: list[str]
) -> None:
    python = python_that_fails_on(missing, tmp_path)
    made = subprocess.run(
        ["make", "setup", f"PYTHON={python}", f"VENV={tmp_path / 'venv'}"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert made.returncode == 2
    for word in named:
        assert word in made.stdout
    assert not (tmp_path / "venv").exists()


def test_every_target_is_in_the_help() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    for target in ("setup", "report", "test", "test-full", "bench", "campaign", "lab", "clean"):
        assert f"\n{target} " in f"\n{shown.stdout}"
