"""From a file to a validated scenario: every problem at once, each with its mend."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from perfkit.errors import ScenarioError, UsageError
from perfkit.scenario import (
    Scenario,
    digest,
    load_document,
    parse,
    settings_of,
    with_values,
    workload_digest,
)
from tests.scenario.documents import changed, parsed, problems


def smoke(**values: Any) -> dict[str, Any]:
    document, _ = load_document("smoke")
    return with_values(document, {key.replace("__", "."): value for key, value in values.items()})


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


def test_the_server_is_part_of_the_arm_but_not_of_its_work() -> None:
    plain, valkey = parse(smoke(), "smoke"), parse(smoke(redis__server="valkey"), "smoke")
    assert valkey.redis.server == "valkey"
    assert digest(plain) != digest(valkey)
    assert workload_digest(plain) == workload_digest(valkey)


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


@pytest.mark.parametrize(
    ("key", "value", "found"),
    [
        ("load.phase.0.users", 7, lambda scenario: scenario.load.phase[0].users),
        ("load.phase.1.ramp", "2s", lambda scenario: scenario.load.phase[1].ramp_ns // 10**9),
        ("threshold.4.expr", "max<7", lambda scenario: int(scenario.threshold[4].parsed.limit)),
        ("job.1.weight", 7, lambda scenario: int(scenario.job[1].weight)),
        ("gateway.payments.sigma", 4.0, lambda scenario: scenario.gateway["payments"].sigma),
        ("stack.breaker", True, lambda scenario: scenario.stack.breaker),
        ("host.system_cpus.0", 1, lambda scenario: scenario.host.system_cpus[0]),
        ("load.think.low", "2s", lambda scenario: scenario.load.think.low_ns // 10**9),
        ('gateway."payments".errors', 0.5, lambda scenario: scenario.gateway["payments"].errors),
    ],
)
def test_a_dotted_key_reaches_every_place(
    key: str, value: Any, found: Callable[[Scenario], Any]
) -> None:
    assert f"{found(parsed('spike', {key: value}))}" in f"{value}"


def test_the_position_after_the_last_makes_a_new_entry() -> None:
    scenario = parsed(
        "smoke",
        {
            "threshold.2.metric": "queue.backlog",
            "threshold.2.expr": "max<5",
            "scale.0.at": "1s",
            "scale.0.workers": 3,
        },
    )
    assert str(scenario.threshold[2]) == "queue.backlog max<5"
    assert scenario.scale[0].workers == 3


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("threshold.3.expr", "it has 2, so the next is threshold.2"),
        ("scale.1.workers", "it has 0, so the next is scale.0"),
        ("job.payments.weight", "job has no entry 'payments'"),
        ("job.-1.weight", "job has no entry '-1'"),
        ("job.0.queue.deep", "not a table"),
        ("", "no key"),
        ("load rate", "no key"),
        ("load..rate", "no key"),
        ("load.rate = 1\nx", "no key"),
    ],
)
def test_a_place_that_does_not_exist_is_named(key: str, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        changed("smoke", {key: 1})
    assert why in str(caught.value)


def test_what_was_set_in_part_is_refused_for_what_it_lacks() -> None:
    assert set(problems(changed("smoke", {"threshold.2.expr": "max<5"}))) == {"threshold.2.metric"}
    assert set(problems(changed("smoke", {"scale.0.workers": 5}))) == {"scale.0.at"}


def test_setting_leaves_the_given_document_as_it_was() -> None:
    document, _ = load_document("spike")
    with_values(document, {"load.phase.0.users": 7})
    assert document == load_document("spike")[0]


def test_the_same_phases_are_the_same_work_whether_their_sum_is_written_down_or_not() -> None:
    base = parsed("spike", {})
    assert workload_digest(base) == workload_digest(parsed("spike", {"duration": "60s"}))
    assert workload_digest(base) != workload_digest(parsed("spike", {"duration": "61s"}))


def test_the_digest_tells_any_change_and_the_workload_digest_only_changes_of_work() -> None:
    base = parse(smoke(), "a")
    other_stack = parse(smoke(stack__workers=4), "b")
    other_load = parse(smoke(load__rate=151.0), "c")
    assert len({digest(each) for each in (base, other_stack, other_load)}) == 3
    assert workload_digest(base) == workload_digest(other_stack)
    assert workload_digest(base) != workload_digest(other_load)
    outage = {"gateway.payments.outage_from": "1s", "gateway.payments.outage_until": "2s"}
    assert workload_digest(base) != workload_digest(parsed("smoke", outage))
    scaled = {"scale.0.at": "1s", "scale.0.workers": 3}
    assert workload_digest(base) == workload_digest(parsed("smoke", scaled))


def test_the_digest_is_the_same_for_the_same_scenario() -> None:
    assert digest(parse(smoke(), "a")) == digest(parse(smoke(), "b"))


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["load", "rate", "job", "name", "x", "phase", "at", "pool", "over", "duration"]
                ),
                inner,
                max_size=4,
            )
        ),
        max_leaves=8,
    )
)
def test_no_document_makes_the_parser_do_anything_but_answer_or_list_problems(
    anything: Any,
) -> None:
    keys = ("load", "job", "stack", "scale", "autoscale", "gateway", "threshold", "redis", "window")
    document = {"name": "x", **dict.fromkeys(keys, anything)}
    try:
        assert isinstance(parse(document, "x"), Scenario)
    except ScenarioError as error:
        assert error.problems
