"""Faults: their grammar, what they need, and the same from one line of text."""

from __future__ import annotations

from typing import Any

import pytest

from perfkit.errors import UsageError
from perfkit.scenario import Fault, parse_fault
from tests.scenario.documents import changed, parsed, problems

S = 1_000_000_000


def fault(**keys: Any) -> dict[str, Any]:
    """The values that give the smoke scenario one fault: a kill of a worker, but for the keys."""
    row = {"action": "kill", "target": "worker", "at": "1s"} | keys
    return {"fault": [{key: value for key, value in row.items() if value is not None}]}


def refused(values: dict[str, Any], name: str = "smoke") -> dict[str, str]:
    return problems(changed(name, values))


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"target": "worker:worker-2"},
        {"target": "workers", "at": "-1s"},
        {"target": "ingest"},
        {"target": "redis"},
        {"action": "stop", "target": "worker", "for": "5s"},
        {"action": "terminate"},
        {"action": "restart", "target": "redis"},
        {"action": "restart", "target": "ingest", "for": "500ms"},
        {"action": "pause", "target": "redis", "for": "2s"},
        {"action": "cut", "target": "worker-redis", "for": "2s"},
        {"action": "slow", "target": "worker-gateway", "for": "2s", "amount": "200ms"},
        {"action": "outage", "target": "gateway", "for": "2s"},
        {"action": "outage", "target": "gateway:payments", "for": "2s"},
        {"action": "poison", "target": "queue:payments"},
    ],
)
def test_each_action_takes_its_targets(keys: dict[str, Any]) -> None:
    (found,) = parsed("smoke", fault(**keys)).fault
    assert found.action == keys.get("action", "kill")


