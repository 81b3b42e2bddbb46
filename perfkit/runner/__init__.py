"""Conducting a plan: one trial at a time, each on a stack of its own, sealed as it ends."""

from perfkit.runner.conductor import conduct, extend, resume
from perfkit.runner.options import Options
from perfkit.runner.progress import Interrupt, Listener, Progress

__all__ = ["Interrupt", "Listener", "Options", "Progress", "conduct", "extend", "resume"]
