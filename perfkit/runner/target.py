"""How much of a load has come due by now, whether or not anybody sends it."""

from __future__ import annotations

from typing import Any, Final

import numpy as np

__all__ = ["Target"]

_STALE_NS: Final = 2_000_000_000


class Target:
    """An open load's plan against the counts of its generator.

    The counts are of some moment within the last half second, so what was due is told of the same
    moment. Counts that are older than two seconds are of a generator that does not come round to
    telling them: then the plan goes on without it.

    Args:
        offsets_ns: sorted intended instants from the start of load, shape (n,), int64.
    """

    def __init__(self, offsets_ns: np.ndarray[Any, np.dtype[np.int64]]) -> None:
        self._offsets_ns = offsets_ns
        self.start_ns = 0
        """The start of load; to be set when it is known."""

    def due(self, elapsed_s: float, now_ns: int) -> int:
        """Requests that had come due when the counts were taken, so long after the start."""
        at_ns = max(round(elapsed_s * 1e9), now_ns - self.start_ns - _STALE_NS)
        return int(np.searchsorted(self._offsets_ns, at_ns, side="right"))
