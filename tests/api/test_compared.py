"""A sealed comparison, read: pairs, verdict, words, and what invalid trials do to it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from perfkit.api.compared import Compared, open_comparison
from perfkit.api.comparing_document import write_comparison
from perfkit.api.comparing_ledger import entry_of
from perfkit.api.environments import server_settings, unlike
from perfkit.api.runs import Run
from perfkit.api.validity import invalid_pairs
from perfkit.errors import NotARun
from perfkit.stats.detecting import detectable_by_flips
from perfkit.store.aa import Ledger
from tests.comparisons import planned, seal_comparison
from tests.sealed import Sketch, request, seal
from tests.store.test_aa import FOUND

Open = Callable[..., Compared]


@pytest.fixture(scope="module")
def slower(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """B's payments take 20 % longer, on six pairs."""
    folder = tmp_path_factory.mktemp("slower")
    return open_comparison(seal_comparison(folder, slower=1.2, only=("payments",), pairs=6).path)


@pytest.fixture(scope="module")
def same(tmp_path_factory: pytest.TempPathFactory) -> Compared:
    """Six A/A pairs; of the second one the first attempt is invalid in B."""
    folder = tmp_path_factory.mktemp("same")
    ledger = Ledger(tuple(replace(FOUND, run=f"x/{each}") for each in range(4)))
    probe = seal_comparison(folder / "probe", set_b={}, pairs=2, missing=range(4))
    is_b = [each["trial"] for each in probe.manifest["plan"] if each["axes"]["arm"] == "B"]
    run = seal_comparison(
        folder, set_b={}, pairs=6, invalid=is_b[1:2], again={1: "again"}, ledger=ledger
    )
    return open_comparison(run.path)


def test_the_metric_that_is_worse_is_found_and_the_others_are_not(slower: Compared) -> None:
    assert slower.outcome == "worse"
    effects = slower.effects().set_index("metric")
    worse = effects[effects["outcome"] == "worse"].index
    assert len(worse) > 0
    assert {effects.loc[name, "queue"] for name in worse} == {"payments"}
    p50 = effects.loc["P50 of payments"]
    assert p50["low"] < 0.2 * 40 / 46 < p50["high"]  # 6 ms of 46 are no service
    assert p50["candidate"] / p50["baseline"] - 1 == pytest.approx(p50["point"])
    assert p50["correlation"] > 0.9
    assert effects.loc["throughput", "unit"] == "per_s"
    assert effects.loc["error rate", "margin"] == 0.01


def test_sentences_say_the_verdict_then_where_then_what_it_rests_on(slower: Compared) -> None:
    first, second, *rest = slower.sentences()
    assert first.startswith("smoke prefetch=2 is worse: P")
    assert second.startswith("Where: service of payments +")
    assert any(each.startswith("6 valid pairs; invalid trials: 0 of A, 0 of B") for each in rest)
    assert any("Correlation within the pairs" in each for each in rest)
    assert rest[-1].startswith("False alarms on this machine: not known")


def test_stages_of_a_quantile_add_up_and_the_longer_service_is_seen(slower: Compared) -> None:
    stages = slower.stages().set_index(["queue", "of", "stage"])
    change = stages.loc[("payments", "mean", "service")]
    assert change["low_ns"] < change["change_ns"] < change["high_ns"]
    assert change["change_ns"] == pytest.approx(0.2 * change["baseline_ns"], rel=0.1)
    assert change["p_adjusted"] <= 0.05
    other = stages.loc[("webhooks", "mean", "service")]
    assert other["low_ns"] < 0 < other["high_ns"] or abs(other["change_ns"]) < 2e6
    half = stages.loc["payments"].loc["p50"]["baseline_ns"].sum()
    p50 = slower.effects().set_index("metric").loc["P50 of payments", "baseline"]
    assert half == pytest.approx(p50, rel=0.02)


