"""Scenarios: what is asked of a trial, from TOML to frozen types.

Every problem of a file is listed at once; unknown keys are refused with a suggestion.
"""

from perfkit.scenario.cautions import cautions
from perfkit.scenario.faults import ACTIONS, fault_row, parse_fault
from perfkit.scenario.loading import (
    ALIASES,
    builtins,
    digest,
    load_document,
    parse,
    with_values,
    workload_digest,
)
from perfkit.scenario.phases import Shaped, Stretch
from perfkit.scenario.presets import PRESETS, PoolSettings, Preset, StackSettings, settings_of
from perfkit.scenario.shapes import load_words
from perfkit.scenario.system import System, blotted
from perfkit.scenario.threshold import (
    METRICS,
    OWN,
    TELEMETRY,
    WATCHABLE,
    Expression,
    Threshold,
    parse_expression,
    unit_of,
)
from perfkit.scenario.traces import replayed
from perfkit.scenario.types import (
    Autoscale,
    Build,
    Fault,
    Gateway,
    Host,
    Job,
    JobId,
    Load,
    Phase,
    Pool,
    Redis,
    Scale,
    Scenario,
    Stack,
    Target,
    Think,
    Window,
)

__all__ = [
    "ACTIONS",
    "ALIASES",
    "METRICS",
    "OWN",
    "PRESETS",
    "TELEMETRY",
    "WATCHABLE",
    "Autoscale",
    "Build",
    "Expression",
    "Fault",
    "Gateway",
    "Host",
    "Job",
    "JobId",
    "Load",
    "Phase",
    "Pool",
    "PoolSettings",
    "Preset",
    "Redis",
    "Scale",
    "Scenario",
    "Shaped",
    "Stack",
    "StackSettings",
    "Stretch",
    "System",
    "Target",
    "Think",
    "Threshold",
    "Window",
    "blotted",
    "builtins",
    "cautions",
    "digest",
    "fault_row",
    "load_document",
    "load_words",
    "parse",
    "parse_expression",
    "parse_fault",
    "replayed",
    "settings_of",
    "unit_of",
    "with_values",
    "workload_digest",
]
