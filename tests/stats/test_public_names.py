"""The public names of the statistics: none left out, and lazy (tests/verdict/test_package.py)."""

from __future__ import annotations

import importlib
import pkgutil

from perfkit import stats
from tests.fresh import in_fresh_interpreter

# Shared between modules of the package, and by the verdict; no figures of their own.
INNER = {
    "LEAST_PAIRS",
    "LEAST_TRIALS",
    "MOST_EXACT",
    "Scale",
    "TIE",
    "binomial_cdf",
    "binomial_ppf",
    "detectable_by_flips",
    "detectable_multiple",
    "interval_multiple",
    "median_interval",
    "sign_flips",
    "smallest_p",
    "student_interval",
    "student_ppf",
    "varies",
}


def test_nothing_public_in_a_module_is_left_out() -> None:
    inside: set[str] = set()
    for each in pkgutil.iter_modules(stats.__path__):
        inside |= set(importlib.import_module(f"perfkit.stats.{each.name}").__all__)
    assert inside - INNER == set(stats.__all__)


def test_each_loads_in_a_fresh_interpreter_which_loads_no_numpy_before() -> None:
    code = (
        "import sys\n"
        "from perfkit import stats\n"
        "from perfkit.stats import quantile_of_sorted\n"
        "assert 'numpy' not in sys.modules\n"
        "for name in stats.__all__: getattr(stats, name)\n"
        "print('all')"
    )
    assert in_fresh_interpreter(code).strip() == "all"
