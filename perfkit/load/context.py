"""What user code gets beside its client: ``async def user(client, ctx)``."""

from __future__ import annotations

import math
import random
from time import monotonic_ns
from typing import Any, Final

from perfkit.load.demand import Due
from perfkit.load.happenings import CHECK, OWN, Happenings
from perfkit.recorder.draws import unit

__all__ = ["Context"]

_MOST_LETTERS: Final = 200


class Context:
    """One iteration of one user.

    Attributes:
        user: its number; in an open model every arrival is a user of its own.
        iteration: how many it had before; 0 in an open model.
        requests: how many requests of this iteration have begun.
    """

    __slots__ = (
        "_happenings",
        "_key",
        "_name",
        "_random",
        "basis_ns",
        "due",
        "iteration",
        "requests",
        "since_ns",
        "user",
    )

    def __init__(self, due: Due, key: str, user: int, happenings: Happenings) -> None:
        self.due = due
        self.user = user
        self.iteration = due.iteration if due.user >= 0 else 0
        self.requests = 0
        # A request is intended as long after the basis as user code kept it after `since`: what
        # lies between the two is the generator's own lag.
        self.basis_ns = due.intended_ns
        self.since_ns = monotonic_ns()
        self._key = key
        self._name: str | None = None
        self._random: random.Random | None = None
        self._happenings = happenings

    @property
    def random(self) -> random.Random:
        """Seeded by (seed, user, iteration) alone: the same in every run, in whatever order."""
        if self._random is None:
            self._random = random.Random(self._key)
        return self._random

    @property
    def key(self) -> str:
        """The key of the next request, unique in the trial."""
        return f"{self._key}/{self.requests}"

    def unit(self, *place: int | str) -> float:
        """A number in (0, 1) that depends on seed, user, iteration and this place alone."""
        return unit(self._key, *place)

    def name(self, name: str) -> None:
        """Name the next request; ``extensions={"name": ...}`` of a request does the same."""
        self._name = checked_name(name)

    def take_name(self) -> str | None:
        """The name of the request that begins, if it was given."""
        name, self._name = self._name, None
        return name

    def check(self, name: str, ok: Any) -> bool:
        """Count a check as passed or failed; returns whether it passed."""
        passed = bool(ok)
        self._happenings.add(monotonic_ns(), CHECK, checked_name(name), float(passed))
        return passed

    def metric(self, name: str, value: float, unit: str = "") -> None:
        """Keep a value of one's own; it is shown as ``own.NAME``.

        Raises:
            ValueError: the value is not finite, or the name is none.
        """
        number = float(value)
        if not math.isfinite(number):
            raise ValueError(f"a metric is a finite number, not {value!r}")
        self._happenings.add(monotonic_ns(), OWN + checked_name(name), unit[:_MOST_LETTERS], number)


def checked_name(name: Any) -> str:
    """The name itself.

    Raises:
        ValueError: it is no text that can be shown in a line.
    """
    if not isinstance(name, str) or not name.strip() or not name.isprintable():
        raise ValueError(f"a name is printable text, not {name!r}")
    if len(name) > _MOST_LETTERS:
        raise ValueError(f"a name has at most {_MOST_LETTERS} letters, not {len(name)}")
    return name
