"""The campaign of faults: a definition that can be carried out, and the summary it leaves."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from perfkit.api import plan, reliability
from perfkit.api.matrix import FILE
from perfkit.cli.choices import values_of
from perfkit.faults import refusals
from perfkit.paths import checkout, example_data
from perfkit.plan import Plan
from tests.benchmarks import campaign, faults

ROOT = checkout() or Path()
COMMITTED = example_data() / "reliability"


def test_there_are_enough_combinations_and_each_stands_once() -> None:
    assert len(faults.CELLS) >= 20
    assert max(Counter(cell.name for cell in faults.CELLS).values()) == 1
    assert {cell.configuration for cell in faults.CELLS} == set(faults.CONFIGURATIONS)


def test_two_combinations_keep_the_timings_of_dramatiq() -> None:
    assert sum(cell.configuration == "stock timings" for cell in faults.CELLS) == 2


def planned(arguments: Sequence[str]) -> Plan:
    """What these arguments of ``perfkit run`` would carry out."""
    _, scenario, *rest = arguments
    pairs = list(zip(rest[::2], rest[1::2], strict=True))
    sets = [value for flag, value in pairs if flag == "--set"]
    broken = [value for flag, value in pairs if flag == "--fault"]
    assert len(sets) + len(broken) == len(pairs)
    return plan(str(ROOT / scenario), faults=broken, **values_of({"sets": sets}))


@pytest.mark.parametrize("cell", faults.CELLS, ids=lambda cell: cell.name)
def test_each_combination_is_a_scenario_that_can_be_run(cell: faults.Cell) -> None:
    [trial] = planned(cell.arguments).trials
    [fault] = trial.scenario.fault
    assert cell.fault.startswith(f"{fault.action} {fault.target} at 4s")
    assert list(refusals(trial.scenario, None, allow_destructive=False, limit_bytes=None)) == []


def test_all_turns_fit_into_an_hour_and_a_half() -> None:
    trials_ns = faults.TURNS * sum(planned(cell.arguments).most_ns for cell in faults.CELLS)
    around_ns = len(faults.CELLS) * faults.TURNS * 12 * 10**9  # to start, to collect, to judge
    assert trials_ns + around_ns < 90 * 60 * 10**9


def test_turns_are_interleaved_and_each_has_its_own_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TURNS", raising=False)
    names = list(faults.steps())
    assert len(names) == len(faults.CELLS) * faults.TURNS
    first = names[: len(faults.CELLS)]
    assert all(name.endswith("turn 1") for name in first)
    assert "seed=5" in faults.steps()[names[-1]]


def test_only_the_first_turns_can_be_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TURNS", "1")
    assert len(faults.steps()) == len(faults.CELLS)
    for wrong in ("0", "6", "many", "-1"):
        monkeypatch.setenv("TURNS", wrong)
        with pytest.raises(SystemExit, match="from 1 to 5"):
            faults.steps()


def test_the_campaign_knows_the_part() -> None:
    assert campaign.PARTS["faults"].steps is faults.steps
    assert campaign.main(["fault"]) == 2


def test_the_committed_summary_is_of_these_combinations_small_and_of_no_machine() -> None:
    path = COMMITTED / FILE
    assert path.stat().st_size < 150_000
    found = reliability(COMMITTED)
    names = [f"{row.fault} | {row.configuration}" for row in found.cells.itertuples()]
    assert names == [cell.name for cell in faults.CELLS]
    assert found.cells["command"].tolist() == [cell.command for cell in faults.CELLS]
    assert dict(found.configurations) == {
        name: words for name, (words, _) in faults.CONFIGURATIONS.items()
    }
    text = path.read_text()
    assert not any(f"/{root}/" in text for root in ("home", "root", "work", "tmp"))
    assert found.recorded["hosts"]


def test_in_the_committed_trials_every_job_is_explained() -> None:
    trials = reliability(COMMITTED).trials
    assert trials["unexplained"].sum() == 0
    for row in trials.to_dict("records"):
        if row["lost"] or row["duplicated"]:
            assert row["why"], f"{row['fault']} | {row['configuration']} names no mechanism"


def test_an_empty_folder_of_runs_is_summed_up_as_nothing(tmp_path: Path) -> None:
    said = faults.summarise({"of another part": str(tmp_path)}, tmp_path / FILE)
    assert said == "nothing of this campaign was measured"
    assert not (tmp_path / FILE).exists()
