"""What is counted and since when, in words: jobs of a stack, or requests of a server elsewhere."""

from __future__ import annotations

from typing import Final, NamedTuple

import pandas as pd

__all__ = ["Words", "words_of", "words_of_trials"]


class Words(NamedTuple):
    """Words for a chart's title, axes and notes."""

    things: str
    system: str
    none: str  # said where there is no latency
    mend: str
    unfinished: str  # a column
    never: str  # after a share
    note: str  # of a table of latencies


_OF_JOBS: Final = Words(
    things="jobs",
    system="stack",
    none="No job of the window finished",
    mend="Latency needs finished jobs; the accounting below says where they are.",
    unfinished="unfinished",
    never="never finished",
    note="Jobs intended inside the window, from the intended time; one that never finished"
    " counts as ∞.",
)
_OF_REQUESTS: Final = Words(
    things="requests",
    system="server",
    none="No request of the window was accepted",
    mend="Latency needs accepted requests; the accounting says what became of them.",
    unfinished="not accepted",
    never="was not accepted",
    note="Requests intended inside the window, from the intended time to the whole answer; one that"
    " was not accepted counts as ∞.",
)
_OF_IMPORT: Final = _OF_REQUESTS._replace(
    note="Requests sent inside the window, from the time of sending to the whole answer: when they"
    " were due is not known. One that was not accepted counts as ∞."
)


def words_of(frame: pd.DataFrame) -> Words:
    """Of ``run.percentiles()`` or ``run.curve()``; of several kinds, those of jobs."""
    kinds = set(frame["of"]) if "of" in frame else set()
    if not kinds or "jobs" in kinds:
        return _OF_JOBS
    return _OF_IMPORT if kinds == {"imported"} else _OF_REQUESTS


def words_of_trials(trials: pd.DataFrame) -> Words:
    """Of ``run.trials()``: without a stack there is no number of workers."""
    return _OF_REQUESTS if len(trials) and trials["workers"].isna().all() else _OF_JOBS
