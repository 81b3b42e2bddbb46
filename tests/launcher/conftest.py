"""Small stacks and stand-in children."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from perfkit.launcher.child import Child, ChildSpec
from perfkit.launcher.guard import Guard
from perfkit.launcher.spec import StackSpec
from perfkit.scenario import StackSettings
from tests.launcher.small_stack import GATEWAY, MakeSpec, MakeStack, stack_settings
from tests.leaks import no_leaks


@pytest.fixture(autouse=True)
def _nothing_is_left_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Every test of the launcher is a leak test; private folders are made in its own folder."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with no_leaks():
        yield
    assert not list(tmp_path.glob("perfkit-*"))


@pytest.fixture
def guard() -> Iterator[Guard]:
    guard = Guard()
    yield guard
    guard.close()


@pytest.fixture
def python(tmp_path: Path) -> MakeSpec:
    """Makes the specification of a child that runs some Python."""

    def make(code: str, name: str = "child-1", **changes: Any) -> ChildSpec:
        values: dict[str, Any] = {
            "name": name,
            "role": "worker",
            "argv": (sys.executable, "-I", "-S", "-c", code),
            "env": dict(os.environ),
            "log": tmp_path / "logs" / f"{name}.log",
            **changes,
        }
        return ChildSpec(**values)

    return make


@pytest.fixture
def started(python: MakeSpec, guard: Guard) -> Iterator[Callable[..., Child]]:
    """Starts a child that runs some Python, and kills it after the test."""
    children = []

    def start(code: str, **changes: Any) -> Child:
        child = Child(python(code, **changes), guard)
        children.append(child)
        child.start()
        return child

    yield start
    for child in children:
        child.stop(0)


@pytest.fixture
def stack_spec(tmp_path: Path) -> MakeStack:
    """Makes the specification of a small stack of the sample system."""

    def make(settings: StackSettings | None = None, **changes: Any) -> StackSpec:
        values: dict[str, Any] = {
            "settings": settings or stack_settings(),
            "directory": tmp_path / "trial",
            "gateway": GATEWAY,
            "leases": tmp_path / "leases",
            **changes,
        }
        return StackSpec(**values)

    return make
