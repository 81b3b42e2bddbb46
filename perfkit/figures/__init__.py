"""Figures and tables for notebooks. Nothing here computes: frames and verdicts go in.

A function returns something that shows itself: in JupyterLab, in the HTML report, where no script
runs, and to a screen reader. ``Chart`` is the one primitive behind every drawing.
"""

from __future__ import annotations

from perfkit.figures.backlog import in_flight, oldest, waiting
from perfkit.figures.banner import first_screen
from perfkit.figures.books import accounting
from perfkit.figures.chart import (
    Axis,
    Bars,
    Box,
    Chart,
    Instant,
    Intervals,
    Line,
    Note,
    Panel,
    Points,
    Rule,
    Span,
    Table,
)
from perfkit.figures.comparison import answer, effects, noise_floor, unlike_arms, validity
from perfkit.figures.comparison_charts import forest, shift, trials_in_time
from perfkit.figures.comparison_stages import arms_by_stage, changes_by_stage
from perfkit.figures.contributions import contributions
from perfkit.figures.demands import demands, laws
from perfkit.figures.environment import environment, reproduce, settings
from perfkit.figures.findings import findings
from perfkit.figures.instrument import instrument
from perfkit.figures.journeys import journeys
from perfkit.figures.latency import by_percentile, intended_and_sent
from perfkit.figures.load import throughput
from perfkit.figures.markup import Block
from perfkit.figures.matrix import cells, commands, matrix, mechanisms, recorded, recovery_times
from perfkit.figures.multiples import across, titles, windows
from perfkit.figures.phases import phases
from perfkit.figures.redis import latency_events, slow_commands
from perfkit.figures.reliability import recovery, stalled
from perfkit.figures.resources import cpu, cpu_over_time, memory
from perfkit.figures.scaling import against_workers, latency_against_workers
from perfkit.figures.scoreboard import scoreboard
from perfkit.figures.stages import breakdown
from perfkit.figures.tables import percentiles, trials
from perfkit.figures.workforce import scale_events, worker_time, workers_over_time

__all__ = [
    "Axis",
    "Bars",
    "Block",
    "Box",
    "Chart",
    "Instant",
    "Intervals",
    "Line",
    "Note",
    "Panel",
    "Points",
    "Rule",
    "Span",
    "Table",
    "accounting",
    "across",
    "against_workers",
    "answer",
    "arms_by_stage",
    "breakdown",
    "by_percentile",
    "cells",
    "changes_by_stage",
    "commands",
    "contributions",
    "cpu",
    "cpu_over_time",
    "demands",
    "effects",
    "environment",
    "findings",
    "first_screen",
    "forest",
    "in_flight",
    "instrument",
    "intended_and_sent",
    "journeys",
    "latency_against_workers",
    "latency_events",
    "laws",
    "matrix",
    "mechanisms",
    "memory",
    "noise_floor",
    "oldest",
    "percentiles",
    "phases",
    "recorded",
    "recovery",
    "recovery_times",
    "reproduce",
    "scale_events",
    "scoreboard",
    "settings",
    "shift",
    "slow_commands",
    "stalled",
    "throughput",
    "titles",
    "trials",
    "trials_in_time",
    "unlike_arms",
    "validity",
    "waiting",
    "windows",
    "worker_time",
    "workers_over_time",
]