def test_trials_are_in_their_order_with_arm_pair_and_figures(slower: Compared) -> None:
    trials = slower.trials()
    assert list(trials["order"]) == list(range(12))
    assert set(trials["arm"]) == {"A", "B"}
    assert trials.groupby("pair")["arm"].nunique().tolist() == [2] * 6
    assert trials["valid"].all()
    assert trials["P95 of payments"].gt(0).all()
    assert [list(pair) for pair in slower.pairs] == [
        [int(rows.loc[rows["arm"] == arm, "trial"].iloc[0]) for arm in ("A", "B")]
        for _, rows in trials.groupby("pair")
    ]


def test_the_arms_differ_in_what_was_set(slower: Compared) -> None:
    assert ("stack.prefetch", "not there", "2") in slower.environment_difference


def test_the_document_is_strict_json_and_lies_beside_the_run(slower: Compared) -> None:
    write_comparison(slower)
    found = json.loads((slower.path / "comparison.json").read_text())
    assert found["outcome"] == "worse"
    assert found["run_dir"] == str(slower.path)
    assert len(found["trials"]) == 12
    assert found["sentences"] == list(slower.sentences())


def test_cpu_that_slower_and_faster_cores_hide_is_found_at_equal_speed(tmp_path: Path) -> None:
    found = open_comparison(seal_comparison(tmp_path, cpu=1.08, cores=0.15).path)
    effects = found.effects().set_index("metric")
    as_it_was, at_equal_speed = (
        effects.loc[name] for name in ("CPU ms per job", "CPU ms per job at equal speed")
    )
    assert as_it_was["p_adjusted"] > 0.05
    assert at_equal_speed["p_adjusted"] < 0.05
    assert at_equal_speed["low"] < 1.08 * 0.8 + 0.2 - 1 < at_equal_speed["high"]  # Redis, ingest
    assert at_equal_speed["sd"] < as_it_was["sd"] / 3
    assert at_equal_speed["baseline"] == pytest.approx(as_it_was["baseline"], rel=0.1)


def test_speed_that_was_measured_in_too_few_pairs_gives_no_figure(tmp_path: Path) -> None:
    found = open_comparison(seal_comparison(tmp_path, cores=0.15, pairs=5).path)
    assert "CPU ms per job at equal speed" not in set(found.effects()["metric"])
    assert "CPU ms per job at equal speed" not in found.trials().columns


def test_a_pair_measured_again_takes_the_place_of_the_invalid_one(same: Compared) -> None:
    assert same.same
    assert (same.invalid, same.repeated) == ((0, 1), 1)
    assert same.comparison.pairs == same.comparison.planned_pairs == 6
    assert not same.comparison.lopsided
    assert {12, 13} <= {trial for pair in same.pairs for trial in pair}
    assert same.trials()["replaced"].sum() == 2
    assert same.outcome in ("equivalent", "no detectable difference")
    assert same.sentences()[0].startswith("A/A, so there is nothing to find: ")


def test_a_valid_pair_is_not_measured_again(same: Compared) -> None:
    assert invalid_pairs(same.run) == {}


def test_an_aa_comparison_makes_a_line_of_the_ledger_and_another_one_does_not(
    same: Compared, slower: Compared
) -> None:
    entry = entry_of(same)
    assert entry is not None
    assert (entry.pairs, entry.judged, entry.alarm) == (6, True, False)
    assert {figure.kind for figure in entry.figures} >= {"p50", "p95", "p99", "cpu"}
    assert entry_of(slower) is None


def test_the_noise_floor_is_what_the_ledger_knew(same: Compared) -> None:
    floor = same.noise_floor.set_index("metric")
    known = floor.loc["P95 of payments"]
    assert known["sd_log"] == pytest.approx(0.03)
    multiple = detectable_by_flips(6, len(same.primaries))
    assert known["mde"] == pytest.approx(math.expm1(multiple * 0.03), rel=1e-3)
    assert math.isnan(floor.loc["CPU ms per job", "sd_log"])
    assert (same.ledger.tested, same.ledger.false_alarms) == (4, 0)


