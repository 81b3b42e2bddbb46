"""What user code did to the measurement: it may keep the generator's event loop for itself."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

from perfkit.frames import session
from perfkit.store import StoredRun
from perfkit.units import format_duration

__all__ = ["kept_loop"]

_BLOCKED: Final = "journey.blocked"  # as of perfkit.load.happenings


def kept_loop(run: StoredRun, trial: int) -> Iterator[str]:
    """That user code did not give the event loop back: nothing was sent or read meanwhile."""
    with session(run, trial) as sql:
        found = sql.rows(
            "select subject, max(value) from samples where metric = $1 group by subject order by 2",
            [_BLOCKED],
        )
    for place, seconds in reversed(found):
        kept = (
            "until the process was ended"
            if math.isinf(seconds)
            else f"for {format_duration(seconds * 1e9)} or more"
        )
        yield f"the event loop was blocked {kept} by user code at {place}: let it await, or yield"
