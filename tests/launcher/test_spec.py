from __future__ import annotations

import json
from pathlib import Path

import pytest

from perfkit.launcher.spec import StackSpec
from perfkit.paths import checkout
from perfkit.scenario import PoolSettings
from tests.launcher.small_stack import MakeStack, stack_settings


def test_it_survives_the_way_through_json(stack_spec: MakeStack) -> None:
    pools = (
        PoolSettings(name="payments", queues=("payments",), workers=1, threads=2, prefetch=4),
        PoolSettings(name="rest", queues=None, workers=2, threads=2, prefetch=4),
    )
    spec = stack_spec(
        stack_settings(pools=pools), cpus=(0, 1), broker_path=Path("/app"), env={"A": "b"}
    )
    assert StackSpec.from_document(json.loads(json.dumps(spec.to_document()))) == spec


def test_its_secrets_are_not_shown(stack_spec: MakeStack) -> None:
    shown = repr(stack_spec(redis_url="redis://:hunter2@h/0", env={"TOKEN": "hunter3"}))
    assert "hunter" not in shown


def test_children_get_the_addresses_last_and_find_perfkit(
    stack_spec: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", "/theirs")
    spec = stack_spec(env={"REDIS_URL": "wrong", "MINE": "1"})
    environment = spec.environment("redis://right", "http://gateway")
    assert environment["REDIS_URL"] == "redis://right"
    assert environment["GATEWAY_URL"] == "http://gateway"
    assert environment["INGEST_ENQUEUE"] == "inline"
    assert environment["MINE"] == "1"
    assert environment["PYTHONPATH"] == f"{checkout()}:/theirs"


def test_several_servers_are_never_taken_from_our_own_environment(
    stack_spec: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("REDIS_URLS", '{"payments": "redis://elsewhere"}')
    assert "REDIS_URLS" not in stack_spec().environment("redis://right", None)


def test_the_brokers_of_queues_are_the_samples_or_as_named(stack_spec: MakeStack) -> None:
    assert stack_spec().brokers_of_queues is None
    assert stack_spec(redis_per_queue=True).brokers_of_queues == "workers.broker:brokers"
    theirs = stack_spec(broker="shop:broker", brokers="shop:all", redis_per_queue=True)
    assert theirs.brokers_of_queues == "shop:all"


def test_variables_that_tune_the_result_are_named(
    stack_spec: MakeStack, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("dramatiq_restart_delay", "100")
    monkeypatch.setenv("SOME_TOKEN", "hunter2")
    tuning = stack_spec().tuning()
    assert tuning["dramatiq_restart_delay"] == "100"
    assert "SOME_TOKEN" not in tuning
