"""Versions of an application measured from end to end: one that burns CPU, and one as it was.

A busy machine may take a pair or a load from a comparison. Then it is inconclusive, and has to say
so; what it may never do is decide otherwise. Every decision on recorded trials, without a machine,
is in tests/cli/test_comparing.py.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.repositories import BORROWED, Repository

ROOT = Path(__file__).resolve().parents[2]
MILLS = 20_000


@pytest.fixture
def mill(tmp_path: Path) -> Repository:
    made = Repository(tmp_path / "mill")
    made.grind(MILLS)
    made.commit()
    made.git("tag", "old")
    return made


def gated(mill: Repository, folder: Path, *more: str) -> tuple[int, dict[str, Any]]:
    """Exit code and document of a gate against ``old``, in pairs of short trials."""
    done = subprocess.run(
        [sys.executable, "-m", "perfkit", "compare", mill.scenario, "--baseline", "old", "--gate",
         "--setup", BORROWED, "--junit", str(folder / "junit.xml"),
         "--results", str(folder / "results"), "--rate", "20", "--warmup", "300ms",
         "--duration", "1500ms", "--no-report", "--json", *more],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.stdout, done.stderr
    return done.returncode, json.loads(done.stdout)


def was_disturbed(told: dict[str, Any]) -> bool:
    """Whether a trial was invalid or did not sustain its load."""
    return told["stability"] != "held" or any(told["invalid"].values())


@pytest.mark.full
def test_five_times_the_work_is_a_regression_and_the_repository_stays_as_it_was(
    mill: Repository, tmp_path: Path
) -> None:
    mill.grind(5 * MILLS)
    before = mill.untouched()
    code, told = gated(mill, tmp_path)
    assert code == 4 or (code == 5 and was_disturbed(told)), told["sentences"]
    assert told["gate"]["decision"] == {4: "regression", 5: "inconclusive"}[code]
    head = Path(told["gate"]["summary"]).read_text().splitlines()[0]
    assert head.startswith(f"**perfkit mill: {told['gate']['decision'].upper()}")
    assert ElementTree.parse(tmp_path / "junit.xml").getroot().tag == "testsuites"
    assert mill.untouched() == before


@pytest.mark.full
def test_the_same_version_passes_where_the_margin_is_wide(mill: Repository, tmp_path: Path) -> None:
    code, told = gated(mill, tmp_path, "--margin", "400%")
    assert code == 0 or (code == 5 and was_disturbed(told)), told["sentences"]
    assert told["same"]
    assert "A/A" in told["facts"]["remarks"][0]
