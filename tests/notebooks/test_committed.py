"""What every committed notebook must be, so that strict nbval checks something."""

from __future__ import annotations

import ast
import re
from pathlib import Path
from typing import Any

import papermill
import pytest

from perfkit.paths import report_notebook
from perfkit.reporting import document
from perfkit.reporting.normalise import normalised

FOLDER = report_notebook("10_run_report").parent
NOTEBOOKS = sorted(FOLDER.glob("*.ipynb"))
IGNORED_AT_MOST = 0  # cells whose output strict nbval is told to ignore


LOGIC = (ast.FunctionDef, ast.ClassDef, ast.Lambda, ast.For, ast.While, ast.If, ast.Try)


def code(notebook: Any) -> list[Any]:
    """Its code cells."""
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def path(request: pytest.FixtureRequest) -> Path:
    """Each committed notebook."""
    return Path(request.param)


def test_there_are_notebooks() -> None:
    assert {path.stem for path in NOTEBOOKS} >= {"00_quickstart", "05_benchmark", "10_run_report"}


def test_every_cell_ran_and_the_outputs_are_committed(path: Path) -> None:
    cells = code(document.read(path))
    assert [cell.execution_count for cell in cells] == list(range(1, len(cells) + 1))
    assert sum(bool(cell.outputs) for cell in cells) >= 4
    assert not [out for cell in cells for out in cell.outputs if out.output_type == "error"]


def test_cells_only_call(path: Path) -> None:
    for cell in code(document.read(path))[1:]:
        tree = ast.parse(re.sub(r"\bawait ", "", cell.source))
        assert len(tree.body) <= 4, cell.source
        for node in ast.walk(tree):
            assert not isinstance(node, LOGIC), cell.source


def test_the_first_code_cell_is_the_parameters_with_plain_types(path: Path) -> None:
    first = code(document.read(path))[0]
    assert first.metadata.tags == ["parameters"]
    for node in ast.parse(first.source).body:
        assert isinstance(node, ast.AnnAssign)
        assert ast.unparse(node.annotation) in {"str", "int", "float", "bool"}
        default = ast.unparse(node.value) if node.value else ""
        assert "=" not in default
        assert "#" not in default


def test_papermill_tells_the_type_and_the_meaning_of_every_parameter(path: Path) -> None:
    known = papermill.inspect_notebook(str(path))
    assert list(known) == re.findall(r"^(\w+):", code(document.read(path))[0].source, re.MULTILINE)
    for each in known.values():
        assert each["inferred_type_name"] in {"str", "int", "float", "bool"}, each
        assert len(each["help"]) > 10, each


def test_no_path_of_a_machine_is_in_it(path: Path) -> None:
    text = path.read_text()
    assert not re.search(r"/(home|root|work|Users|tmp|usr)/", text)
    assert str(FOLDER) not in text


def test_it_asks_for_the_kernel_of_its_environment_and_carries_no_trace_of_its_run(
    path: Path,
) -> None:
    notebook = document.read(path)
    assert notebook.metadata.kernelspec.name == "python3"
    assert notebook == normalised(document.read(path))


def test_it_is_small_enough_to_commit(path: Path) -> None:
    assert path.stat().st_size < 600_000


def test_hardly_any_output_is_ignored_by_nbval() -> None:
    ignored = [
        cell.source
        for path in NOTEBOOKS
        for cell in code(document.read(path))
        if "NBVAL_IGNORE_OUTPUT" in cell.source
        or {"nbval-ignore-output", "nbval-skip"} & set(cell.metadata.get("tags", ()))
    ]
    assert len(ignored) <= IGNORED_AT_MOST
