"""Importing a broker by name, and moving it to the server under test."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.brokers.stub import StubBroker

from perfkit.recorder.loading import BrokerNotLoaded, bind_broker, load_broker, print_refusal


@pytest.fixture(autouse=True)
def _forget_imports() -> Iterator[None]:
    modules, path, broker = set(sys.modules), list(sys.path), dramatiq.broker.global_broker
    yield
    for name in set(sys.modules) - modules:
        del sys.modules[name]
    sys.path[:] = path
    dramatiq.broker.global_broker = broker


def stock(**settings: Any) -> RedisBroker:
    return RedisBroker(**settings)  # type: ignore[no-untyped-call]


def refusal(spec: str, path: Path | None = None) -> str:
    with pytest.raises(BrokerNotLoaded) as caught:
        load_broker(spec, path)
    return str(caught.value)


def test_a_broker_is_loaded_from_a_folder(shop: Path) -> None:
    assert load_broker("shop:broker", shop).get_declared_queues() == {"payments", "mail"}


def test_a_broker_may_be_an_attribute_of_an_attribute(shop: Path) -> None:
    (shop / "nested.py").write_text("import shop\nclass app:\n    broker = shop.broker\n")
    assert isinstance(load_broker("nested:app.broker", shop), RedisBroker)


@pytest.mark.parametrize("spec", ["shop", "shop:", ":broker", ""])
def test_a_name_without_both_halves_is_refused(spec: str) -> None:
    assert "module:name" in refusal(spec)


def test_a_missing_module_is_named(shop: Path) -> None:
    assert "no module 'shopp'" in refusal("shopp:broker", shop)
    assert "no module 'nowhere'" in refusal("nowhere.app:broker", shop)


def test_a_missing_dependency_is_told_from_a_missing_module(shop: Path) -> None:
    (shop / "needy.py").write_text("import no_such_dependency\n")
    assert refusal("needy:broker", shop) == (
        "'needy' needs a module that is missing: No module named 'no_such_dependency'"
    )


@pytest.mark.parametrize(
    ("code", "said"),
    [("1 / 0", "ZeroDivisionError"), ("x = = 1", "SyntaxError"), ("import sys; sys.exit(3)", "3")],
)
def test_a_module_that_fails_to_import_says_why(shop: Path, code: str, said: str) -> None:
    (shop / "broken.py").write_text(code)
    assert said in refusal("broken:broker", shop)


def test_a_missing_attribute_suggests_the_brokers_of_the_module(shop: Path) -> None:
    assert refusal("shop:brokr", shop) == "module 'shop' has no 'brokr'; did you mean broker?"


def test_what_is_not_a_broker_is_refused(shop: Path) -> None:
    assert refusal("shop:pay", shop).startswith("shop:pay is a Actor, not a dramatiq Broker")


def test_a_missing_folder_is_refused(tmp_path: Path) -> None:
    assert "is not a folder" in refusal("shop:broker", tmp_path / "none")


def test_the_password_never_shows_in_a_refusal(
    shop: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://:hunter2@127.0.0.1:1/0")
    (shop / "loud.py").write_text("import os\nraise ValueError('bad ' + os.environ['REDIS_URL'])")
    with pytest.raises(BrokerNotLoaded) as caught:
        load_broker("loud:broker", shop)
    assert print_refusal("program", caught.value) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert "Traceback" in said.err
    assert said.err.splitlines()[-1] == (
        "program: 'loud' failed to import: ValueError: bad redis://:***@127.0.0.1:1/0"
    )
    assert "hunter2" not in said.err


def test_a_broker_elsewhere_is_moved_with_its_own_settings(clean_redis: str) -> None:
    broker = stock(host="127.0.0.1", port=1, socket_timeout=2.5, max_connections=7)
    before = broker.client.connection_pool
    actor = dramatiq.actor(actor_name="pay", broker=broker)(lambda: None)
    assert bind_broker(broker, clean_redis)
    after = broker.client.connection_pool
    assert after.connection_kwargs["socket_timeout"] == 2.5
    assert after.connection_kwargs["retry"] is before.connection_kwargs["retry"]
    assert after.max_connections == 7
    actor.send()
    assert broker.do_qsize("default") == 1
    broker.client.connection_pool.disconnect()


def test_a_broker_that_is_there_already_is_left_alone(clean_redis: str) -> None:
    broker = stock(url=clean_redis)
    client = broker.client
    assert not bind_broker(broker, clean_redis)
    assert broker.client is client


@pytest.mark.parametrize(
    "url",
    [
        "redis://127.0.0.1:6380/0",
        "redis://127.0.0.2:6379/0",
        "redis://127.0.0.1:6379/1",
        "redis://:pw@127.0.0.1:6379/0",
        "redis://me@127.0.0.1:6379/0",
        "unix:///run/redis.sock",
        "unix:///run/redis.sock?db=0&password=pw",
        "rediss://127.0.0.1:6379/0",
    ],
)
def test_any_difference_in_place_or_account_moves_it(url: str) -> None:
    broker = stock(host="127.0.0.1")
    assert bind_broker(broker, url)
    assert not bind_broker(broker, url), "once is enough"
    pool = broker.client.connection_pool
    assert pool.make_connection() is not None, "the settings suit the connection"


def test_the_default_place_may_be_written_in_two_ways() -> None:
    broker = stock()
    assert not bind_broker(broker, "redis://localhost:6379/0")
    assert not bind_broker(broker, "redis://default@localhost")


def test_a_broker_on_a_socket_is_moved_to_a_port(clean_redis: str) -> None:
    broker = stock(client=redis.Redis(unix_socket_path="/nowhere.sock"))
    assert bind_broker(broker, clean_redis)
    assert broker.client.ping()
    broker.client.connection_pool.disconnect()


def test_a_wrong_url_is_refused_without_quoting_it() -> None:
    with pytest.raises(BrokerNotLoaded) as caught:
        bind_broker(stock(), "http://:hunter2@127.0.0.1")
    assert "hunter2" not in str(caught.value)


def test_without_a_url_or_a_client_nothing_is_moved() -> None:
    assert not bind_broker(stock(), None)
    assert not bind_broker(stock(), "")
    assert not bind_broker(StubBroker(), "redis://127.0.0.1:1/0")
