"""Command lines of the pools; that they work is seen in test_stack.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from perfkit.errors import UsageError
from perfkit.launcher.workers import Workers
from perfkit.scenario import PoolSettings
from tests.launcher.small_stack import MakeStack, stack_settings

POOLS = (
    PoolSettings(name="payments", queues=("payments",), workers=1, threads=3, prefetch=6),
    PoolSettings(name="rest", queues=("a", "b"), workers=2, threads=2, prefetch=5),
)


def option(argv: tuple[str, ...], name: str) -> str:
    return argv[argv.index(name) + 1]


def test_each_worker_of_a_pool_is_a_child_with_its_own_name(stack_spec: MakeStack) -> None:
    spec = stack_spec(stack_settings(pools=POOLS), broker_path=Path("/app"), cpus=(0,))
    children = list(Workers(spec, {"A": "b"}, 7, ("secret",)).children())
    assert [child.name for child in children] == ["payments-1", "rest-1", "rest-2"]
    assert [child.pool for child in children] == ["payments", "rest", "rest"]
    last = children[-1]
    assert option(last.argv, "--queues") == "a,b"
    assert option(last.argv, "--threads") == "2"
    assert option(last.argv, "--prefetch") == "5"
    assert option(last.argv, "--worker-timeout-ms") == "20"
    assert option(last.argv, "--heartbeat-timeout-ms") == "60000"
    assert option(last.argv, "--maintenance-chance") == "1000"
    assert option(last.argv, "--path") == "/app"
    assert option(last.argv, "--lifeline-fd") == "7"
    assert last.pass_fds == (7,)
    assert last.cpus == (0,)


def test_the_shared_pool_serves_all_queues(stack_spec: MakeStack) -> None:
    (child,) = Workers(stack_spec(), {}, 7, ()).children()
    assert child.name == "worker-1"
    assert "--queues" not in child.argv
    assert "--no-recorder" not in child.argv
    (child,) = Workers(stack_spec(recorder=False), {}, 7, ()).children()
    assert "--no-recorder" in child.argv


def test_workers_know_the_redis_of_their_queue_and_no_other(stack_spec: MakeStack) -> None:
    pools = (POOLS[0], PoolSettings(name="m", queues=("mail",), workers=1, threads=1, prefetch=2))
    urls = {"payments": "redis://one", "mail": "redis://two"}
    environment = {"REDIS_URL": "redis://one", "A": "b"}
    spec = stack_spec(stack_settings(pools=pools))
    workers = Workers(spec, environment, 7, (), urls)
    pay, mail = workers.children()
    assert pay.env == {"REDIS_URL": "redis://one", "A": "b"}
    assert mail.env == {"REDIS_URL": "redis://two", "A": "b"}
    assert workers.replacement(mail).env == mail.env
    alone = Workers(spec, environment, 7, (), {"": "redis://one"})
    assert {child.env["REDIS_URL"] for child in alone.children()} == {"redis://one"}


def test_a_replacement_has_a_number_of_its_own(stack_spec: MakeStack) -> None:
    workers = Workers(stack_spec(stack_settings(pools=POOLS)), {}, 7, ())
    children = list(workers.children())
    again = workers.replacement(children[1])
    assert (again.name, again.pool) == ("rest-3", "rest")


def test_a_timeout_below_a_millisecond_does_not_become_none(stack_spec: MakeStack) -> None:
    (child,) = Workers(stack_spec(stack_settings(worker_timeout_ns=1)), {}, 7, ()).children()
    assert option(child.argv, "--worker-timeout-ms") == "1"


def test_the_stock_command_line_is_one_child_for_each_pool(stack_spec: MakeStack) -> None:
    spec = stack_spec(stack_settings(pools=POOLS, supervisor="dramatiq"))
    children = list(Workers(spec, {"A": "b"}, 7, ()).children())
    assert [child.name for child in children] == ["payments-master", "rest-master"]
    rest = children[1]
    assert rest.argv[2:5] == ("-m", "dramatiq", "perfkit.recorder.cli:broker")
    assert option(rest.argv, "--processes") == "2"
    assert rest.argv[-3:] == ("--queues", "a", "b")
    assert rest.env["dramatiq_queue_prefetch"] == "5"
    assert rest.env["dramatiq_worker_timeout"] == "20"
    assert rest.env["PERFKIT_NAME"] == "rest"


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ({"maintenance_chance": 500}, {}),
        ({"heartbeat_timeout_ns": 5_000_000_000}, {}),
        ({}, {"recorder": False}),
    ],
)
def test_what_the_stock_command_line_cannot_do_is_refused(
    stack_spec: MakeStack, settings: dict[str, Any], changes: dict[str, Any]
) -> None:
    spec = stack_spec(stack_settings(supervisor="dramatiq", **settings), **changes)
    with pytest.raises(UsageError, match="the stock dramatiq command"):
        Workers(spec, {}, 7, ())
