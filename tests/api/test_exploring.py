"""Two runs that are there: exploratory, refused where they do not compare, never a verdict."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from perfkit.api.exploring import are_runs, compare_runs
from perfkit.api.runs import Run
from perfkit.cli.comparing import compare as compare_command
from perfkit.errors import UsageError
from tests.sealed import MS, Sketch, delivery, facts, request, seal

HOST = {"cpus": 2, "fingerprint": "f00", "cpu_model": "one"}


def run_of(folder: Path, *service_ms: int, seeds: tuple[int, ...] = (), **manifest: Any) -> Run:
    """A run with one trial for each service time."""
    trials = []
    for index, each in enumerate(service_ms):
        rows = [request(seq) for seq in range(5)]
        ends = [row["intended_ns"] + (6 + each) * MS for row in rows]
        done = [
            delivery(row, finished_ns=end, acked_ns=end + MS)
            for row, end in zip(rows, ends, strict=True)
        ]
        seed = seeds[index] if seeds else index + 1
        trials.append(Sketch(rows, done, facts=facts(index, seed=seed)))
    plan = [
        {"trial": index, "scenario": "test", "label": "test", "axes": {}, "repetition": index,
         "seed": 1, "digest": "d", "workload_digest": "w"}
        for index in range(len(service_ms))
    ]  # fmt: skip
    return Run(seal(folder, *trials, plan=plan, **{"host": HOST, **manifest}))


def test_single_trials_are_observed_and_nothing_is_inferred(tmp_path: Path) -> None:
    found = compare_runs(run_of(tmp_path / "a", 94), run_of(tmp_path / "b", 104))
    effect = found.effects().set_index("metric").loc["P50 of payments"]
    assert effect["point"] == pytest.approx(0.1)
    assert effect[["low", "high", "p"]].isna().all()
    first, *rest = found.sentences()
    assert first.startswith("Exploratory, no verdict: ")
    assert "observed, not inferred" in first
    assert "P50 of payments +10.0 %" in rest
    assert found.document()["outcome"] == "exploratory"


def test_trials_of_other_seeds_are_two_groups(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", 90, 91, 92, 93, seeds=(1, 2, 3, 4))
    b = run_of(tmp_path / "b", 190, 191, 192, 193, seeds=(5, 6, 7, 8))
    found = compare_runs(a, b)
    assert not found.paired
    effect = found.effects().set_index("metric").loc["P95 of payments"]
    assert effect["p"] == pytest.approx(2 / 70)
    assert effect["low"] > 0.9


def test_trials_that_share_their_seeds_are_paired_by_them(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", 90, 120, 150, seeds=(1, 2, 3))
    b = run_of(tmp_path / "b", 300, 180, 241, seeds=(3, 1, 2))
    found = compare_runs(a, b)
    assert found.paired
    assert found.trials_used == ((0, 1, 2), (1, 2, 0))
    assert "paired by their seeds" in found.sentences()[0]
    effect = found.effects().set_index("metric").loc["P50 of payments"]
    assert 0.8 < effect["low"] < effect["high"] < 1.05


def test_runs_that_do_not_agree_are_refused_with_the_difference_unless_forced(
    tmp_path: Path,
) -> None:
    a = run_of(tmp_path / "a", 94)
    b = run_of(tmp_path / "b", 94, host=HOST | {"fingerprint": "f01", "cpu_model": "two"})
    with pytest.raises(UsageError, match=r"host\.fingerprint: f00 \| f01") as refused:
        compare_runs(a, b)
    assert "--force" in str(refused.value)
    found = compare_runs(a, b, force=True)
    assert ("host.cpu_model", "one", "two") in found.differences
    assert any("Forced" in each for each in found.sentences())


def test_another_workload_is_refused(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", 94)
    b = run_of(tmp_path / "b", 94)
    b.manifest["plan"][0]["workload_digest"] = "other"
    with pytest.raises(UsageError, match=r"workload: w \| other"):
        compare_runs(a, b)


def test_a_run_of_several_variants_is_refused(tmp_path: Path) -> None:
    a = run_of(tmp_path / "a", 94, 95)
    a.manifest["plan"][1]["label"] = "workers=4"
    with pytest.raises(UsageError, match="several variants"):
        compare_runs(a, run_of(tmp_path / "b", 94))


def test_invalid_trials_are_left_out_and_counted(tmp_path: Path) -> None:
    a, b = run_of(tmp_path / "a", 94), run_of(tmp_path / "b")
    found = compare_runs(a, b, force=True)
    assert "nothing to compare" in found.sentences()[0]


def test_names_of_runs_and_of_scenarios_do_not_mix(tmp_path: Path) -> None:
    run = run_of(tmp_path, 94)
    assert are_runs([str(run.path), run.run_id], results=tmp_path)
    assert not are_runs(["smoke", "first"], results=tmp_path)
    with pytest.raises(UsageError, match="is a run and smoke is a scenario"):
        are_runs([run.run_id, "smoke"], results=tmp_path)


def test_the_command_line_prints_it_and_never_fails_a_build(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b = run_of(tmp_path / "a", 94), run_of(tmp_path / "b", 400)
    arguments = [str(a.path), str(b.path), "--json"]
    assert compare_command.main(arguments, standalone_mode=False) == 0
    assert json.loads(capsys.readouterr().out)["exploratory"] is True
    with pytest.raises(UsageError, match="nothing can be set"):
        compare_command.main([*arguments, "--workers", "2"], standalone_mode=False)
