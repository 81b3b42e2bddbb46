"""Everything that can go wrong, each with a way to mend it.

PerfkitError                 exit 1
├── UsageError               exit 2   the caller can mend it before anything runs
│   ├── ScenarioError                 one or many problems in a scenario, listed together
│   ├── ServerNotFound                no Redis or Valkey binary anywhere
│   ├── RedisUnreachable              refused, wrong password, not a Redis
│   ├── PortInUse                     an address that was asked for is taken
│   ├── ResultsNotWritable            read-only or full
│   ├── NotARun                       a foreign folder, or one of another schema
│   └── RunNotSealed                  still running, or killed: `perfkit repair`
├── StackError               exit 1   a child did not start, or died
│   ├── ChildDied
│   └── NotReady
├── ReportFailed             exit 1   a notebook did not run to its end
└── RunInvalid               exit 3   the figures of a trial mean nothing, or it has none
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

__all__ = [
    "OPEN_FILES",
    "ChildDied",
    "NotARun",
    "NotReady",
    "PerfkitError",
    "PortInUse",
    "Problem",
    "RedisUnreachable",
    "ReportFailed",
    "ResultsNotWritable",
    "RunInvalid",
    "RunNotSealed",
    "ScenarioError",
    "ServerNotFound",
    "StackError",
    "UsageError",
]

OPEN_FILES = "raise the limit of open files (`ulimit -n`)"
"""The mend where file handles ran out."""


class PerfkitError(Exception):
    """An error a person can act on: what is wrong, and how to mend it."""

    exit_code = 1

    def __init__(self, what: str, mend: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.mend = mend

    def __str__(self) -> str:
        return f"{self.what}\n  mend: {self.mend}" if self.mend else self.what


class UsageError(PerfkitError):
    """The request itself is wrong; nothing was started."""

    exit_code = 2


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong with a scenario: where (dotted key), what, and the mend."""

    key: str
    what: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.key}: {self.what}" + (f" ({self.mend})" if self.mend else "")


class ScenarioError(UsageError):
    """All that is wrong with a scenario, at once."""

    def __init__(self, source: str, problems: Sequence[Problem]) -> None:
        self.source = source
        self.problems = tuple(problems)
        listed = "\n".join(f"  {problem}" for problem in self.problems)
        count = "1 problem" if len(self.problems) == 1 else f"{len(self.problems)} problems"
        super().__init__(f"{source}: {count}\n{listed}")


class ServerNotFound(UsageError):
    """No Redis or Valkey server binary could be found."""


class RedisUnreachable(UsageError):
    """The Redis that was named can't be used."""


class PortInUse(UsageError):
    """An address that was asked for is already bound."""


class ResultsNotWritable(UsageError):
    """The results folder can't take a run."""


class NotARun(UsageError):
    """The folder holds no run that this version can read."""


class RunNotSealed(UsageError):
    """The run is still being measured, or was killed before it was sealed."""


class StackError(PerfkitError):
    """Part of the system under test did not do what it must."""


class ChildDied(StackError):
    """A child process ended although it was still needed."""


class NotReady(StackError):
    """A child process did not become ready in time."""


class ReportFailed(PerfkitError):
    """A notebook did not run to its end; what it left is marked FAILED."""


class RunInvalid(PerfkitError):
    """A batch job must not pass: a trial is INVALID, was cut short, or was never measured."""

    exit_code = 3