def test_a_fault_knows_its_times_in_nanoseconds() -> None:
    values = fault(action="slow", target="worker-redis", at="-500ms", amount="20ms") | {}
    values["fault"][0]["for"] = "3s"
    (found,) = parsed("smoke", values).fault
    assert (found.at_ns, found.for_ns, found.amount_ns) == (-S // 2, 3 * S, 20_000_000)


@pytest.mark.parametrize(
    ("keys", "key", "text"),
    [
        ({"action": "kil"}, "action", "did you mean 'kill'?"),
        ({"target": "wroker"}, "target", "did you mean 'worker'?"),
        ({"action": "pause", "target": "worker", "for": "1s"}, "target", "can't be done to"),
        ({"action": "stop"}, "for", "missing: how long stop lasts"),
        ({"for": "5s"}, "for", "in one instant"),
        ({"action": "slow", "target": "worker-redis", "for": "1s"}, "amount", "missing"),
        (
            {"action": "slow", "target": "worker-redis", "for": "1s", "amount": "20"},
            "amount",
            "is not a duration",
        ),
        ({"amount": "20ms"}, "amount", "takes no amount"),
        ({"at": "1h"}, "at", "outside the load"),
        ({"at": "-1h"}, "at", "outside the load"),
        ({"at": None}, "at", "missing"),
        ({"target": "worker:pay-1"}, "target", "workers are worker-1 to worker-2"),
        ({"target": "supervisor"}, "target", "there is no master"),
        ({"action": "poison", "target": "queue:paymnts"}, "target", "no job goes to"),
        ({"action": "outage", "target": "gateway:x", "for": "1s"}, "target", "no job goes to"),
        ({"action": "fill", "target": "redis"}, "target", "without a memory limit"),
    ],
)
def test_what_a_fault_lacks_or_has_too_much_is_named_with_a_mend(
    keys: dict[str, Any], key: str, text: str
) -> None:
    assert text in refused(fault(**keys))[f"fault.0.{key}"]


def test_all_that_is_wrong_with_all_faults_is_listed_at_once() -> None:
    rows = [
        {"action": "stop", "target": "workr", "at": "1h"},
        {"action": "explode", "target": "redis", "at": "1s"},
    ]
    found = refused({"fault": rows})
    assert set(found) == {"fault.0.target", "fault.0.for", "fault.0.at", "fault.1.action"}


@pytest.mark.parametrize(
    ("amount", "limit", "size"),
    [(None, 1000, 1000), ("90%", 1000, 900), ("30MB", 1000, 30_000_000)],
)
def test_a_server_with_a_limit_can_be_filled(amount: str | None, limit: int, size: int) -> None:
    values = fault(action="fill", target="redis", amount=amount) | {"redis.maxmemory": "32MB"}
    (found,) = parsed("smoke", values).fault
    assert found.fill_bytes(limit) == size
    values = fault(action="fill", target="redis", amount=amount) | {"redis.profile": "lru-4gb"}
    assert parsed("smoke", values).fault


@pytest.mark.parametrize("amount", ["0%", "101%", "lots", "-3MB"])
def test_an_amount_that_fills_nothing_or_too_much_is_refused(amount: str) -> None:
    values = fault(action="fill", target="redis", amount=amount) | {"redis.maxmemory": "32MB"}
    assert set(refused(values)) == {"fault.0.amount"}


def test_the_master_can_be_killed_where_there_is_one() -> None:
    stock = {"stack.supervisor": "dramatiq"}
    assert parsed("smoke", fault(target="supervisor") | stock).fault
    assert (
        "have no names of ours"
        in refused(fault(target="worker:worker-1") | stock)["fault.0.target"]
    )


def test_workers_of_pools_are_named_after_them() -> None:
    pool = {"name": "all", "queues": ["payments", "notifications", "webhooks"], "workers": 3}
    document = changed("smoke", fault(target="worker:all-3"))
    document["stack"] = {"pool": [pool]}
    assert not [key for key in _keys(document) if key.startswith("fault")]
    document["fault"][0]["target"] = "worker:worker-1"
    assert "workers are all-1 to all-3" in problems(document)["fault.0.target"]


def _keys(document: dict[str, Any]) -> set[str]:
    from perfkit.scenario import parse

    parse(document, "case.toml")
    return set()


def test_settings_of_the_server_overrule_its_profile() -> None:
    redis = parsed("smoke", {"redis.maxmemory": "32MB", "redis.policy": "allkeys-lru"}).redis
    assert redis.settings() == {"maxmemory": "32000000", "maxmemory-policy": "allkeys-lru"}
    assert parsed("smoke", {}).redis.settings() == {}


@pytest.mark.parametrize(
    ("values", "key"),
    [
        ({"redis.policy": "allkeys-lru"}, "redis.policy"),
        ({"redis.maxmemory": "much"}, "redis.maxmemory"),
        ({"redis.maxmemory": "32MB", "redis.policy": "sometimes"}, "redis.policy"),
    ],
)
def test_a_limit_that_is_none_is_refused(values: dict[str, Any], key: str) -> None:
    assert set(refused(values)) == {key}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("kill worker at 4s", ("kill", "worker", 4 * S, None, None)),
        ("  stop  worker:pay-1 at -1s for 2s ", ("stop", "worker:pay-1", -S, 2 * S, None)),
        (
            "slow ingest-redis at 1m for 2s amount 200ms",
            ("slow", "ingest-redis", 60 * S, 2 * S, "200ms"),
        ),
        ("fill redis at 0s amount 90%", ("fill", "redis", 0, None, "90%")),
    ],
)
def test_a_line_of_text_says_a_fault(text: str, expected: tuple[Any, ...]) -> None:
    found = parse_fault(text)
    assert isinstance(found, Fault)
    said = (found.action, found.target, found.at_ns, found.for_ns, found.amount)
    assert said == expected


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("", "ACTION TARGET at TIME"),
        ("kill worker", "ACTION TARGET at TIME"),
        ("kill worker at", "ACTION TARGET at TIME"),
        ("kill worker at soon", "at: 'soon' is not a duration"),
        ("stop worker at 1s for 0s", "for: must be longer than zero"),
        ("stop worker at 1s for ever", "for: 'ever' is not a duration"),
        ("kill worker at 1s for", "ACTION TARGET at TIME"),
        ("kill worker at 1s amount 3 for 2s", "ACTION TARGET at TIME"),
        ("explode redis at 1s", "there is no action 'explode'"),
        ("stop redis at 1s", "missing: how long stop lasts"),
    ],
)
def test_a_line_that_says_none_is_one_clear_error(text: str, what: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_fault(text)
    assert what in str(caught.value)
