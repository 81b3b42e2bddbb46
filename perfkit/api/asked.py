"""What a comparison was asked, as its manifest keeps it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from perfkit.errors import NotARun
from perfkit.store.aa import Noise
from perfkit.verdict.telling import FalseAlarms

__all__ = ["KEY", "MARGINS", "Asked"]

KEY: Final = "comparison"
"""In the manifest of a comparison's run."""

MARGINS: Final[Mapping[str, float]] = {
    "p50": 0.05,
    "p95": 0.05,
    "p99": 0.10,
    "throughput": 0.05,
    "cpu": 0.05,
    "work": 0.05,
    "errors": 0.01,  # one point of a hundred: a share has no ratio to nothing
}
"""The smallest effects that matter, by kind of metric; shares of one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Fixed before the first trial."""

    baseline: str
    candidate: str
    arms: Mapping[str, Mapping[str, Any]]
    pairs: int
    level: float
    seed: int
    cap: int  # how many pairs may be measured again
    settle_s: float
    margins: Mapping[str, float]
    same: bool
    noise: Mapping[str, Noise] = field(default_factory=dict)
    ledger: FalseAlarms = field(default_factory=FalseAlarms)
    warnings: tuple[str, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    gate: bool = False
    """Whether a pipeline passes on it."""

    @property
    def of_versions(self) -> bool:
        """Whether the arms are versions in trees that were made for it, and are gone after it."""
        return "ref" in self.facts

    def document(self) -> dict[str, Any]:
        """As JSON's types."""
        return {
            "baseline": self.baseline,
            "candidate": self.candidate,
            "arms": {name: dict(arm) for name, arm in self.arms.items()},
            "pairs": self.pairs,
            "level": self.level,
            "seed": self.seed,
            "cap": self.cap,
            "settle_s": self.settle_s,
            "margins": dict(self.margins),
            "same": self.same,
            "noise": {
                name: {
                    "sd": each.sd,
                    "pairs": each.pairs,
                    "comparisons": each.comparisons,
                    "own": each.own,
                }
                for name, each in self.noise.items()
            },
            "ledger": {
                "comparisons": self.ledger.comparisons,
                "tested": self.ledger.tested,
                "false_alarms": self.ledger.false_alarms,
            },
            "warnings": list(self.warnings),
            "facts": dict(self.facts),
            **({"gate": True} if self.gate else {}),
        }

    @classmethod
    def of(cls, manifest: Mapping[str, Any], path: Path) -> Asked:
        """What the manifest of a run says.

        Raises:
            NotARun: it is of no comparison, or not as it should be.
        """
        raw = manifest.get(KEY)
        if not isinstance(raw, Mapping):
            raise NotARun(
                f"{path} is a run, but no comparison",
                "two runs are compared by `perfkit compare RUN_A RUN_B`; "
                "`perfkit compare A B` measures one",
            )
        try:
            # A comparison of an earlier version lacks the kinds that came later, and has no figure
            # of theirs.
            given = {str(kind): float(value) for kind, value in raw["margins"].items()}
            margins = {**MARGINS, **given}
            sound = all(margins[kind] > 0 and math.isfinite(margins[kind]) for kind in MARGINS)
            if not (sound and raw["pairs"] >= 1 and 0.5 < raw["level"] < 1):
                raise ValueError("margins, pairs or level are out of range")
            return cls(
                baseline=str(raw["baseline"]),
                candidate=str(raw["candidate"]),
                arms={str(name): dict(arm) for name, arm in raw["arms"].items()},
                pairs=int(raw["pairs"]),
                level=float(raw["level"]),
                seed=int(raw["seed"]),
                cap=int(raw["cap"]),
                settle_s=float(raw["settle_s"]),
                margins=margins,
                same=bool(raw["same"]),
                noise={str(name): Noise(**each) for name, each in raw["noise"].items()},
                ledger=FalseAlarms(**raw["ledger"]),
                warnings=tuple(str(each) for each in raw.get("warnings", ())),
                facts=dict(raw.get("facts", {})),
                gate=bool(raw.get("gate", False)),
            )
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise NotARun(
                f"{path}: what was compared can't be read: {error}", "restore it from a copy"
            ) from error
