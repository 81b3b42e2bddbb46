"""The public names: listed once, sorted, and all of them real."""

from __future__ import annotations

import importlib
import pkgutil
from types import ModuleType

import pytest

import perfkit
from tests.fresh import in_fresh_interpreter


def packages() -> list[str]:
    found = pkgutil.walk_packages(perfkit.__path__, "perfkit.")
    # `__main__` modules run when imported.
    return [each.name for each in found if not each.name.endswith("__main__")]


def test_the_public_names_are_sorted_and_complete() -> None:
    assert list(perfkit.__all__) == sorted(perfkit.__all__)
    for name in perfkit.__all__:
        assert getattr(perfkit, name) is not None


def test_a_name_that_is_not_public_is_refused() -> None:
    with pytest.raises(AttributeError, match="no public name 'nothing'"):
        _ = perfkit.nothing


def test_dir_shows_the_public_names() -> None:
    assert dir(perfkit) == sorted(perfkit.__all__)


@pytest.mark.parametrize("name", packages())
def test_every_module_has_the_names_it_lists(name: str) -> None:
    if name in ("perfkit.recorder.cli", "perfkit.recorder.on") or "_sample" in name:
        return  # imports an application named by the environment
    module: ModuleType = importlib.import_module(name)
    listed = list(getattr(module, "__all__", []))
    assert len(listed) == len(set(listed)), name
    for each in listed:
        assert hasattr(module, each), f"{name} lists {each!r} and has it not"


def test_each_public_name_loads_in_a_fresh_interpreter() -> None:
    code = "import perfkit\nfor name in perfkit.__all__: getattr(perfkit, name)\nprint('all')"
    assert in_fresh_interpreter(code).strip() == "all"
