"""What a run proves: accounting, thresholds, validity, saturation, and the verdict in words.

Lazy, because `watching` also runs beside a measurement, where pandas and DuckDB must not be. No
module is named as a public name is: importing it would put it in the name's place.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from perfkit.verdict.books import Accounting, Identity, accounting
    from perfkit.verdict.classing import accounts
    from perfkit.verdict.comparing import Gate, Outcome, describe, gate, outcome, outcome_of
    from perfkit.verdict.contributing import contributions, contributions_by_trial
    from perfkit.verdict.demanding import Bottleneck, Resource, bottleneck, demands
    from perfkit.verdict.following import Pathwise, pathwise
    from perfkit.verdict.independent import Counter
    from perfkit.verdict.judgement import Status, TrialVerdict, Verdict, judge, phases, trials
    from perfkit.verdict.lawful import laws
    from perfkit.verdict.punctuality import Lateness, lateness
    from perfkit.verdict.recovering import Recovery, recoveries, recovery
    from perfkit.verdict.sustaining import PhaseState, Saturation, State, saturation
    from perfkit.verdict.thresholds import ThresholdResult, evaluate_thresholds
    from perfkit.verdict.watching import Abort, Figures, watch_of
    from perfkit.verdict.wording import Headline, headline

__all__ = [
    "Abort",
    "Accounting",
    "Bottleneck",
    "Counter",
    "Figures",
    "Gate",
    "Headline",
    "Identity",
    "Lateness",
    "Outcome",
    "Pathwise",
    "PhaseState",
    "Recovery",
    "Resource",
    "Saturation",
    "State",
    "Status",
    "ThresholdResult",
    "TrialVerdict",
    "Verdict",
    "accounting",
    "accounts",
    "bottleneck",
    "contributions",
    "contributions_by_trial",
    "demands",
    "describe",
    "evaluate_thresholds",
    "gate",
    "headline",
    "judge",
    "lateness",
    "laws",
    "outcome",
    "outcome_of",
    "pathwise",
    "phases",
    "recoveries",
    "recovery",
    "saturation",
    "trials",
    "watch_of",
]

_HOMES: Final = {
    "books": ("Accounting", "Identity", "accounting"),
    "classing": ("accounts",),
    "comparing": ("Gate", "Outcome", "describe", "gate", "outcome", "outcome_of"),
    "contributing": ("contributions", "contributions_by_trial"),
    "demanding": ("Bottleneck", "Resource", "bottleneck", "demands"),
    "following": ("Pathwise", "pathwise"),
    "independent": ("Counter",),
    "judgement": ("Status", "TrialVerdict", "Verdict", "judge", "phases", "trials"),
    "lawful": ("laws",),
    "punctuality": ("Lateness", "lateness"),
    "recovering": ("Recovery", "recoveries", "recovery"),
    "sustaining": ("PhaseState", "Saturation", "State", "saturation"),
    "thresholds": ("ThresholdResult", "evaluate_thresholds"),
    "watching": ("Abort", "Figures", "watch_of"),
    "wording": ("Headline", "headline"),
}


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(f"perfkit.verdict.{home}"), name)
    raise AttributeError(f"perfkit.verdict has no public name {name!r}")


def __dir__() -> list[str]:
    return list(__all__)