def test_an_invalid_trial_that_was_not_repeated_makes_it_inconclusive(tmp_path: Path) -> None:
    found = open_comparison(
        Run(seal_comparison(tmp_path, slower=2.0, pairs=2, invalid=(1,), failing=0.3))
    )
    assert found.outcome == "inconclusive"
    assert sum(found.invalid) == 1
    (reason,) = invalid_pairs(found.run).values()
    assert reason.startswith("pair 1 again: trial 1 (")
    assert "INVALID: 1 accepted jobs are unexplained" in reason
    # Refused requests are a result: infinite quantiles compare by rank, and there is no traceback.
    effects = found.effects().set_index("metric")
    assert effects.loc["error rate", "candidate"] > effects.loc["error rate", "baseline"] == 0


def test_a_comparison_cut_short_says_how_to_go_on(tmp_path: Path) -> None:
    found = open_comparison(
        Run(
            seal_comparison(
                tmp_path, pairs=2, missing=(1, 2, 3), status="partial", reason="interrupted"
            )
        )
    )
    assert found.outcome == "inconclusive"
    assert found.pairs == ()
    assert any(f"compare --resume {found.run.name}/" in each for each in found.sentences())
    assert invalid_pairs(found.run) == {}
    json.dumps(found.document(), allow_nan=False)


def test_versions_that_were_cut_short_are_not_said_to_be_carried_on(tmp_path: Path) -> None:
    run = seal_comparison(
        tmp_path, pairs=2, missing=(2, 3), status="partial", reason="interrupted",
        asked={"facts": {"ref": "main"}},
    )  # fmt: skip
    said = " ".join(open_comparison(Run(run)).sentences())
    assert "1 of 2 pairs were not measured" in said
    assert "its versions are not kept: measure it anew" in said
    assert "--resume" not in said


def test_an_arm_whose_trials_all_failed_has_no_effects_and_says_why(tmp_path: Path) -> None:
    plan = planned(pairs=8)
    of_b = [trial.index for trial in plan.trials if dict(trial.axes)["arm"] == "B"]
    found = open_comparison(
        Run(seal_comparison(tmp_path, failed=of_b, status="partial", reason="8 trials failed"))
    )
    assert found.outcome == "inconclusive"
    assert (found.invalid, found.pairs, found.primaries) == ((0, 8), (), ())
    first, *rest = found.sentences()
    assert first == "inconclusive: no metric is known in both arms."
    assert (
        f"Not valid of B: trial {of_b[0]} (NOT MEASURED: worker-1 did not start) and 7 more."
        in rest
    )
    assert any(each.startswith("Not compared, since an arm has no value: P50") for each in rest)
    assert len(invalid_pairs(found.run)) == 8
    json.dumps(found.document(), allow_nan=False)


def test_servers_differ_by_product_and_version_and_not_by_where_they_lie() -> None:
    one = {
        "server": "redis",
        "version": "8.0",
        "binary": "/a/redis-server",
        "binary_sha256": "1f" * 32,
    }
    other = one | {"binary": "/b/redis-server"}
    assert unlike(server_settings(one), server_settings(other)) == ()
    valkey = one | {"server": "valkey", "version": "9.0", "binary_sha256": "2e" * 32}
    assert unlike(server_settings(one), server_settings(valkey)) == (
        ("redis.build", "1f1f1f1f1f1f", "2e2e2e2e2e2e"),
        ("redis.server", "redis", "valkey"),
        ("redis.version", "8.0", "9.0"),
    )


def test_a_run_that_is_no_comparison_is_refused(tmp_path: Path) -> None:
    run = seal(tmp_path, Sketch(requests=[request(1)]))
    with pytest.raises(NotARun, match="no comparison"):
        open_comparison(run.path)


def test_a_damaged_question_is_refused(tmp_path: Path) -> None:
    run = seal(tmp_path, Sketch(), comparison={"baseline": "a", "margins": {}})
    with pytest.raises(NotARun, match="can't be read"):
        open_comparison(run.path)
