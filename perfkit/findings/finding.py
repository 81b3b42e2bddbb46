"""What the advisor says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["SEVERITIES", "Finding", "Severity"]

Severity = Literal["critical", "high", "medium", "low"]

SEVERITIES: Final[tuple[Severity, ...]] = ("critical", "high", "medium", "low")
"""The worst first. *critical*: figures do not mean what they seem to. *high*: it limits what the
system does. *medium*: it costs much of the latency. *low*: it costs something."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One finding; texts may hold names from outside, so that whoever shows them must escape."""

    rule: str
    severity: Severity
    title: str
    evidence: tuple[tuple[str, str], ...]
    """What was measured, as pairs of name and value; never empty."""
    knob: str
    """What to change."""
    experiment: str
    """The command that would prove it."""
    weight: float
    """Among findings of one severity the larger comes first: a share of time, or of a resource."""
    trials: tuple[int, ...]
    """Where it was found; the evidence is that of the first, where it weighs most."""
