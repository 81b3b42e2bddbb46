"""The worker runner: boots, says when it polls, stops in order, dies with its launcher."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from perfkit.recorder import Kind, read_spools
from tests.fresh import in_fresh_interpreter
from tests.waiting import wait_until

Child = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def worker(child: Child, shop: Path, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start a runner on the shop and wait until it is ready."""

    def start(*more: object, **options: Any) -> subprocess.Popen[str]:
        process = child(
            "perfkit.recorder.worker",
            *("--broker", "shop:broker", "--path", shop, "--name", "w1"),
            *("--spool", tmp_path / "spool", "--threads", 2, "--worker-timeout-ms", 50, *more),
            **options,
        )
        ready = tmp_path / "spool" / "w1.ready"
        wait_until(lambda: ready.exists() or process.poll() is not None, 20, "the worker is ready")
        assert process.poll() is None, process.communicate()
        return process

    return start


def add_actor_that_hangs(shop: Path) -> None:
    with (shop / "shop.py").open("a") as module:
        module.write(
            "\n@dramatiq.actor(queue_name='mail')\ndef hang():\n"
            "    import threading\n    threading.Event().wait()\n"
        )


def send(url: str, queue: str, actor: str, *args: object) -> str:
    broker = RedisBroker(url=url)  # type: ignore[no-untyped-call]
    message = broker.enqueue(dramatiq.Message(queue, actor, args, {}, {}))
    broker.client.connection_pool.disconnect()
    return message.message_id


def test_a_worker_becomes_ready_runs_jobs_and_stops_when_told(
    worker: Child, tmp_path: Path, clean_redis: str
) -> None:
    process = worker(
        *("--prefetch", 3, "--heartbeat-timeout-ms", 5000, "--maintenance-chance", 20_000)
    )
    ready = json.loads((tmp_path / "spool" / "w1.ready").read_text())
    broker_id = ready.pop("broker_id")
    assert ready == {
        "pid": process.pid,
        "name": "w1",
        "namespace": "dramatiq",
        "queues": ["mail", "payments"],
        "actors": {"pay": "payments", "write": "mail"},
        "dramatiq_version": dramatiq.__version__,
        "rebound": False,
    }
    with redis.Redis.from_url(clean_redis) as client:
        alive = client.zrange("dramatiq:__heartbeats__", 0, -1)
    assert broker_id.encode() in alive, "ready means polling"

    done, dead = send(clean_redis, "payments", "pay", 1), send(clean_redis, "payments", "pay", -1)

    def ended() -> bool:
        [contents] = read_spools(tmp_path / "spool")
        kinds = {event.message_id: event.kind for event in contents.events}
        return kinds.get(done) is Kind.ACK and kinds.get(dead) is Kind.NACK

    wait_until(ended, 10, "both jobs have ended")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=10)
    assert (process.returncode, out) == (0, ""), err
    [contents] = read_spools(tmp_path / "spool")
    assert (contents.name, contents.role, contents.pid) == ("w1", "worker", process.pid)
    assert (contents.broker_id, contents.closed, contents.lost) == (broker_id, True, 0)


def test_dramatiqs_settings_take_effect(worker: Child, shop: Path, clean_redis: str) -> None:
    (shop / "shop.py").write_text(
        (shop / "shop.py").read_text()
        + """
class Teller(dramatiq.Middleware):
    def after_worker_boot(self, broker, worker):
        print(worker.queue_prefetch, worker.worker_timeout, worker.worker_threads,
              broker.heartbeat_timeout, broker.maintenance_chance, flush=True)
    def after_process_boot(self, broker):
        print("process boot", flush=True)
broker.add_middleware(Teller())
"""
    )
    process = worker(
        *("--prefetch", 3, "--heartbeat-timeout-ms", 5000, "--maintenance-chance", 20_000)
    )
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=10)
    assert out == "process boot\n3 50 2 5000 20000\n"
    assert process.returncode == 0


def test_a_worker_may_serve_some_queues_and_record_nothing(
    worker: Child, tmp_path: Path, clean_redis: str
) -> None:
    process = worker("--queues", "mail", "--no-recorder")
    assert json.loads((tmp_path / "spool" / "w1.ready").read_text())["queues"] == ["mail"]
    send(clean_redis, "payments", "pay", 1)
    send(clean_redis, "mail", "write", "hello")
    with redis.Redis.from_url(clean_redis) as client:
        wait_until(lambda: client.hlen("dramatiq:mail.msgs") == 0, 10, "the mail is written")
        assert client.llen("dramatiq:payments") == 1
    process.terminate()
    process.communicate(timeout=10)
    assert process.returncode == 0
    assert read_spools(tmp_path / "spool") == []


