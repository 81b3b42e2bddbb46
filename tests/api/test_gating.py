"""A gate over sealed comparisons: when it decides, when it must not, and what stays of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from perfkit.api.compared import Compared, open_comparison
from perfkit.api.comparing_ledger import kept
from perfkit.api.gating import LEVEL, decide, enough
from perfkit.api.rendering import write_summary
from perfkit.api.runs import open_run
from perfkit.errors import UsageError
from tests.comparisons import seal_comparison

ASKED: dict[str, Any] = {"level": LEVEL, "gate": True}


def compared(folder: Path, **course: Any) -> Compared:
    return open_comparison(seal_comparison(folder, asked=ASKED, **course).path)


def test_the_summary_of_a_gate_is_written_again_with_its_report(tmp_path: Path) -> None:
    found = compared(tmp_path, slower=1.3)
    decided = decide(found)
    assert (decided.decision, decided.exit_code) == ("regression", 4)
    text = decided.summary.read_text()
    assert text.startswith("**perfkit smoke: REGRESSION: ")
    decided.summary.unlink()
    write_summary(open_run(found.path))  # as `perfkit report` does
    assert decided.summary.read_text() == text


@pytest.mark.full
def test_a_gate_without_its_report_still_decides_and_says_why_there_is_none(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = seal_comparison(tmp_path, asked=ASKED, slower=1.3).path
    (folder / "report.html").mkdir()  # so that nothing can be put there
    (folder / "report.html" / "kept").touch()
    found = kept(folder, tmp_path, report=True)
    assert decide(found, junit=tmp_path / "gate.xml").exit_code == 4
    assert (tmp_path / "gate.xml").stat().st_size
    assert "no report: " in caplog.text


def test_the_summary_of_a_comparison_that_is_no_gate_is_that_of_its_run(tmp_path: Path) -> None:
    run = seal_comparison(tmp_path, pairs=6)
    write_summary(open_run(run.path))
    assert "perfkit smoke" not in (run.path / "summary.md").read_text()


@pytest.mark.parametrize(
    ("course", "words", "code"),
    [
        ({"missing": (14, 15), "reason": "interrupted"}, "1 of 8 pairs were not measured", 130),
        pytest.param(
            {"reason": "interrupted"}, "The gate was interrupted", 130, marks=pytest.mark.full
        ),
        pytest.param(
            {"missing": (14, 15), "reason": "killed while measuring"},
            "was cut short, 1 of 8",
            5,
            marks=pytest.mark.full,
        ),
    ],
)
def test_a_gate_that_was_broken_off_decides_nothing(
    tmp_path: Path, course: dict[str, Any], words: str, code: int
) -> None:
    junit = tmp_path / "junit.xml"
    found = decide(compared(tmp_path, slower=1.3, status="partial", **course), junit=junit)
    assert (found.decision, found.exit_code) == ("inconclusive", code)
    assert {each.gate for each in found.metrics} == {"inconclusive"}
    assert found.summary.read_text().startswith("**perfkit smoke: INCONCLUSIVE")
    errors = ElementTree.parse(junit).getroot().iter("error")
    assert all(words in str(each.text) for each in errors)
    assert words in found.metrics[0].words


def test_a_candidate_that_never_starts_is_no_pass_and_says_why(tmp_path: Path) -> None:
    probe = seal_comparison(tmp_path / "probe", missing=range(16))
    of_b = [each["trial"] for each in probe.manifest["plan"] if each["axes"]["arm"] == "B"]
    junit = tmp_path / "junit.xml"
    found = decide(
        compared(tmp_path, failed=of_b, status="partial", reason="8 trials failed"), junit=junit
    )
    assert (found.decision, found.exit_code) == ("inconclusive", 5)
    assert "worker-1 did not start" in found.summary.read_text()
    suite = ElementTree.parse(junit).getroot()
    assert (suite.get("tests"), suite.get("errors")) == ("1", "1")


@pytest.mark.parametrize("pairs", [2, 6, 7])
def test_pairs_too_few_to_decide_anything_are_refused(pairs: int) -> None:
    with pytest.raises(UsageError, match=f"a gate of {pairs} pairs can decide nothing at 99 %"):
        enough(pairs)


def test_the_usual_number_of_pairs_is_enough() -> None:
    for pairs in (None, 8, 20):
        enough(pairs)
    enough(6, 0.95)
