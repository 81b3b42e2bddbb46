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
    Chart,
    Line,
    Note,
    Panel,
    Points,
    Rule,
    Span,
    Table,
)
from perfkit.figures.environment import environment, reproduce, settings
from perfkit.figures.instrument import instrument
from perfkit.figures.latency import by_percentile, intended_and_sent
from perfkit.figures.load import throughput
from perfkit.figures.markup import Block
from perfkit.figures.multiples import across, titles, windows
from perfkit.figures.resources import cpu, cpu_over_time, memory
from perfkit.figures.scaling import against_workers, latency_against_workers
from perfkit.figures.stages import breakdown
from perfkit.figures.tables import percentiles, thresholds, trials

__all__ = [
    "Axis",
    "Bars",
    "Block",
    "Chart",
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
    "breakdown",
    "by_percentile",
    "cpu",
    "cpu_over_time",
    "environment",
    "first_screen",
    "in_flight",
    "instrument",
    "intended_and_sent",
    "latency_against_workers",
    "memory",
    "oldest",
    "percentiles",
    "reproduce",
    "settings",
    "thresholds",
    "throughput",
    "titles",
    "trials",
    "waiting",
    "windows",
]
