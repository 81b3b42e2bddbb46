"""Whom a fault hits, among those that live when it comes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final, Literal

from perfkit.errors import StackError

__all__ = ["Living", "Role", "victims"]

Role = Literal["worker", "ingest", "supervisor", "redis"]

Living = Callable[[Role], Sequence[str]]
"""The living of a role, by name."""

_ROLES: Final[dict[str, Role]] = {
    "worker": "worker",
    "workers": "worker",
    "ingest": "ingest",
    "supervisor": "supervisor",
    "redis": "redis",
}
_ONE_OF_THEM: Final = ("worker", "supervisor")


def victims(target: str, living: Living, draw: str) -> list[str]:
    """The processes that a target means.

    ``worker`` and ``supervisor`` are one of several, chosen by ``draw``: the same text chooses the
    same one among the same. ``workers``, ``ingest`` and ``redis`` are all there are.

    Raises:
        StackError: nobody of that kind, or of that name, lives.
    """
    head, _, name = target.partition(":")
    role = _ROLES[head]
    found = sorted(living(role), key=_by_number)
    if name:
        if name not in found:
            raise StackError(f"no worker {name} lives", f"alive are: {', '.join(found) or 'none'}")
        return [name]
    if not found:
        raise StackError(f"no {role} lives")
    if head in _ONE_OF_THEM:
        return [random.Random(draw).choice(found)]
    return found


def _by_number(name: str) -> tuple[str, int]:
    """worker-10 after worker-9."""
    pool, _, number = name.rpartition("-")
    return (pool, int(number)) if number.isdigit() else (name, 0)
