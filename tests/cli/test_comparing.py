"""``perfkit compare`` up to its exit code: on recorded trials, all else is what a user runs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from perfkit.errors import UsageError
from perfkit.plan import Plan
from perfkit.runner import Options
from tests.cli.conftest import Tell
from tests.comparisons import seal_comparison, seal_plan

Record = Callable[..., None]
OF_ALL = {"p50": 0.05, "p95": 0.05, "p99": 0.1, "throughput": 0.05, "cpu": 0.05, "work": 0.05}
GATE = ("compare", "smoke", "--set-b", "prefetch=2", "--gate", "--no-report", "--json")


@pytest.fixture
def record(monkeypatch: pytest.MonkeyPatch) -> Record:
    """In place of the measuring: trials of this course, sealed as the measuring would seal them."""

    def of(**course: Any) -> None:
        def conduct(plan: Plan, options: Options, *_: object, facts: Any, **__: object) -> Path:
            return seal_plan(options.results, plan, facts, **course).path

        monkeypatch.setattr("perfkit.api.comparing.conduct", conduct)

    return of


@pytest.mark.parametrize(
    ("course", "code", "decision", "tag"),
    [
        ({"noise": 0.005}, 0, "pass", None),
        ({"slower": 1.2}, 4, "regression", "failure"),
        pytest.param({"cpu": 3.0}, 4, "regression", "failure", marks=pytest.mark.full),
        pytest.param({"noise": 0.3}, 5, "inconclusive", "error", marks=pytest.mark.full),
    ],
)
def test_a_gate_ends_with_what_it_decided(
    tell: Tell, record: Record, tmp_path: Path, course: dict[str, Any], code: int, decision: str,
    tag: str | None,
) -> None:  # fmt: skip
    record(**course)
    junit = tmp_path / "junit.xml"
    given = ("--results", str(tmp_path / "results"), "--junit", str(junit))
    ended, out, _ = tell(*GATE, *given)
    assert ended == code
    told = json.loads(out)["gate"]
    assert (told["decision"], told["level"]) == (decision, 0.99)
    head = {"pass": "PASS", "regression": "REGRESSION", "inconclusive": "INCONCLUSIVE"}[decision]
    assert Path(told["summary"]).read_text().startswith(f"**perfkit smoke: {head}")
    suite = ElementTree.parse(junit).getroot()
    found = {each.tag for case in suite.iter("testcase") for each in case}
    assert found <= {"failure", "error"}
    assert (tag in found) if tag else not found


@pytest.mark.full
def test_a_gate_that_is_interrupted_ends_as_such_and_decides_nothing(
    tell: Tell, record: Record, tmp_path: Path
) -> None:
    record(missing=(13, 14, 15), status="partial", reason="interrupted", slower=1.5)
    ended, out, _ = tell(*GATE, "--results", str(tmp_path))
    assert ended == 130
    assert json.loads(out)["gate"]["decision"] == "inconclusive"


@pytest.mark.parametrize(
    ("slower", "code"), [pytest.param(1.0, 0, marks=pytest.mark.full), (1.3, 4)]
)
def test_a_comparison_that_is_no_gate_ends_with_its_verdict(
    tell: Tell, record: Record, tmp_path: Path, slower: float, code: int
) -> None:
    record(slower=slower, noise=0.005)
    given = ("--no-report", "--json", "--results", str(tmp_path))
    ended, out, said = tell("compare", "smoke", "--set-b", "prefetch=2", "--pairs", "6", *given)
    assert ended == code
    told = json.loads(out)
    assert (told["outcome"] == "worse") == bool(code)
    assert "gate" not in told
    assert "6 pairs of trials" in said  # told beforehand, on stderr


@pytest.mark.full
@pytest.mark.parametrize("named", [("--gate",), ()])
def test_a_gate_of_two_scenarios_is_carried_on_as_a_gate(
    tell: Tell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: tuple[str, ...]
) -> None:
    asked = {"level": 0.99, "gate": True}
    cut = {"missing": range(16), "status": "partial", "reason": "interrupted"}
    seal_comparison(tmp_path, asked=asked, **cut)
    whole = seal_comparison(tmp_path / "whole", asked=asked, slower=1.3)
    monkeypatch.setattr("perfkit.api.comparing.resume_run", lambda *_, **__: whole.path)
    junit = str(tmp_path / "junit.xml") if named else None
    given = ("--no-report", "--json", "--results", str(tmp_path))
    given += ("--junit", junit) if junit else ()
    ended, out, _ = tell("compare", "--resume", *named, *given)
    assert ended == 4  # it knows what it was
    assert json.loads(out)["gate"]["junit"] == junit


@pytest.mark.parametrize(
    ("asked", "more", "words"),
    [
        ({}, ("--gate",), "was not begun as a gate"),
        ({"facts": {"ref": "main"}}, (), "the trees and environments of its versions are gone"),
    ],
)
def test_what_can_not_be_carried_on_is_refused_with_what_to_do(
    tell: Tell, tmp_path: Path, asked: dict[str, Any], more: tuple[str, ...], words: str
) -> None:
    seal_comparison(
        tmp_path, asked=asked, missing=range(16), status="partial", reason="interrupted"
    )
    code, _, said = tell("compare", "--resume", *more, "--results", str(tmp_path))
    assert code == 2
    assert words in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ("smoke", "--set-b", "prefetch=2", "--gate", "--pairs", "7"),
            "ask for 8 or more",
        ),
        (("smoke", "--set-b", "seed=3"), "the seed is that of both arms"),
        (("smoke", "smoke", "--margin", "5"), "would be 500 %"),
        (("smoke", "smoke", "--margin", "wide"), "is no share"),
        (("smoke", "smoke", "--margin", "nan%"), "no effect that could matter"),
        (("smoke", "smoke", "--margin", "p90=5%"), "there is no margin of 'p90'"),
        (("smoke", "smoke", "--junit", "x.xml"), "add --gate"),
        (("smoke", "--setup", "make", "--gate"), "add --baseline REF"),
        (("smoke", "--baseline", "main", "--set-a", "prefetch=2"), "set it in both"),
        (("smoke",), "is compared with nothing"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_starts(
    tell: Tell, tmp_path: Path, arguments: tuple[str, ...], words: str
) -> None:
    code, _, said = tell("compare", *arguments, "--results", str(tmp_path / "results"))
    assert code == 2
    assert words in said
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ((), None),
        (("5%",), OF_ALL),
        (("0.05", "P99=9%"), OF_ALL | {"p99": 0.09}),
        (("p50=1%", "5%"), OF_ALL | {"p50": 0.01}),
        (("errors=0.5%",), {"errors": 0.005}),
    ],
)
def test_a_margin_of_one_kind_goes_before_that_of_all_wherever_it_stands(
    given: tuple[str, ...], expected: dict[str, float] | None
) -> None:
    from perfkit.cli.comparing import _shares

    found = _shares(given)
    assert found == (None if expected is None else pytest.approx(expected))


def test_a_margin_as_large_as_all_must_be_meant() -> None:
    from perfkit.cli.comparing import _shares

    assert _shares(("150%",)) is not None
    with pytest.raises(UsageError, match="whichever is meant") as told:
        _shares(("1.5",))
    assert "1.5% or 150%" in str(told.value)
