"""What is done to a running stack, when and to whom; it says what, the runner does it.

``scaling``: more or fewer workers, by plan or by rule. ``schedule``, ``victims``, ``actions``: what
is broken on purpose, when, on whom, and how it is mended.
"""

from perfkit.faults.actions import Breaker, Broken, Site
from perfkit.faults.filling import memory_limit
from perfkit.faults.keda import METRIC, keda_document
from perfkit.faults.refusals import links_of, refusals
from perfkit.faults.scaling import Autoscaler, Change, Planned
from perfkit.faults.schedule import Due, FaultPlan

__all__ = [
    "METRIC",
    "Autoscaler",
    "Breaker",
    "Broken",
    "Change",
    "Due",
    "FaultPlan",
    "Planned",
    "Site",
    "keda_document",
    "links_of",
    "memory_limit",
    "refusals",
]
