"""The floors of the house: a module imports only from lower floors; the two wings never meet."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fresh import in_fresh_interpreter

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "perfkit"

FLOORS: list[set[str]] = [
    {"errors"},  # the ground under floor 0: what everybody may raise
    {"units", "clock", "paths", "owner", "redaction", "recorder"},
    {"scenario"},
    {"plan", "records"},
    {"pairs"},
    {"store"},
    {"frames", "stats"},
    {"launcher", "load", "telemetry", "faults", "verdict"},
    {"findings"},  # what figures show
    {"runner", "figures"},
    {"monitor", "reporting"},
    {"api"},
    {"cli"},
]
FLOOR_OF = {name: number for number, names in enumerate(FLOORS) for name in names}
MEASURING = {"launcher", "load", "telemetry", "faults", "runner"}
READING = {"frames", "stats", "verdict", "findings", "figures"}
DOORS = {"__init__", "__main__"}


def modules() -> list[Path]:
    return sorted(
        path
        for path in PACKAGE.rglob("*.py")
        if "_sample" not in path.parts and "__pycache__" not in path.parts
    )


def part_of(path: Path) -> str:
    """The floor member a file belongs to: its top-level module or package."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports_of(path: Path) -> Iterator[str]:
    """Dotted names a file imports, those for the type checker alone included."""
    package = path.relative_to(ROOT).with_suffix("").parts[:-1]
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) - node.level + 1]) if node.level else []
            module = ".".join([*base, *(node.module or "").split(".")]).rstrip(".")
            yield module
            if module == "perfkit":
                yield from (f"perfkit.{alias.name}" for alias in node.names)


def our_imports(path: Path) -> set[str]:
    """Floor members a file imports from perfkit."""
    return {
        name.split(".")[1]
        for name in imports_of(path)
        if name.startswith("perfkit.") and not name.split(".")[1].startswith("__")
    }


def test_every_module_lives_on_a_floor() -> None:
    known = set(FLOOR_OF) | DOORS
    assert {part_of(path) for path in modules()} <= known


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_a_module_imports_only_from_lower_floors(path: Path) -> None:
    part = part_of(path)
    if part in DOORS:
        return
    wrong = {
        other for other in our_imports(path) - {part} if FLOOR_OF.get(other, -1) >= FLOOR_OF[part]
    }
    assert not wrong, f"{path.relative_to(ROOT)} imports {sorted(wrong)} from its floor or above"


def test_the_wings_never_import_each_other() -> None:
    for path in modules():
        part, others = part_of(path), our_imports(path)
        if part in MEASURING:
            assert not others & READING, path
        if part in READING:
            assert not others & MEASURING, path


def test_the_recorder_imports_the_standard_library_and_dramatiq_alone() -> None:
    allowed = set(sys.stdlib_module_names) | {"dramatiq"}
    for path in (PACKAGE / "recorder").rglob("*.py"):
        for name in imports_of(path):
            top = name.split(".")[0]
            assert top in allowed or name.startswith("perfkit.recorder"), f"{path}: {name}"


def test_the_system_under_test_does_not_know_the_instrument() -> None:
    for path in (ROOT / "workers").rglob("*.py"):
        assert not [name for name in imports_of(path) if name.split(".")[0] == "perfkit"], path


def test_perfkit_never_imports_the_system_under_test() -> None:
    for path in modules():
        assert not [name for name in imports_of(path) if name.split(".")[0] == "workers"], path


def test_measuring_loads_no_pandas_duckdb_or_matplotlib() -> None:
    code = (
        "import sys, perfkit.api.measure, perfkit.cli\n"
        "print([n for n in ('pandas', 'duckdb', 'matplotlib', 'plotly') if n in sys.modules])"
    )
    assert in_fresh_interpreter(code).strip() == "[]"


def test_importing_perfkit_imports_nothing_else_of_ours() -> None:
    code = "import sys, perfkit; print([n for n in sys.modules if n.startswith('perfkit.')])"
    assert in_fresh_interpreter(code).strip() == "[]"


def test_no_module_is_named_after_nothing() -> None:
    nobody = {"utils", "util", "common", "helpers", "helper", "misc"}
    assert not [path for path in modules() if path.stem in nobody]


def test_no_module_is_longer_than_four_hundred_lines() -> None:
    long = {
        str(path.relative_to(ROOT)): length
        for path in [*modules(), *(ROOT / "workers").rglob("*.py")]
        if (length := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert not long
