"""Command lines of ingest and gateway; that they work is seen in test_stack.py."""

from __future__ import annotations

import json
from pathlib import Path

from perfkit.launcher.ingest import gateway_child, ingest_children
from tests.launcher.small_stack import GATEWAY, MakeStack, stack_settings


def test_every_ingest_process_inherits_the_one_socket(stack_spec: MakeStack) -> None:
    spec = stack_spec(stack_settings(ingest_processes=2), broker_path=Path("/app"))
    first, second = ingest_children(spec, {}, 9, 7, ())
    assert (first.name, second.name) == ("ingest-1", "ingest-2")
    for child in (first, second):
        split = child.argv.index("--")
        attach, served = child.argv[:split], child.argv[split + 1 :]
        assert "perfkit.recorder.attach" in attach
        assert attach[-2:] == ("--path", "/app")
        assert served[:4] == ("uvicorn", "workers.ingest:app", "--fd", "9")
        assert child.pass_fds == (9, 7)


def test_brokers_of_queues_are_recorded_too(stack_spec: MakeStack) -> None:
    (child,) = ingest_children(stack_spec(redis_per_queue=True), {}, 9, 7, ())
    attach = child.argv[: child.argv.index("--")]
    assert attach[attach.index("--brokers") + 1] == "workers.broker:brokers"
    (child,) = ingest_children(stack_spec(), {}, 9, 7, ())
    assert "--brokers" not in child.argv


def test_without_the_recorder_it_is_plain_uvicorn(stack_spec: MakeStack) -> None:
    (child,) = ingest_children(stack_spec(recorder=False), {}, 9, 7, ())
    assert child.argv[2:5] == ("-m", "uvicorn", "workers.ingest:app")


def test_a_system_without_ingest_has_none(stack_spec: MakeStack) -> None:
    assert not list(ingest_children(stack_spec(ingest_app=None), {}, 9, 7, ()))


def test_the_gateway_does_not_learn_the_password_of_redis(stack_spec: MakeStack) -> None:
    spec = stack_spec()
    spec.directory.mkdir()
    urls = {"REDIS_URL": "redis://:hunter2@h/0", "REDIS_URLS": '{"q": "redis://:hunter2@h/0"}'}
    child = gateway_child(spec, {**urls, "A": "b"}, 8081)
    assert child.env == {"A": "b"}
    config = Path(child.argv[child.argv.index("--config") + 1])
    assert json.loads(config.read_text()) == GATEWAY
