"""A version that burns CPU is measured against one that does not, from end to end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.repositories import BORROWED, Repository

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.full
def test_a_gate_decides_writes_and_leaves_the_repository_as_it_was(tmp_path: Path) -> None:
    mill = Repository(tmp_path / "mill")
    mill.commit()
    mill.git("tag", "old")
    mill.grind(60_000)
    before, junit = mill.untouched(), tmp_path / "junit.xml"
    done = subprocess.run(
        [sys.executable, "-m", "perfkit", "compare", mill.scenario, "--baseline", "old", "--gate",
         "--setup", BORROWED, "--junit", str(junit), "--results", str(tmp_path / "results"),
         "--warmup", "300ms", "--duration", "1500ms", "--no-report", "--json"],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    # On a busy machine it may be inconclusive, but twice the work never passes.
    assert done.returncode in (4, 5), done.stderr
    told = json.loads(done.stdout)["gate"]
    assert told["decision"] == {4: "regression", 5: "inconclusive"}[done.returncode]
    assert Path(told["summary"]).read_text().startswith("**perfkit mill: ")
    assert ElementTree.parse(junit).getroot().tag == "testsuites"
    assert mill.untouched() == before
