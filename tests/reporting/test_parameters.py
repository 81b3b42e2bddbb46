"""Parameters are checked before a kernel starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from perfkit.errors import UsageError
from perfkit.reporting import checked_parameters
from tests.reporting.notebooks import notebook

DECLARED = 'run_dir: str = ""\nlive: bool = False\ncount: int = 3\nshare: float = 0.5'


@pytest.fixture
def declared(tmp_path: Path) -> Path:
    """A notebook with a parameter of every kind."""
    return notebook(tmp_path / "a {brace}.ipynb", "1 + 1", parameters=DECLARED)


def test_an_unknown_parameter_is_refused_with_the_nearest_name(declared: Path) -> None:
    with pytest.raises(UsageError) as refused:
        checked_parameters(declared, {"run_dri": "x"})
    assert "no parameter 'run_dri'; it has run_dir, live, count, share" in refused.value.what
    assert refused.value.mend == "did you mean 'run_dir'?"


def test_a_missing_notebook_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no notebook"):
        checked_parameters(tmp_path / "none.ipynb", {})


def test_texts_become_what_the_notebook_declares(declared: Path) -> None:
    given = {"live": "true", "count": "7", "share": "0.25", "run_dir": Path("x")}
    expected = {"live": True, "count": 7, "share": 0.25, "run_dir": "x"}
    assert checked_parameters(declared, given) == expected


@pytest.mark.parametrize(
    ("name", "value"),
    [("live", "maybe"), ("count", "many"), ("count", True), ("share", "x"), ("run_dir", 3)],
)
def test_a_value_of_another_type_is_refused(declared: Path, name: str, value: object) -> None:
    with pytest.raises(UsageError, match=f"parameter '{name}'"):
        checked_parameters(declared, {name: value})
