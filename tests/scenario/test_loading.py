"""From a file to a validated scenario: every problem at once, each with its mend."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.errors import ScenarioError, UsageError
from perfkit.scenario import (
    Scenario,
    builtins,
    digest,
    load_document,
    parse,
    settings_of,
    with_values,
    workload_digest,
)


def smoke(**values: Any) -> dict[str, Any]:
    document, _ = load_document("smoke")
    return with_values(document, {key.replace("__", "."): value for key, value in values.items()})


def problems(document: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(ScenarioError) as caught:
        parse(document, "case.toml")
    return {problem.key: str(problem) for problem in caught.value.problems}


@pytest.mark.parametrize("name", builtins())
def test_every_builtin_is_valid_and_named_after_its_file(name: str) -> None:
    document, _ = load_document(name)
    scenario = parse(document, name)
    assert scenario.name == name
    assert scenario.description


def test_smoke_is_what_the_contract_says() -> None:
    scenario = parse(smoke(), "smoke")
    assert (scenario.load.model, scenario.load.rate, scenario.load.arrivals) == (
        "open",
        150.0,
        "poisson",
    )
    assert scenario.window.warmup_ns == 2_000_000_000
    assert scenario.window.duration_ns == 10_000_000_000
    assert scenario.window.drain_ns == 30_000_000_000
    assert settings_of(scenario).slots == 16


def test_first_has_no_thresholds_so_that_saturation_is_a_result() -> None:
    document, _ = load_document("first")
    scenario = parse(document, "first")
    assert scenario.load.rate == 200.0
    assert scenario.threshold == ()


def test_all_problems_of_a_file_are_listed_at_once() -> None:
    found = problems(
        smoke(
            stack__wokers=3,
            load__rate=-1.0,
            window__duration="5",
            job__0__qeue="x",
            threshold__0__expr="p95<3",
        )
    )
    assert set(found) == {
        "stack.wokers",
        "load.rate",
        "window.duration",
        "job.0.qeue",
        "threshold.0",
    }


def test_an_unknown_key_is_refused_with_a_suggestion() -> None:
    assert "did you mean 'workers'?" in problems(smoke(stack__wokers=3))["stack.wokers"]


def test_an_unknown_key_that_resembles_nothing_gets_the_list() -> None:
    assert "known here:" in problems(smoke(stack__zzz=3))["stack.zzz"]


def test_an_unknown_table_is_refused() -> None:
    assert "unknown key" in problems(smoke(lod__rate=3))["lod"]


@pytest.mark.parametrize("rate", [-1.0, 0.0, float("nan"), float("inf")])
def test_a_rate_that_is_no_rate_is_refused(rate: float) -> None:
    assert "load.rate" in problems(smoke(load__rate=rate))


def test_a_negative_duration_is_refused() -> None:
    assert "negative" in problems(smoke(window__warmup="-1s"))["window.warmup"]


def test_a_duration_without_unit_is_refused_with_an_example() -> None:
    assert "250ms" in problems(smoke(window__duration=5))["window.duration"]


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"load__users": 5}, "load.users"),
        ({"load__pacing": "1s"}, "load.pacing"),
        ({"redis__profile": "turbo"}, "redis.profile"),
        ({"gateway__payment": {"median": "1ms"}}, "gateway.payment"),
        ({"threshold__0__queue": "paymets"}, "threshold.0.queue"),
        ({"threshold__0__metric": "speed"}, "threshold.0"),
        ({"name": "../escape"}, "name"),
        ({"name": ""}, "name"),
        ({"job": []}, "job"),
    ],
)
def test_contradictions_are_named_by_key(values: dict[str, Any], key: str) -> None:
    assert key in problems(smoke(**values))


def test_a_contradiction_is_found_beside_other_problems() -> None:
    found = problems(smoke(load__rate=-1.0, gateway__payment={"median": "1ms"}))
    assert {"load.rate", "gateway.payment"} <= set(found)


def test_a_rate_on_a_closed_scenario_is_a_usage_error() -> None:
    document, _ = load_document("light")
    assert "load.rate" in problems(with_values(document, {"rate": 5.0}))


def test_workers_beside_pools_are_refused() -> None:
    pool = [{"name": "all", "queues": ["payments", "notifications", "webhooks"]}]
    assert "stack.workers" in problems(smoke(stack__pool=pool))


def test_a_queue_that_no_pool_serves_is_named() -> None:
    document = smoke(stack__pool=[{"name": "pay", "queues": ["payments"]}])
    del document["stack"]["workers"]
    found = problems(document)
    assert {"stack.pool.notifications", "stack.pool.webhooks"} == set(found)


def test_pools_have_their_own_concurrency() -> None:
    document = smoke(
        stack__pool=[
            {"name": "pay", "queues": ["payments"], "workers": 2, "threads": 4},
            {"name": "rest", "queues": ["notifications", "webhooks"], "workers": 1},
        ]
    )
    del document["stack"]["workers"]
    settings = settings_of(parse(document, "case"))
    assert [(pool.name, pool.workers, pool.threads, pool.prefetch) for pool in settings.pools] == [
        ("pay", 2, 4, 8),
        ("rest", 1, 8, 16),
    ]
    assert settings.slots == 16


def test_a_preset_fills_only_what_is_left_out() -> None:
    settings = settings_of(parse(smoke(stack__preset="low-latency", stack__prefetch=5), "case"))
    assert settings.pools[0].prefetch == 5
    assert settings.worker_timeout_ns < 1_000_000_000
    assert settings.ingest_enqueue == "inline"


def test_maintenance_can_be_switched_off() -> None:
    assert settings_of(parse(smoke(stack__maintenance_chance=0), "case")).maintenance_chance == 0


def test_an_unknown_scenario_gets_a_suggestion() -> None:
    with pytest.raises(UsageError, match="did you mean 'smoke'"):
        load_document("smok")


def test_a_file_that_is_not_toml_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_text("name = ")
    with pytest.raises(ScenarioError, match="not TOML"):
        load_document(str(path))


def test_a_file_that_is_not_text_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bad.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="UTF-8"):
        load_document(str(path))


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No such file"):
        load_document(str(tmp_path / "none.toml"))


def test_setting_through_a_value_is_refused() -> None:
    with pytest.raises(UsageError, match="not a table"):
        smoke(seed__deep=1)


def test_the_digest_tells_any_change_and_the_workload_digest_only_changes_of_work() -> None:
    base = parse(smoke(), "a")
    other_stack = parse(smoke(stack__workers=4), "b")
    other_load = parse(smoke(load__rate=151.0), "c")
    assert len({digest(each) for each in (base, other_stack, other_load)}) == 3
    assert workload_digest(base) == workload_digest(other_stack)
    assert workload_digest(base) != workload_digest(other_load)


def test_the_digest_is_the_same_for_the_same_scenario() -> None:
    assert digest(parse(smoke(), "a")) == digest(parse(smoke(), "b"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["load", "rate", "job", "name", "x"]), inner, max_size=4
            )
        ),
        max_leaves=8,
    )
)
def test_no_document_makes_the_parser_do_anything_but_answer_or_list_problems(
    anything: Any,
) -> None:
    document = {"load": anything, "job": anything, "stack": anything, "name": "x"}
    try:
        assert isinstance(parse(document, "x"), Scenario)
    except ScenarioError as error:
        assert error.problems
