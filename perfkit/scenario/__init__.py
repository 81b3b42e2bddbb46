"""Scenarios: what is asked of a trial, from TOML to frozen types.

Every problem of a file is listed at once; unknown keys are refused with a suggestion.
"""

from perfkit.scenario.loading import (
    ALIASES,
    builtins,
    digest,
    load_document,
    parse,
    with_values,
    workload_digest,
)
from perfkit.scenario.presets import PRESETS, PoolSettings, Preset, StackSettings, settings_of
from perfkit.scenario.threshold import METRICS, Expression, Threshold, parse_expression
from perfkit.scenario.types import (
    Gateway,
    Host,
    Job,
    Load,
    Pool,
    Redis,
    Scenario,
    Stack,
    Think,
    Window,
)

__all__ = [
    "ALIASES",
    "METRICS",
    "PRESETS",
    "Expression",
    "Gateway",
    "Host",
    "Job",
    "Load",
    "Pool",
    "PoolSettings",
    "Preset",
    "Redis",
    "Scenario",
    "Stack",
    "StackSettings",
    "Think",
    "Threshold",
    "Window",
    "builtins",
    "digest",
    "load_document",
    "parse",
    "parse_expression",
    "settings_of",
    "with_values",
    "workload_digest",
]
