"""What a run proves: accounting, thresholds, validity, saturation, and the verdict in words."""

from perfkit.verdict.accounting import Accounting, Counter, Identity, accounting
from perfkit.verdict.headline import Headline, headline
from perfkit.verdict.judgement import Status, TrialVerdict, Verdict, judge, trials
from perfkit.verdict.lateness import Lateness, lateness
from perfkit.verdict.saturation import Saturation, State, saturation
from perfkit.verdict.thresholds import ThresholdResult, evaluate_thresholds

__all__ = [
    "Accounting",
    "Counter",
    "Headline",
    "Identity",
    "Lateness",
    "Saturation",
    "State",
    "Status",
    "ThresholdResult",
    "TrialVerdict",
    "Verdict",
    "accounting",
    "evaluate_thresholds",
    "headline",
    "judge",
    "lateness",
    "saturation",
    "trials",
]
