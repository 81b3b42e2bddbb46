"""What happens in time: scaling by plan and by rule, outages, one server for each queue."""

from __future__ import annotations

from typing import Any

import pytest

from perfkit.scenario import parse, settings_of
from tests.scenario.documents import changed, parsed, problems
from workers.settings import Settings

S = 1_000_000_000
QUEUES = ("payments", "notifications", "webhooks")
POOLS = [{"name": queue[:3], "queues": [queue]} for queue in QUEUES]


def pooled(values: dict[str, Any]) -> dict[str, Any]:
    document = changed("light", {"stack.pool": POOLS, **values})
    del document["stack"]["workers"]
    return document


def test_a_plan_of_workers_is_read_in_the_order_of_the_file() -> None:
    scenario = parsed(
        "light",
        {
            "scale.0.at": "-10s",
            "scale.0.workers": 1,
            "scale.1.at": "60s",
            "scale.1.workers": 7,
        },
    )
    assert [(each.at_ns, each.workers, each.pool) for each in scenario.scale] == [
        (-10 * S, 1, None),
        (60 * S, 7, None),
    ]


def test_a_rule_needs_nothing_but_its_table() -> None:
    rule = parsed("light", {"autoscale.cooldown": "3s"}).autoscale
    assert rule is not None
    assert (rule.metric, rule.target_ns, rule.minimum, rule.maximum) == (
        "queue.age",
        S // 2,
        1,
        8,
    )
    assert (rule.every_ns, rule.cooldown_ns, rule.pool) == (S, 3 * S, None)


SCALE = {"scale.0.at": "5s", "scale.0.workers": 3}


@pytest.mark.parametrize(
    ("values", "key", "why"),
    [
        ({**SCALE, "scale.0.at": "120s"}, "scale.0.at", "outside the load"),
        ({**SCALE, "scale.0.at": "-21s"}, "scale.0.at", "outside the load"),
        ({**SCALE, "scale.0.at": 5}, "scale.0.at", "250ms"),
        ({**SCALE, "scale.0.workers": -1}, "scale.0.workers", "greater than or equal to 0"),
        ({**SCALE, "scale.0.pool": "pay"}, "scale.0.pool", "no [[stack.pool]]"),
        ({**SCALE, "scale.0.worker": 1}, "scale.0.worker", "did you mean 'workers'"),
        ({"scale.0.at": "5s"}, "scale.0.workers", "missing"),
        ({**SCALE, "scale.1.at": "5s", "scale.1.workers": 4}, "scale.1.at", "two changes"),
        ({**SCALE, "stack.supervisor": "dramatiq"}, "scale.0", "stock dramatiq"),
        ({**SCALE, "autoscale.minimum": 2}, "autoscale", "beside [[scale]]"),
        ({"autoscale.minimum": 9}, "autoscale.minimum", "above maximum 8"),
        ({"autoscale.metric": "workers.cpu"}, "autoscale.metric", "queue.age"),
        ({"autoscale.targte": "1s"}, "autoscale.targte", "did you mean 'target'"),
        ({"autoscale.pool": "pay"}, "autoscale.pool", "no [[stack.pool]]"),
        ({"stack.supervisor": "dramatiq", "autoscale.minimum": 2}, "autoscale", "stock dramatiq"),
        ({"gateway.payments.outage_from": "1s"}, "gateway.payments.outage_until", "missing"),
        ({"gateway.payments.outage_until": "1s"}, "gateway.payments.outage_from", "missing"),
        ({"gateway.payments.outage_mode": "hang"}, "gateway.payments.outage_mode", "no outage"),
        (
            {
                "gateway.payments.outage_from": "1s",
                "gateway.payments.outage_until": "2s",
                "gateway.payments.outage_mode": "slow",
            },
            "gateway.payments.outage_mode",
            "'refuse' or 'hang'",
        ),
        ({"stack.gateway_timeout": "500us"}, "stack.gateway_timeout", "from 1ms to 24h"),
        ({"stack.breaker_reset": "25h"}, "stack.breaker_reset", "from 1ms to 24h"),
        ({"stack.breaker_failures": 0}, "stack.breaker_failures", "greater than 0"),
        ({"stack.breaker_rest": "1s"}, "stack.breaker_rest", "did you mean 'breaker_reset'"),
        ({"redis.per_queue": True}, "redis.per_queue", "needs a pool for each queue"),
        ({"redis.profile": "lru"}, "redis.profile", "there is no profile 'lru'"),
    ],
)
def test_what_can_not_happen_is_refused_with_a_mend(
    values: dict[str, Any], key: str, why: str
) -> None:
    assert why in problems(changed("light", values))[key]


