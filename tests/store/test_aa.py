"""The A/A ledger: appended by several, read in spite of damage, pooled by degrees of freedom."""

from __future__ import annotations

import json
import math
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from perfkit.errors import ResultsNotWritable
from perfkit.store import list_runs
from perfkit.store.aa import AA, Figure, Ledger, ledger_path, read_ledger, record

P95 = Figure(name="P95 of payments", kind="p95", sd=0.03, p_adjusted=0.4)
FOUND = AA(
    run="compare-smoke-smoke/20260101-000000-0001",
    date="2026-01-01T00:00:00+00:00",
    scenario="smoke",
    digest="d1",
    pairs=8,
    window_s=20.0,
    level=0.95,
    judged=True,
    alarm=False,
    figures=(P95,),
    versions={"perfkit": "0.1.0"},
)


def test_what_was_recorded_is_read_back(tmp_path: Path) -> None:
    path = record(tmp_path, "f00", FOUND)
    assert path == tmp_path / ".host" / "f00" / "aa.jsonl"
    assert read_ledger(tmp_path, "f00") == Ledger((FOUND,))
    assert read_ledger(tmp_path, "other") == Ledger()
    assert list_runs(tmp_path) == []


def test_many_writers_lose_nothing(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        list(
            pool.map(
                lambda number: record(tmp_path, "f00", replace(FOUND, run=f"run/{number}")),
                range(64),
            )
        )
    ledger = read_ledger(tmp_path, "f00")
    assert ledger.skipped == 0
    assert {each.run for each in ledger.entries} == {f"run/{number}" for number in range(64)}


def test_a_comparison_that_is_recorded_again_counts_once(tmp_path: Path) -> None:
    record(tmp_path, "f00", FOUND)
    record(tmp_path, "f00", replace(FOUND, alarm=True))
    ledger = read_ledger(tmp_path, "f00")
    assert (ledger.judged, ledger.alarms) == (1, 1)


@pytest.mark.parametrize(
    "damage",
    [
        "nonsense",
        "[]",
        "{}",
        "null",
        json.dumps({"version": 99}),
        FOUND.line().replace('"version": 1', '"version": 2'),
        FOUND.line().replace("0.03", "-1"),
        FOUND.line().replace("0.03", "NaN"),
        FOUND.line().replace('"pairs": 8', '"pairs": "eight"'),
        FOUND.line().replace('"pairs": 8', '"pairs": 0'),
        FOUND.line().replace('"p95"', '"p96"'),
        FOUND.line().replace("0.4", "7"),
        FOUND.line().replace('"alarm": false', '"alarm": "no"'),
        FOUND.line()[:-40],
        "[" * 100_000,
    ],
)
def test_a_damaged_line_is_counted_and_the_others_are_read(tmp_path: Path, damage: str) -> None:
    record(tmp_path, "f00", FOUND)
    path = ledger_path(tmp_path, "f00")
    path.write_text(damage + "\n" + path.read_text())
    ledger = read_ledger(tmp_path, "f00")
    assert (ledger.entries, ledger.skipped) == ((FOUND,), 1)


def test_half_a_line_at_the_end_does_not_swallow_the_next_one(tmp_path: Path) -> None:
    record(tmp_path, "f00", FOUND)
    path = ledger_path(tmp_path, "f00")
    path.write_text(path.read_text() + FOUND.line()[:50])
    record(tmp_path, "f00", replace(FOUND, run="another/1"))
    ledger = read_ledger(tmp_path, "f00")
    assert [each.run for each in ledger.entries] == [FOUND.run, "another/1"]
    assert ledger.skipped == 1


def test_noise_is_pooled_by_degrees_of_freedom_and_of_the_same_scenario_first() -> None:
    ledger = Ledger(
        (
            FOUND,
            replace(FOUND, run="b/1", pairs=3, figures=(replace(P95, sd=0.06),)),
            replace(FOUND, run="c/1", digest="d2", figures=(replace(P95, sd=0.5),)),
        )
    )
    own = ledger.noise(P95.name, "p95", "d1")
    assert own is not None
    assert own.sd == pytest.approx(math.sqrt((7 * 0.03**2 + 2 * 0.06**2) / 9))
    assert (own.pairs, own.comparisons, own.own, own.freedom) == (11, 2, True, 9)
    any_of_kind = ledger.noise("P95 of orders", "p95", "d9")
    assert any_of_kind is not None
    assert (any_of_kind.comparisons, any_of_kind.own) == (3, False)
    assert ledger.noise("throughput", "throughput", "d1") is None


def test_one_pair_says_nothing_of_noise() -> None:
    assert Ledger((replace(FOUND, pairs=1),)).noise(P95.name, "p95", "d1") is None


def test_a_folder_that_takes_no_file_is_named() -> None:
    with pytest.raises(ResultsNotWritable, match="--results"):
        record(Path("/proc/perfkit-results"), "f00", FOUND)
