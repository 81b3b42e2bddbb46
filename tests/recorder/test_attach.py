"""A producer is recorded without knowing it, and is otherwise itself."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from perfkit.recorder import Kind, read_spools
from tests.waiting import wait_until

Child = Callable[..., subprocess.Popen[str]]

FRONT = """
import sys
from wsgiref.util import setup_testing_defaults
import shop

def application(environ, start_response):
    message = shop.pay.send(int(environ["PATH_INFO"].strip("/")))
    start_response("202 Accepted", [])
    return [message.message_id.encode()]

if __name__ == "__main__":
    for path in sys.argv[1:]:
        environ = {"PATH_INFO": path}
        setup_testing_defaults(environ)
        [body] = application(environ, lambda status, headers: None)
        print(body.decode())
    print(sys.argv[0], type(shop.broker).__name__, "perfkit" in str(type(shop.broker)))
    sys.exit(7)
"""


@pytest.fixture
def attach(child: Child, shop: Path, tmp_path: Path) -> Child:
    (shop / "front.py").write_text(FRONT)

    def start(
        *command: object,
        broker: str = "shop:broker",
        options: tuple[object, ...] = (),
        fds: tuple[int, ...] = (),
        urls: str = "",
    ) -> subprocess.Popen[str]:
        return child(
            *("perfkit.recorder.attach", "--broker", broker, "--name", "ingest"),
            *("--spool", tmp_path / "spool", "--path", shop, *options, *command),
            fds=fds,
            REDIS_URLS=urls,
        )

    return start


def test_a_producers_enqueues_are_recorded_and_stamped(
    attach: Child, shop: Path, tmp_path: Path, clean_redis: str
) -> None:
    process = attach("--", "front", "/1", "/2", "/3")
    out, err = process.communicate(timeout=20)
    assert process.returncode == 7, err
    *ids, own_view = out.splitlines()
    assert own_view == f"{shop / 'front.py'} RedisBroker False"
    [contents] = read_spools(tmp_path / "spool")
    assert (contents.name, contents.role, contents.closed) == ("ingest", "producer", True)
    assert [event.message_id for event in contents.events] == ids
    assert {event.kind for event in contents.events} == {Kind.ENQ}
    with redis.Redis.from_url(clean_redis) as client:
        stored = [json.loads(body) for body in client.hvals("dramatiq:payments.msgs")]
    stamps = {message["message_id"]: message["options"]["pk_t"] for message in stored}
    assert stamps == {event.message_id: event.enqueued_ns for event in contents.events}
    for event in contents.events:
        assert event.enqueued_ns is not None
        assert event.enqueue_done_ns is not None
        assert event.enqueued_ns < event.enqueue_done_ns


SEVERAL = """
import dramatiq, json, os, sys
from dramatiq.brokers.redis import RedisBroker
import shop

brokers = {"payments": shop.broker, "mail": RedisBroker(url="redis://127.0.0.1:1/0")}

if __name__ == "__main__":
    import several  # as the recorder imported it, not as it is run
    for queue, actor in (("payments", shop.pay), ("mail", shop.write)):
        message = several.brokers[queue].enqueue(actor.message(1))
        print(message.message_id)
"""


def test_every_broker_of_an_application_is_recorded_and_led_to_the_server_of_its_queue(
    attach: Child, shop: Path, tmp_path: Path, clean_redis: str
) -> None:
    (shop / "several.py").write_text(SEVERAL)
    second = clean_redis.removesuffix("/0") + "/1"
    urls = json.dumps({"payments": clean_redis, "mail": second})
    process = attach("--", "several", options=("--brokers", "several:brokers"), urls=urls)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    [contents] = read_spools(tmp_path / "spool")
    assert contents.closed
    assert [event.message_id for event in contents.events] == out.split()
    assert [event.queue for event in contents.events] == ["payments", "mail"]
    for url, queue in ((clean_redis, "payments"), (second, "mail")):
        with redis.Redis.from_url(url) as client:
            assert client.keys("dramatiq:*.msgs") == [f"dramatiq:{queue}.msgs".encode()]
            (body,) = client.hvals(f"dramatiq:{queue}.msgs")
            assert json.loads(body)["options"]["pk_t"] > 0


@pytest.mark.parametrize(
    ("brokers", "urls", "said"),
    [
        ("shop:pay", "", "shop:pay is not a mapping of queues to dramatiq Brokers"),
        ("shop:brokers", "", "module 'shop' has no 'brokers'; did you mean broker?"),
        ("several:brokers", "redis://:hunter2@h", "REDIS_URLS is no JSON object of queues"),
        ("several:brokers", '{"mail": "http://:hunter2@h"}', "REDIS_URL is no Redis URL"),
    ],
)
def test_brokers_that_cant_be_recorded_are_refused_without_a_password(
    attach: Child, shop: Path, brokers: str, urls: str, said: str
) -> None:
    (shop / "several.py").write_text(SEVERAL)
    process = attach("--", "several", options=("--brokers", brokers), urls=urls)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert said in err.splitlines()[-1]
    assert "hunter2" not in err


def test_a_producer_dies_with_its_launcher(attach: Child, shop: Path, tmp_path: Path) -> None:
    (shop / "waits.py").write_text("import threading\nthreading.Event().wait()\n")
    ours, theirs = os.pipe()[::-1]
    try:
        process = attach("--", "waits", options=("--lifeline-fd", theirs), fds=(theirs,))
        wait_until(lambda: list(tmp_path.glob("spool/*.spool")), 20, "the producer is up")
    finally:
        os.close(theirs)
        os.close(ours)
    process.communicate(timeout=5)
    assert process.returncode != 0


@pytest.mark.parametrize(
    ("broker", "command", "said"),
    [
        ("shop:brokr", ("--", "front"), "module 'shop' has no 'brokr'; did you mean broker?"),
        ("shop:broker", ("--", "frnt"), "there is no module 'frnt' to run"),
        ("shop:broker", (), "say what to run after --"),
        ("shop:broker", ("--budget", "lots", "--", "front"), "'lots' is not a size"),
    ],
)
def test_what_cant_run_is_refused_in_one_line(
    attach: Child, broker: str, command: tuple[str, ...], said: str
) -> None:
    process = attach(*command, broker=broker)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert said in err.splitlines()[-1]
