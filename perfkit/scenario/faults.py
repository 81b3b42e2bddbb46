"""What is broken on purpose while a trial runs: the tables ``[[fault]]``.

The whole grammar is `ACTIONS`; `row_problems` tells what is wrong with one table, by its key, and
`parse_fault` reads the same from one line of text. What needs the rest of the scenario (does this
worker, this queue, this ingest exist?) is in `perfkit.scenario.breaking`.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass as plain
from typing import Any, Final, Literal, NamedTuple

from pydantic import Field, TypeAdapter
from pydantic.dataclasses import dataclass

from perfkit.errors import UsageError
from perfkit.scenario.fields import CONFIG, PositiveDurationNs, SignedDurationNs
from perfkit.units import parse_bytes, parse_duration_ns

__all__ = [
    "ACTIONS",
    "LINKS",
    "Action",
    "Fault",
    "Wrong",
    "fault_row",
    "parse_fault",
    "row_problems",
]

Need = Literal["no", "optional", "required"]

LINKS: Final = ("worker-redis", "ingest-redis", "worker-gateway")
"""Connections that a proxy of ours can be put into."""

_WORKERS: Final = ("worker", "worker:NAME", "workers")


@plain(frozen=True, slots=True)
class Action:
    """What an action can be done to, and what has to be said of it.

    A target in capitals stands for any name, as in ``worker:NAME``.
    """

    targets: tuple[str, ...]
    lasts: Need = "no"  # ``for``: how long
    amount: Need = "no"

    def takes(self, target: str) -> bool:
        """Whether a target has a form that this action knows."""
        head, colon, name = target.partition(":")
        return target in self.targets or bool(
            colon and name and any(each.startswith(f"{head}:") for each in self.targets)
        )


ACTIONS: Final[dict[str, Action]] = {
    "kill": Action((*_WORKERS, "ingest", "supervisor", "redis")),
    "stop": Action((*_WORKERS, "ingest", "redis"), lasts="required"),
    "terminate": Action((*_WORKERS, "ingest")),
    "restart": Action(("redis", "ingest"), lasts="optional"),
    "pause": Action(("redis",), lasts="required"),
    "fill": Action(("redis",), lasts="optional", amount="optional"),
    "cut": Action(LINKS, lasts="required"),
    "slow": Action(LINKS, lasts="required", amount="required"),
    "outage": Action(("gateway", "gateway:QUEUE"), lasts="required"),
    "poison": Action(("queue:NAME",)),
}


@dataclass(frozen=True, slots=True, kw_only=True, config=CONFIG)
class Fault:
    """One fault: ``at`` from the start of the window, negative in the warm-up."""

    action: str
    target: str
    at_ns: SignedDurationNs = Field(alias="at")
    for_ns: PositiveDurationNs | None = Field(default=None, alias="for")
    amount: str | None = None  # slow: the added delay; fill: a share of the limit, or bytes

    @property
    def amount_ns(self) -> int | None:
        """The added delay of ``slow``."""
        return parse_duration_ns(self.amount) if self.action == "slow" and self.amount else None

    def fill_bytes(self, limit_bytes: int) -> int:
        """How much ``fill`` fills of a server with this limit."""
        return _fill(self.amount or "100%", limit_bytes)


class Wrong(NamedTuple):
    """Something wrong with one table: its key, what, and the mend."""

    key: str
    what: str
    mend: str = ""


def row_problems(row: Mapping[str, Any]) -> Iterator[Wrong]:
    """What is wrong with one ``[[fault]]``, taken alone; what has the wrong type is passed over."""
    name, target = row.get("action"), row.get("target")
    if not isinstance(name, str):
        return
    action = ACTIONS.get(name)
    if action is None:
        yield Wrong("action", f"there is no action {name!r}", _suggested(name, tuple(ACTIONS)))
        return
    if isinstance(target, str) and not action.takes(target):
        mend = _suggested(target, action.targets)
        yield Wrong("target", f"{name} can't be done to {target!r}", mend)
    if "for" not in row and action.lasts == "required":
        yield Wrong("for", f"missing: how long {name} lasts", 'such as for = "5s"')
    if "for" in row and action.lasts == "no":
        yield Wrong("for", f"{name} is done in one instant", "leave out for")
    yield from _amount(name, action, row)


def _amount(name: str, action: Action, row: Mapping[str, Any]) -> Iterator[Wrong]:
    amount = row.get("amount")
    if amount is None:
        if action.amount == "required":
            yield Wrong("amount", f"missing: how much to {name}", 'such as amount = "200ms"')
        return
    if action.amount == "no":
        yield Wrong("amount", f"{name} takes no amount", "leave it out")
    elif isinstance(amount, str):
        try:
            if name == "fill":
                _fill(amount, 1)
            elif parse_duration_ns(amount) <= 0:
                raise ValueError("must be longer than zero")
        except ValueError as error:
            yield Wrong("amount", str(error))


_SHARE = re.compile(r"(\d+(?:\.\d+)?)\s*%")


def _fill(amount: str, limit_bytes: int) -> int:
    """Bytes of "90%" or "30MB".

    Raises:
        ValueError: it is neither, or nothing, or a share above the whole.
    """
    if share := _SHARE.fullmatch(amount.strip()):
        if not 0 < float(share[1]) <= 100:
            raise ValueError(f"{amount!r} is not a share from above 0% to 100%")
        return round(limit_bytes * float(share[1]) / 100)
    try:
        size = parse_bytes(amount)
    except ValueError:
        size = 0
    if size <= 0:
        raise ValueError(f'{amount!r} is neither a share nor a size; write "90%" or "30MB"')
    return size


def _suggested(given: str, known: tuple[str, ...]) -> str:
    close = difflib.get_close_matches(given, known, n=1)
    there = f"known are {', '.join(known)}"
    return f"did you mean {close[0]!r}? {there}" if close else there


SHAPE: Final = "ACTION TARGET at TIME [for TIME] [amount X]"
_TEXT = re.compile(
    r"(?P<action>\S+)\s+(?P<target>\S+)\s+at\s+(?P<at>\S+)"
    r"(?:\s+for\s+(?P<for>\S+))?(?:\s+amount\s+(?P<amount>\S+))?"
)
_ADAPTER: TypeAdapter[Fault] = TypeAdapter(Fault)


def parse_fault(text: str) -> Fault:
    """The fault that ``ACTION TARGET at TIME [for TIME] [amount X]`` says.

    Raises:
        UsageError: it says none; the first thing that is wrong, and the mend.
    """
    row = fault_row(text)
    for wrong in row_problems(row):
        raise UsageError(f"fault {text!r}: {wrong.key}: {wrong.what}", wrong.mend)
    return _ADAPTER.validate_python(row)


def fault_row(text: str) -> dict[str, str]:
    """The same as the table that stands for it in a scenario's file.

    Raises:
        UsageError: the text has another shape, or a time in it is none.
    """
    found = _TEXT.fullmatch(text.strip())
    if found is None:
        mend = f"write it as '{SHAPE}', such as 'kill worker at 4s'"
        raise UsageError(f"fault {text!r} is not {SHAPE}", mend)
    row = {key: value for key, value in found.groupdict().items() if value is not None}
    for key in ("at", "for"):
        if key in row:
            try:
                length_ns = parse_duration_ns(row[key])
            except ValueError as error:
                raise UsageError(f"fault {text!r}: {key}: {error}") from None
            if key == "for" and length_ns <= 0:
                raise UsageError(f"fault {text!r}: for: must be longer than zero")
    return row
