"""The committed example runs, each opened once in a process: only to be read.

What is judged of a run is kept as long as it is open, so tests that share one share the work.
"""

from __future__ import annotations

import functools

from perfkit.api.history import example_run
from perfkit.api.runs import Run

__all__ = ["example"]


@functools.cache
def example(name: str) -> Run:
    """``good`` or ``bad``."""
    return example_run(name)
