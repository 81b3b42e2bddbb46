"""What came out of each trial, as numbers: for ``summary.json``, and so for lists and histories."""

from __future__ import annotations

import math
from typing import Any

from perfkit.api.runs import Run
from perfkit.store.entries import LEVELS

__all__ = ["trial_figures"]


def trial_figures(run: Run) -> dict[int, dict[str, Any]]:
    """By trial: scenario and the figures of `perfkit.store.entries.FIGURES`.

    offered_per_s, due_per_s, throughput_per_s, n, p50_ns, p95_ns, p99_ns as `Run.trials` has them;
    worst_queue, worst_queue_p95_ns: the queue with the highest P95; errors: the share of all that
    was sent in the trial, warm-up included, whose job was not done (NaN where nothing was sent).
    """
    worst = _worst_queues(run)
    figures: dict[int, dict[str, Any]] = {}
    for row in run.trials().to_dict("records"):
        trial = int(row["trial"])
        queue, p95_ns = worst.get(trial, (None, math.nan))
        figures[trial] = {
            "scenario": row["scenario"],
            **{name: row[name] for name in LEVELS},
            "worst_queue": queue,
            "worst_queue_p95_ns": p95_ns,
            "errors": _errors(run, trial),
        }
    return figures


def _worst_queues(run: Run) -> dict[int, tuple[str, float]]:
    by_queue = run.percentiles(by=("trial", "queue"), ps=(95,))
    worst: dict[int, tuple[str, float]] = {}
    for row in by_queue.to_dict("records"):
        trial, p95_ns = int(row["trial"]), float(row["p95_ns"])
        if trial not in worst or p95_ns > worst[trial][1]:
            worst[trial] = (str(row["queue"]), p95_ns)
    return worst


def _errors(run: Run, trial: int) -> float:
    counted = run.accounting(trial)
    # A phantom ran although its request got no answer: no error of the job.
    done = counted.served + counted.done_unacked + counted.phantom
    return 1 - done / counted.sent if counted.sent else math.nan
