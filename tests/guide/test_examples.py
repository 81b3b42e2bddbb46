"""The README's examples of files and of Python, and the facts it repeats from elsewhere."""

from __future__ import annotations

import ast
import re
import tomllib

import perfkit
from perfkit.api.runs import Run
from perfkit.scenario import load_document, parse
from perfkit.scenario.faults import ACTIONS
from tests.guide.readme import README, ROOT, SCENARIOS, fenced


def test_the_scenarios_can_be_used_as_they_stand() -> None:
    whole = [*fenced("toml"), *(text for text in fenced("toml", SCENARIOS) if "name =" in text)]
    parsed = [parse(tomllib.loads(text), "an example") for text in whole]
    assert [each.name for each in parsed] == ["checkout", "orders", "shop"]


def test_a_part_of_a_scenario_can_be_used_in_one() -> None:
    parts = [text for text in fenced("toml", SCENARIOS) if "name =" not in text]
    assert parts
    for text in parts:
        part = tomllib.loads(text)
        usual = {} if "phase" in part else {"rate": 10.0}
        load = {"model": "open"} | part.pop("load", usual)
        base = {
            "name": "whole",
            "load": load,
            "job": [{"queue": "payments"}],
            "gateway": {"payments": {"median": "40ms"}},
        }
        if "phase" in part:
            base["load"] = load | {"phase": part.pop("phase")}
        parse(base | part, "an example")


def test_the_python_names_what_there_is() -> None:
    (text,) = fenced("python")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            owner = {"perfkit": perfkit, "run": Run}[node.value.id]
            assert hasattr(owner, node.attr), node.attr


def rows(heading: str, text: str = README) -> list[list[str]]:
    """The cells of the table whose head begins with these words."""
    table = text.split(f"\n| {heading} ", 1)[1].split("\n\n", 1)[0]
    lines = table.splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_each_built_in_scenario_is_listed_with_its_load_and_its_window() -> None:
    listed = {row[0].strip("`"): row for row in rows("scenario")}
    built_in = {path.stem for path in (ROOT / "perfkit" / "builtin").glob("*.toml")}
    assert set(listed) == {name for name in built_in if not name.endswith("-open")}
    for name, row in listed.items():
        scenario = parse(*load_document(name))
        numbers = [int(each) for each in re.findall(r"\d+", row[1].split(" users")[0])]
        assert max(numbers) == scenario.peak
        size, unit = row[2].split()
        assert int(size) * {"s": 10**9, "min": 60 * 10**9}[unit] == scenario.window_ns


def test_every_exit_code_of_the_command_line_is_listed() -> None:
    listed = {int(row[0]) for row in rows("code")}
    codes = {0, 4, 5, 99, 130}
    kinds = [perfkit.PerfkitError]
    while kinds:
        kind = kinds.pop()
        codes.add(kind.exit_code)
        kinds += kind.__subclasses__()
    assert listed == codes


def test_every_fault_is_listed_with_its_targets_and_what_it_needs() -> None:
    listed = {row[0].strip("`"): row for row in rows("action", SCENARIOS)}
    assert set(listed) == set(ACTIONS)
    for name, action in ACTIONS.items():
        _, targets, further, _ = listed[name]
        if "the same" not in targets:
            assert set(re.findall(r"`([^`]+)`", targets)) == set(action.targets), name
        assert ("`for`" in further) == (action.lasts != "no"), name
        assert ("`amount`" in further) == (action.amount != "no"), name
    assert ACTIONS["slow"].targets == ACTIONS["cut"].targets


def test_what_is_linked_is_there() -> None:
    for page, folder in ((README, ROOT), (SCENARIOS, ROOT / "perfkit" / "builtin")):
        for target in re.findall(r"\]\(([^)#:]+)[^):]*\)", page):
            assert (folder / target).exists(), target


def test_it_can_be_read_at_a_sitting() -> None:
    assert len(README.splitlines()) < 300
