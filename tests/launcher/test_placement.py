from __future__ import annotations

import os
from typing import Any

import pytest

from perfkit.errors import UsageError
from perfkit.launcher.placement import Placement, place


def test_with_four_cores_the_instrument_gets_one_for_itself() -> None:
    assert place(available=[0, 1, 2, 3]) == Placement((0, 1, 2), (3,))
    assert not place(available=[0, 1, 2, 3]).shared


@pytest.mark.parametrize("mask", [(0,), (0, 1), (2, 5, 7)])
def test_with_fewer_all_share(mask: tuple[int, ...]) -> None:
    assert place(available=mask) == Placement(mask, mask)
    assert place(available=mask).shared


def test_what_is_not_said_is_the_rest() -> None:
    assert place([2, 0], available=range(4)) == Placement((0, 2), (1, 3))
    assert place(instrument=[0], available=range(4)) == Placement((1, 2, 3), (0,))


def test_the_rest_of_everything_is_everything() -> None:
    assert place([0, 1], available=[0, 1]) == Placement((0, 1), (0, 1))


def test_explicit_lists_are_taken_as_they_are() -> None:
    placement = place([1], [1, 0], available=range(8))
    assert placement.facts() == {"system_cpus": [1], "instrument_cpus": [0, 1], "shared": True}


def test_the_mask_is_that_of_this_process() -> None:
    placement = place()
    assert {*placement.system_cpus, *placement.instrument_cpus} == os.sched_getaffinity(0)


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"system": []}, "host.system_cpus is empty"),
        ({"instrument": [1, 1]}, "twice"),
        ({"system": [0, 9]}, "CPU 9 is not among"),
        ({"system": [0], "instrument": [4]}, "host.instrument_cpus"),
    ],
)
def test_a_list_that_cannot_be_kept_is_refused(arguments: dict[str, Any], problem: str) -> None:
    with pytest.raises(UsageError, match=problem):
        place(**arguments, available=range(4))
