"""The names of a lazy package."""

from __future__ import annotations

import importlib
import pkgutil
import subprocess
import sys

import pytest

from perfkit import stats, verdict


@pytest.mark.parametrize("package", [verdict, stats])
def test_the_public_names_are_complete_and_no_module_stands_in_their_place(package: object) -> None:
    names = package.__all__  # type: ignore[attr-defined]
    assert list(names) == sorted(names)
    assert dir(package) == list(names)
    modules = {each.name for each in pkgutil.iter_modules(package.__path__)}  # type: ignore[attr-defined]
    assert not modules & set(names)
    for name in names:
        assert getattr(package, name) is not None


@pytest.mark.parametrize("name", ["perfkit.verdict", "perfkit.stats"])
def test_a_name_that_is_not_public_is_refused(name: str) -> None:
    with pytest.raises(AttributeError, match="no public name 'nothing'"):
        _ = importlib.import_module(name).nothing


def test_functions_stay_functions_whatever_was_imported_before() -> None:
    code = (
        "import perfkit.verdict.judgement, perfkit.verdict.wording\n"
        "from perfkit import verdict\n"
        "print(all(callable(getattr(verdict, name)) for name in "
        "('accounting', 'headline', 'judge', 'lateness', 'phases', 'saturation', 'trials')))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "True"
