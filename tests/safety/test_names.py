"""No name that is given leads out of the results folder, through any verb."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from perfkit.cli import cli
from perfkit.errors import PerfkitError, ScenarioError, UsageError
from perfkit.plan import build
from perfkit.store import RunWriter, check_name
from tests.sealed import Sketch, request, seal

LEADING_OUT = (
    "../outside", "..", ".", "/etc", "a/../../outside", "a\0b", "a\nb", "x" * 5000, "~root", "-x",
    ".leases", "%2e%2e/outside", "..\\outside", "",
)  # fmt: skip


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "results"
    seal(folder, Sketch([request(0)]))
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("x")
    return folder


def everything(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("name", LEADING_OUT)
@pytest.mark.parametrize(
    "verb",
    [("show",), ("list",), ("report",), ("history",), ("repair",), ("sweep", "--resume"),
     ("run",), ("plan",)],
    ids=lambda verb: verb[0],
)  # fmt: skip
def test_a_name_that_leads_out_is_answered_in_words_and_touches_nothing(
    results: Path, verb: tuple[str, ...], name: str
) -> None:
    before = everything(results.parent)
    where = [] if verb[0] == "plan" else ["--results", str(results)]
    words = [*verb[:-1], f"{verb[-1]}={name}"] if verb[-1] == "--resume" else [*verb, "--", name]
    flags = [*words[:1], *where, *words[1:]]
    answer = CliRunner().invoke(cli, flags)
    assert answer.exit_code != 0 or verb == ("list",) or name == ""
    assert answer.exception is None or isinstance(answer.exception, SystemExit | PerfkitError), (
        answer.exception
    )
    after = everything(results.parent)
    after.pop(results / ".index.json", None)
    assert after == before


@pytest.mark.parametrize("name", LEADING_OUT)
def test_no_run_is_made_under_such_a_name(results: Path, name: str) -> None:
    with pytest.raises(UsageError):
        check_name(name)
    with pytest.raises(UsageError):
        RunWriter.create(results, name, {})
    with pytest.raises(UsageError):
        RunWriter.create(results, "test", {}, run_id=name or "..")


@pytest.mark.parametrize("name", [name for name in LEADING_OUT if name.isprintable()])
def test_a_scenario_can_not_have_such_a_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / "scenario.toml"
    path.write_text(f"name = '{name}'\n[load]\nmodel = 'open'\nrate = 1.0\n[[job]]\nqueue = 'x'\n")
    with pytest.raises(ScenarioError, match="name"):
        build([str(path)])


@pytest.mark.parametrize("folder", ["a\0b", "x" * 5000, "/proc/nowhere", "/dev/null/x"])
@pytest.mark.parametrize("verb", ["list", "show", "repair", "history", "report"])
def test_a_results_folder_that_can_not_be_is_answered_in_words(verb: str, folder: str) -> None:
    given = ["smoke"] if verb == "history" else []
    answer = CliRunner().invoke(cli, [verb, "--results", folder, *given])
    assert answer.exception is None or isinstance(answer.exception, SystemExit | PerfkitError), (
        answer.exception
    )