def test_a_duration_too_short_for_a_planned_change_is_refused_and_says_so() -> None:
    values = {**SCALE, "scale.0.at": "60s", "duration": "30s"}
    assert "before 30.0 s" in problems(changed("light", values))["scale.0.at"]


@pytest.mark.parametrize(
    ("begin", "end", "why"),
    [("10s", "10s", "ends before it begins"), ("2m", "3m", "the window is over by then")],
)
def test_an_outage_that_would_never_be_seen_is_refused(begin: str, end: str, why: str) -> None:
    values = {"gateway.payments.outage_from": begin, "gateway.payments.outage_until": end}
    assert why in problems(changed("light", values))["gateway.payments.outage_from"]


def test_an_outage_may_last_beyond_the_window() -> None:
    values = {"gateway.payments.outage_from": "100s", "gateway.payments.outage_until": "130s"}
    gateway = parsed("light", values).gateway["payments"]
    assert (gateway.outage_from_ns, gateway.outage_until_ns) == (100 * S, 130 * S)
    assert parsed("light", {}).gateway["payments"].outage_from_ns is None


@pytest.mark.parametrize("place", ["scale.0", "autoscale"])
def test_where_there_are_pools_a_change_names_one(place: str) -> None:
    values: dict[str, Any] = SCALE if place == "scale.0" else {"autoscale.maximum": 4}
    assert "there are pay, not, web" in problems(pooled(values))[f"{place}.pool"]
    unknown = problems(pooled({**values, f"{place}.pool": "cash"}))[f"{place}.pool"]
    assert "known are pay, not, web" in unknown
    assert parse(pooled({**values, f"{place}.pool": "pay"}), "case")


def test_a_server_for_each_queue_needs_a_pool_for_each_queue() -> None:
    assert parse(pooled({"redis.per_queue": True}), "case").redis.per_queue
    two = {"redis.per_queue": True, "stack.pool.0.queues.1": "webhooks"}
    assert "one queue, not 2" in problems(pooled(two))["stack.pool.0.queues"]


def test_the_breaker_is_off_unless_asked_for_and_belongs_to_no_preset() -> None:
    for preset in ("stock", "low-latency"):
        settings = settings_of(parsed("light", {"preset": preset}))
        assert (settings.breaker, settings.breaker_failures, settings.breaker_reset_ns) == (
            False,
            5,
            5 * S,
        )
    on = settings_of(parsed("light", {"stack.breaker": True, "stack.breaker_reset": "2s"}))
    assert (on.breaker, on.breaker_reset_ns) == (True, 2 * S)


def test_what_the_sample_is_told_is_what_it_reads() -> None:
    values = {
        "stack.gateway_timeout": "1.5s",
        "stack.breaker": True,
        "stack.breaker_failures": 7,
        "stack.breaker_reset": "250ms",
        "preset": "low-latency",
    }
    told = settings_of(parsed("light", values)).environment()
    read = Settings.from_environment(told)
    assert read.gateway_timeout_ms == 1500
    assert (read.gateway_breaker, read.gateway_breaker_failures) == (True, 7)
    assert (read.gateway_breaker_reset_ms, read.ingest_enqueue) == (250, "inline")
    # What nobody asked for is told too: somebody's shell may say otherwise.
    assert Settings.from_environment(settings_of(parsed("light", {})).environment()) == Settings()
