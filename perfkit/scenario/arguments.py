"""Arguments of a job that goes straight into its queue: literal values, and drawn ones.

A table with the key ``seeded`` stands for a value that is drawn for each job; the draw is a pure
function of the job's key and of the place it stands in (`perfkit.recorder.draws`)::

    { seeded = "int", low = 1, high = 100000 }     a whole number, both ends included
    { seeded = "float", low = 0.0, high = 1.0 }    a number between them
    { seeded = "choice", values = ["s", "l"] }     one of them, each as likely
    { seeded = "text", length = 12 }               letters a to z and digits 2 to 7
    { seeded = "key" }                             the key of the job itself, unique in the trial

Anything else is passed on as it is, and may hold drawn values in turn.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final

from pydantic import AfterValidator

__all__ = ["SEEDED", "Argument"]

_EXACT: Final = 2**53
"""A draw has 53 bits: it reaches every number of a range no wider than that."""


def _checked(value: Any) -> Any:
    """The value itself.

    Raises:
        ValueError: a table in it is seeded in a way that there is not.
    """
    if isinstance(value, Mapping):
        if "seeded" in value:
            _check(value)
        else:
            for each in value.values():
                _checked(each)
    elif isinstance(value, list | tuple):
        for each in value:
            _checked(each)
    return value


def _check(drawn: Mapping[str, Any]) -> None:
    kind = drawn["seeded"]
    if kind not in SEEDED:
        known = ", ".join(SEEDED)
        raise ValueError(f"seeded is one of {known}, not {kind!r}")
    wanted, check = SEEDED[kind]
    given = set(drawn) - {"seeded"}
    if missing := [name for name in wanted if name not in given]:
        raise ValueError(f"seeded = {kind!r} needs {' and '.join(missing)}")
    if unknown := sorted(given.difference(wanted)):
        takes = f"takes {' and '.join(wanted)}" if wanted else "takes nothing else"
        raise ValueError(f"seeded = {kind!r} {takes}, not {', '.join(unknown)}")
    check(drawn)


def _whole_range(drawn: Mapping[str, Any]) -> None:
    low, high = drawn["low"], drawn["high"]
    if not all(type(end) is int and abs(end) <= _EXACT for end in (low, high)):
        raise ValueError(f"low and high are whole numbers within 2^53, not {low!r} and {high!r}")
    _in_order(low, high)


def _range(drawn: Mapping[str, Any]) -> None:
    low, high = drawn["low"], drawn["high"]
    if not all(type(end) in (int, float) and math.isfinite(end) for end in (low, high)):
        raise ValueError(f"low and high are numbers, not {low!r} and {high!r}")
    _in_order(low, high)


def _in_order(low: float, high: float) -> None:
    if low > high:
        raise ValueError(f"low {low} is above high {high}; swap them")


def _values(drawn: Mapping[str, Any]) -> None:
    values = drawn["values"]
    if not isinstance(values, list | tuple) or not values:
        raise ValueError(f'values is a list such as ["s", "l"], not {values!r}')


def _length(drawn: Mapping[str, Any]) -> None:
    length = drawn["length"]
    if type(length) is not int or not 1 <= length <= 1_000_000:
        raise ValueError(f"length is a whole number from 1 to 1000000, not {length!r}")


def _nothing(_: Mapping[str, Any]) -> None:
    """There is nothing to check."""


SEEDED: Final[dict[str, tuple[tuple[str, ...], Callable[[Mapping[str, Any]], None]]]] = {
    "int": (("low", "high"), _whole_range),
    "float": (("low", "high"), _range),
    "choice": (("values",), _values),
    "text": (("length",), _length),
    "key": ((), _nothing),
}
"""Kinds of drawn values: the keys each needs, and what they must be."""

Argument = Annotated[Any, AfterValidator(_checked)]
"""A literal or drawn value, in the form it has in the file."""
