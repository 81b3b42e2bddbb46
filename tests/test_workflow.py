"""The workflow that gates a pull request: valid by its schema, and made of commands that exist."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def workflow() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load(
        (ROOT / ".github" / "workflows" / "performance.yml").read_text()
    )
    return found


def commands() -> list[str]:
    steps = [step for job in workflow()["jobs"].values() for step in job["steps"]]
    return [step["run"] for step in steps if "run" in step]


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_it_is_valid_by_the_schema_of_workflows(path: Path) -> None:
    command = [sys.executable, "-m", "check_jsonschema"]
    checked = subprocess.run(
        [*command, "--builtin-schema", "vendor.github-workflows", str(path)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert checked.returncode == 0, checked.stdout


def test_a_workflow_that_is_none_would_be_found(tmp_path: Path) -> None:
    broken = tmp_path / "broken.yml"
    broken.write_text("on: push\njobs: {gate: {steps: [{run: 1}]}}\n")
    command = [sys.executable, "-m", "check_jsonschema"]
    checked = subprocess.run(
        [*command, "--builtin-schema", "vendor.github-workflows", str(broken)],
        capture_output=True, text=True,
    )  # fmt: skip
    assert checked.returncode == 1


def test_it_gates_with_options_that_there_are() -> None:
    (line,) = [each for each in commands() if "perfkit compare" in each]
    words = shlex.split(line)
    options = {word for word in words if word.startswith("--")}
    from click.testing import CliRunner

    from perfkit.cli import cli

    shown = CliRunner().invoke(cli, ["compare", "--help"]).output
    assert {"--gate", "--baseline", "--junit"} <= options
    assert all(re.search(rf"{option}\b", shown) for option in options)


def test_every_make_target_is_one() -> None:
    makefile = (ROOT / "Makefile").read_text()
    targets = [name for each in commands() for name in re.findall(r"make ([a-z-]+)", each)]
    assert targets
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_papermill_sets_parameters_that_the_notebook_has() -> None:
    import papermill

    (line,) = [each for each in commands() if "papermill" in each]
    words = shlex.split(line)
    notebook = next(word for word in words if word.startswith("notebooks/"))
    given = {words[place + 1] for place, word in enumerate(words) if word == "-p"}
    assert given <= set(papermill.inspect_notebook(str(ROOT / notebook)))


def test_nothing_that_a_stranger_names_gets_into_a_command() -> None:
    assert not [each for each in commands() if "${{" in each]
    assert workflow()["permissions"] == {"contents": "read"}
