"""Every rule asked of every trial; what is found, the worst first, and what was looked at."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from perfkit.findings.finding import SEVERITIES, Finding
from perfkit.findings.rules import RULES
from perfkit.findings.seeing import Seen, see
from perfkit.store import StoredRun
from perfkit.verdict import contributions_by_trial

__all__ = ["Advice", "advise", "advised"]

_NO_LOAD: Final = "no trial had any load"


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What was found in a run, and what was looked at for it."""

    found: tuple[Finding, ...]
    """The worst first."""
    looked_at: tuple[tuple[str, str, int], ...]
    """Of each rule: its name, what it looks at, and in how many trials it could be asked."""
    not_asked: tuple[tuple[str, str], ...]
    """Rules that could be asked of no trial, and why."""
    trials: int

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.found)

    @property
    def sentence(self) -> str:
        """How many findings there are, or that nothing was found, and what was looked at."""
        if self.found:
            count = len(self.found)
            return f"{count} finding{'s' if count > 1 else ''}: {self.found[0].title}" + (
                ", and more" if count > 1 else ""
            )
        asked = ", ".join(name for name, _, trials in self.looked_at if trials)
        return f"Nothing found. Looked at: {asked}" if asked else f"Nothing looked at: {_NO_LOAD}"


@functools.lru_cache(maxsize=16)
def advise(run: StoredRun) -> Advice:
    """Ask every rule of every trial with load that was not cut short."""
    contributed = contributions_by_trial(run, by="queue")
    seen = [
        each
        for each in (see(run, trial, contributed) for trial in run.trials)
        if each.complete and each.saturation.state != "idle"
    ]
    return advised(seen)


def advised(seen: Sequence[Seen]) -> Advice:
    """The same of facts that are at hand: a pure function."""
    found: dict[tuple[str, str], list[Finding]] = {}
    asked: dict[str, int] = {}
    not_asked: dict[str, str] = {}
    for rule in RULES:
        asked[rule.name] = 0
        for each in seen:
            if (why := rule.lacking(each)) is not None:
                not_asked.setdefault(rule.name, why)
                continue
            asked[rule.name] += 1
            if (finding := rule.ask(each)) is not None:
                found.setdefault((rule.name, finding.knob), []).append(finding)
    merged = [_merged(each) for each in found.values()]
    merged.sort(key=lambda each: (SEVERITIES.index(each.severity), -each.weight))
    return Advice(
        found=tuple(merged),
        looked_at=tuple((rule.name, rule.looks_at, asked[rule.name]) for rule in RULES),
        not_asked=tuple((name, why) for name, why in not_asked.items() if not asked[name]),
        trials=len(seen),
    )


def _merged(alike: Sequence[Finding]) -> Finding:
    """One finding of several trials, with the evidence of the worst."""
    ordered = sorted(alike, key=lambda each: (SEVERITIES.index(each.severity), -each.weight))
    return replace(ordered[0], trials=tuple(trial for each in ordered for trial in each.trials))