def test_a_worker_dies_with_its_launcher(worker: Child, tmp_path: Path) -> None:
    ours, theirs = os.pipe()[::-1]
    try:
        process = worker("--lifeline-fd", theirs, fds=(theirs,))
    finally:
        os.close(theirs)
        os.close(ours)
    _, err = process.communicate(timeout=5)
    assert process.returncode in (0, 1)
    assert "the end of the lifeline" in err


def test_a_worker_that_wont_stop_is_ended_by_its_lifeline(
    worker: Child, shop: Path, tmp_path: Path, clean_redis: str
) -> None:
    add_actor_that_hangs(shop)
    ours, theirs = os.pipe()[::-1]
    try:
        process = worker("--lifeline-fd", theirs, fds=(theirs,))
        send(clean_redis, "mail", "hang")
        wait_until(
            lambda: any(spool.events for spool in read_spools(tmp_path / "spool")), 10, "it hangs"
        )
    finally:
        os.close(theirs)
        os.close(ours)
    process.communicate(timeout=5)
    assert process.returncode == 1


def test_a_second_signal_ends_a_worker_at_once(
    worker: Child, shop: Path, tmp_path: Path, clean_redis: str
) -> None:
    add_actor_that_hangs(shop)
    process = worker("--shutdown-timeout-ms", 60_000)
    send(clean_redis, "mail", "hang")
    wait_until(
        lambda: any(spool.events for spool in read_spools(tmp_path / "spool")), 10, "it hangs"
    )
    process.terminate()
    log = process.stderr
    assert log is not None
    while "stops because of SIGTERM" not in log.readline():
        assert process.poll() is None
    process.terminate()
    assert process.wait(5) == 1
    [contents] = read_spools(tmp_path / "spool")
    assert [event.kind for event in contents.events] == [Kind.START]


def test_an_unimportable_broker_is_reported_with_its_traceback(
    child: Child, shop: Path, tmp_path: Path
) -> None:
    (shop / "broken.py").write_text("1 / 0\n")
    process = child(
        *("perfkit.recorder.worker", "--broker", "broken:broker", "--path", shop),
        *("--name", "w1", "--spool", tmp_path / "spool"),
    )
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert "Traceback" in err
    assert err.splitlines()[-1] == (
        "perfkit.recorder.worker: 'broken' failed to import: ZeroDivisionError: division by zero"
    )


@pytest.mark.parametrize(
    ("queues", "code", "said"),
    [
        ("letters", "", "no such queue: letters; declared: mail, payments"),
        ("mail", "broker.queues.clear()", "declares no queue"),
    ],
)
def test_queues_that_dont_exist_are_refused(
    child: Child, shop: Path, tmp_path: Path, queues: str, code: str, said: str
) -> None:
    with (shop / "shop.py").open("a") as module:
        module.write(code + "\n")
    process = child(
        *("perfkit.recorder.worker", "--broker", "shop:broker", "--path", shop),
        *("--name", "w1", "--spool", tmp_path / "spool", "--queues", queues),
    )
    _, err = process.communicate(timeout=20)
    assert process.returncode == 2
    assert said in err.splitlines()[-1]


FOOTPRINT = """
import json, sys
import dramatiq, dramatiq.brokers.redis, dramatiq.brokers.stub
before = set(sys.modules)
import perfkit.recorder.worker
assert not set(sys.modules) - before - set(sys.stdlib_module_names) - {
    "perfkit", "perfkit.recorder", "perfkit.recorder.lifeline", "perfkit.recorder.worker"}
import perfkit.recorder.middleware, perfkit.recorder.loading, perfkit.recorder.readiness
import perfkit.recorder.attach, perfkit.recorder.probe, perfkit.recorder.reader
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_the_recorder_brings_nothing_but_itself_and_the_standard_library() -> None:
    loaded = json.loads(in_fresh_interpreter(FOOTPRINT))
    strangers = {
        name
        for name in loaded
        if name.split(".")[0] not in sys.stdlib_module_names
        and name != "perfkit"
        and not name.startswith("perfkit.recorder")
    }
    assert not strangers


def test_the_runner_is_imported_without_dramatiq_which_reads_its_settings_at_import() -> None:
    said = in_fresh_interpreter(
        "import sys, perfkit.recorder.worker; print('dramatiq' in sys.modules)"
    )
    assert said.strip() == "False"
