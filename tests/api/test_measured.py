"""The figures of each trial that the summary carries for lists and histories."""

from __future__ import annotations

import math

import pytest

from perfkit.api.document import outcome
from perfkit.api.measured import trial_figures
from perfkit.store.entries import FIGURES, condense
from tests.examples import example


@pytest.mark.parametrize("name", ["good", "bad"])
def test_figures_are_those_of_the_trials_and_a_list_reads_all_of_them(name: str) -> None:
    run = example(name)
    by_trial = trial_figures(run)
    for row in run.trials().to_dict("records"):
        mine = by_trial[row["trial"]]
        assert mine["throughput_per_s"] == row["throughput_per_s"]
        assert mine["p99_ns"] == row["p99_ns"] or math.isnan(row["p99_ns"])
        queues = run.percentiles(by=("trial", "queue")).query("trial == @row['trial']")
        if len(queues):
            assert mine["worst_queue_p95_ns"] == queues["p95_ns"].max()
    condensed = condense(dict(run.manifest), outcome(run))
    for each in condensed["planned"]:
        if each["outcome"] != "failed" and by_trial[each["trial"]]["n"]:
            assert set(each["figures"]) == set(FIGURES)


def test_errors_are_of_what_was_sent_and_a_dead_job_is_one() -> None:
    run = example("bad")
    counted = run.accounting(0)
    assert counted.dead > 0
    share = trial_figures(run)[0]["errors"]
    assert share * counted.sent == pytest.approx(
        counted.sent - counted.done - counted.done_unacked - counted.phantom
    )
    assert math.isnan(trial_figures(run)[3]["errors"])  # nothing was sent
