"""Somebody's own application: how it is named, and how jobs get into its queues."""

from __future__ import annotations

import copy
import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

from perfkit.errors import NotARun
from perfkit.plan import Plan, build, restore
from perfkit.scenario import blotted, digest, parse, workload_digest
from tests.scenario.documents import changed, problems

SHOP = Path(__file__).resolve().parents[1] / "shop" / "shop.toml"


def shop(**tables: dict[str, Any]) -> dict[str, Any]:
    """The shop's document, with keys of its tables set."""
    document = tomllib.loads(SHOP.read_text())
    for name, values in tables.items():
        document[name] = document.get(name, {}) | values
    return document


def with_job(**keys: Any) -> dict[str, Any]:
    document = shop()
    document["job"][0] |= keys
    return document


def test_an_application_needs_no_gateway() -> None:
    scenario = parse(shop(), "shop.toml")
    assert scenario.system is not None
    assert scenario.system.broker == "shop.tasks:broker"
    assert scenario.gateway == {}
    assert [job.actor for job in scenario.job] == ["resize", "newsletter"]


def test_a_scenario_that_names_no_system_is_the_sample() -> None:
    scenario = parse(changed("smoke", {}), "smoke")
    assert (scenario.system, scenario.load.via) == (None, "http")


def test_several_actors_may_share_a_queue_and_it_is_named_once() -> None:
    document = shop()
    document["job"].append({"queue": "images", "actor": "publish", "args": ["s", "ann"]})
    assert parse(document, "shop.toml").queues == ("images", "mail")
    document["job"].append({"queue": "images", "actor": "publish"})
    assert "'publish' on queue 'images' is named twice" in problems(document)["job"]


@pytest.mark.parametrize(
    ("document", "key", "text"),
    [
        (shop(load={"via": "http"}), "load.via", 'set load.via = "enqueue"'),
        (shop(load={"timeout": "3s"}), "load.timeout", "has no meaning"),
        (shop(load={"max_in_flight": 3}), "load.max_in_flight", "one job is enqueued at a time"),
        (shop(gateway={"images": {"median": "1ms"}}), "gateway.images", "belongs to the sample"),
        (shop(stack={"breaker": True}), "stack.breaker", "belongs to the sample"),
        (shop(system={"broker": "shop.tasks"}), "system.broker", "pattern"),
        (shop(system={"broker": "shop.tasks:broker", "brokr": 1}), "system.brokr", "'broker'"),
        (with_job(actor=None), "job.0.actor", "missing"),
        (shop(system={"env": {"SLOTS": 4}}), "system.env.SLOTS", "write it in quotes"),
        (
            shop() | {"threshold": [{"metric": "added", "expr": "p(95)<5ms"}]},
            "threshold.0.metric",
            "use latency",
        ),
        (
            shop() | {"threshold": [{"metric": "ingest.cpu", "expr": "avg<50%"}]},
            "threshold.0.metric",
            "no ingest",
        ),
        (with_job(args=[{"seeded": "int", "low": 1}]), "job.0.args.0", "needs high"),
        (with_job(args=[{"seeded": "int", "low": 3, "high": 1}]), "job.0.args.0", "swap them"),
        (with_job(args=[{"seeded": "int", "low": 1.5, "high": 2}]), "job.0.args.0", "whole"),
        (with_job(args=[[{"seeded": "dice"}]]), "job.0.args.0", "seeded is one of"),
        (with_job(kwargs={"a": {"seeded": "text", "length": 0}}), "job.0.kwargs.a", "length"),
        (with_job(kwargs={"a": {"seeded": "choice", "values": []}}), "job.0.kwargs.a", "values"),
        (with_job(kwargs={"a": {"seeded": "key", "low": 1}}), "job.0.kwargs.a", "nothing else"),
    ],
)
def test_what_does_not_fit_together_is_named_with_a_mend(
    document: dict[str, Any], key: str, text: str
) -> None:
    document = copy.deepcopy(document)
    if document["job"][0].get("actor", "") is None:
        del document["job"][0]["actor"]
    found = problems(document)
    assert list(found) == [key]
    assert text in found[key]


def test_users_need_a_pacing_since_enqueued_jobs_give_no_reply() -> None:
    load = {"via": "enqueue", "model": "closed", "users": 5}
    document = shop() | {"load": load}
    assert "set load.pacing" in problems(document)["load.pacing"]
    assert parse(document | {"load": load | {"pacing": "1s"}}, "shop.toml").load.users == 5


def test_calls_of_actors_have_no_meaning_over_http() -> None:
    found = problems(changed("smoke", {"job.0.actor": "payments", "job.0.args.0": 1}))
    assert set(found) == {"job.0.actor", "job.0.args"}


def test_faults_of_what_an_application_lacks_are_refused() -> None:
    document = shop()
    document["fault"] = [
        {"action": "kill", "target": "ingest", "at": "1s"},
        {"action": "cut", "target": "worker-gateway", "at": "1s", "for": "1s"},
        {"action": "poison", "target": "queue:images", "at": "1s"},
        {"action": "kill", "target": "worker", "at": "1s"},
    ]
    assert set(problems(document)) == {f"fault.{index}.target" for index in range(3)}


def test_a_drawn_argument_belongs_to_the_work_that_is_compared() -> None:
    one, other = parse(shop(), "a"), parse(with_job(args=[3, "s"]), "b")
    assert workload_digest(one) != workload_digest(other)
    assert digest(one) == digest(parse(shop(), "a"))


SECRET = "hunter2-of-the-shop"


def secretive(tmp_path: Path) -> Plan:
    path = tmp_path / "shop.toml"
    path.write_text(SHOP.read_text().replace('"EUR"', f'"{SECRET}"'))
    return build([str(path)])


def test_values_of_the_environment_are_in_nothing_that_is_stored(tmp_path: Path) -> None:
    plan = secretive(tmp_path)
    assert plan.trials[0].scenario.system is not None
    assert plan.trials[0].scenario.system.env == {"SHOP_CURRENCY": SECRET}
    stored = json.dumps(plan.facts())
    assert SECRET not in stored
    assert "SHOP_CURRENCY" in stored
    assert SECRET not in repr(plan.trials[0].scenario)


def test_a_plan_whose_secrets_were_not_kept_can_not_be_carried_on(tmp_path: Path) -> None:
    plan = secretive(tmp_path)
    with pytest.raises(NotARun, match="may be secret, are not kept"):
        restore({"name": plan.name, **plan.facts()})


def test_a_wrong_value_of_the_environment_is_not_repeated() -> None:
    found = problems(shop(system={"env": {"TOKEN": 271828}}))
    assert "271828" not in str(found)
    assert list(found) == ["system.env.TOKEN"]


def test_a_document_without_an_environment_is_stored_as_it_was_written() -> None:
    document = changed("smoke", {})
    assert blotted(document, "the text") == (document, "the text")


def test_the_digest_does_not_give_away_what_is_in_the_environment() -> None:
    one, other = (parse(shop(system={"env": {"TOKEN": value}}), "shop.toml") for value in "ab")
    assert digest(one) == digest(other)
    assert digest(one) != digest(parse(shop(system={"env": {"OTHER": "a"}}), "shop.toml"))
