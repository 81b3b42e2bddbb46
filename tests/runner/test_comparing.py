"""Real comparisons: two pairs from plan to sealed words; interrupted, and carried on in pairs."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import pytest

from perfkit.api.compared import open_comparison
from perfkit.frames import core_loop_ns
from perfkit.runner import Options
from perfkit.runner.resuming import resumable
from perfkit.store.aa import read_ledger
from tests.runner.conftest import Start
from tests.runner.test_resuming import begun

SHORT = (
    "--pairs", "2", "--rate", "20", "--warmup", "500ms", "--duration", "2s", "--no-report",
    "--progress", "plain",
)  # fmt: skip


def test_half_a_pair_that_was_interrupted_is_measured_anew_as_a_whole(tmp_path: Path) -> None:
    path = begun(tmp_path, {}, {}, {}, comparison={})
    assert [trial.index for trial in resumable(path, Options(results=tmp_path)).todo] == [2, 3]


@pytest.mark.full
def test_an_aa_comparison_is_measured_sealed_and_kept_in_the_ledger(
    tmp_path: Path, measuring: Start
) -> None:
    run = measuring("compare", "first", "first", *SHORT)
    assert run.code(600) == 0, run.said()
    assert "first (B) against first (A): 2 pairs of trials" in run.said()
    found = open_comparison(run.run_folder())
    assert found.same
    assert found.outcome == "inconclusive"  # two pairs are exploratory
    document = json.loads((found.path / "comparison.json").read_text())
    assert document["sentences"] == list(found.sentences())
    ledger = read_ledger(run.results, found.manifest["host"]["fingerprint"])
    assert len(ledger.entries) <= 1  # none where no pair was valid
    for trial in found.run.stored.trials:  # the speed of the cores was measured beside each
        assert core_loop_ns(found.run.stored, trial) > 0
        assert "core-speed" in found.run.trial_facts(trial)["processes"]
    for a, b in found.pairs:
        seeds = [found.run.stored.facts(trial).seed for trial in (a, b)]
        assert seeds[0] == seeds[1]
        offsets = [
            (rows := found.run.requests(trial).sort_values("seq"))["intended_ns"].to_numpy()
            - rows["intended_ns"].min()
            for trial in (a, b)
        ]
        assert list(offsets[0]) == list(offsets[1])  # the same arrivals, to the nanosecond


@pytest.mark.full
def test_an_interrupted_comparison_is_sealed_and_carried_on(
    tmp_path: Path, measuring: Start
) -> None:
    run = measuring("compare", "first", "--set-b", "prefetch=2", *SHORT)
    run.until_it_says("trial 2 of 4", 300)
    run.send(signal.SIGINT)
    assert run.code(120) == 130, run.said()
    folder = run.run_folder()
    assert open_comparison(folder).pairs == ()
    again = measuring("compare", "--resume", "--no-report", "--progress", "plain")
    assert again.code(600) in (0, 4), again.said()
    found = open_comparison(folder)
    assert found.attempts.unmeasured == 0
