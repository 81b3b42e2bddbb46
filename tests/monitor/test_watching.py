"""`perfkit monitor` as a person starts it, on a real application and beside a real run."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from perfkit.monitor.attachment import Attached, Attachment
from perfkit.monitor.live import LiveFeed
from tests.monitor.apps import broker_of, send
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]
Start = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start ``python -m MODULE ARG...``; killed at the end if still alive."""
    started: list[subprocess.Popen[str]] = []

    def begin(
        module: str, *arguments: object, cwd: Path | None = None, **env: str
    ) -> subprocess.Popen[str]:
        started.append(
            subprocess.Popen(
                [sys.executable, "-m", module, *map(str, arguments)],
                env=os.environ | {"PYTHONPATH": str(ROOT)} | env,
                cwd=cwd,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
        return started[-1]

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
        process.communicate()


def _address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith("open "):
            return line.removeprefix("open ").strip()
    raise AssertionError(process.communicate())


def _snapshot(address: str) -> dict[str, Any]:
    with urllib.request.urlopen(f"{address}snapshot", timeout=5) as answer:
        found: dict[str, Any] = json.load(answer)
        return found


def _ready(address: str) -> bool:
    try:
        with urllib.request.urlopen(f"{address}readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_serves_until_it_is_told_to_stop(
    clean_redis: str, start: Start, number: signal.Signals
) -> None:
    process = start("perfkit", "monitor", "--redis", clean_redis, "--port", 0, "--queue", "mail")
    address = _address(process)
    wait_until(lambda: _ready(address), 20, "it is ready")
    assert [each["name"] for each in _snapshot(address)["queues"]] == ["mail"]
    port = int(address.rstrip("/").rpartition(":")[2])
    refused = start("perfkit", "monitor", "--redis", clean_redis, "--port", port)
    _, words = refused.communicate(timeout=60)
    assert refused.returncode == 2
    assert "--port" in words
    process.send_signal(number)
    out, err = process.communicate(timeout=20)
    assert process.returncode == 0, err
    assert "Traceback" not in err
    assert clean_redis not in out
    with socket.socket() as again:
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_one_snapshot_as_json(clean_redis: str, start: Start) -> None:
    with broker_of(clean_redis) as broker:
        send(broker, 4)
    process = start("perfkit", "monitor", "--redis", clean_redis, "--queue", "payments", "--json",
                    "--threshold", "queue.waiting max<3")  # fmt: skip
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    told = json.loads(out)
    assert told["queues"][0]["waiting"] == 4
    assert [(each["state"], each["observed"]) for each in told["thresholds"]] == [("fail", 4.0)]


def test_the_queues_of_an_application_are_asked_of_its_broker(
    clean_redis: str, start: Start, tmp_path: Path
) -> None:
    (tmp_path / "bookshop").mkdir()
    (tmp_path / "bookshop" / "__init__.py").write_text("")
    (tmp_path / "bookshop" / "tasks.py").write_text(
        "import os, dramatiq\n"
        "from dramatiq.brokers.redis import RedisBroker\n"
        "broker = RedisBroker(url=os.environ['REDIS_URL'], namespace='books')\n"
        "dramatiq.set_broker(broker)\n"
        "@dramatiq.actor(queue_name='orders')\n"
        "def order(number):\n    pass\n"
        "@dramatiq.actor(queue_name='mail')\n"
        "def thank(number):\n    pass\n"
        "if __name__ == '__main__':\n"
        "    for number in range(5):\n        order.send(number)\n"
    )
    sender = start("bookshop.tasks", cwd=tmp_path, REDIS_URL=clean_redis)
    _, words = sender.communicate(timeout=60)
    assert sender.returncode == 0, words
    with redis.Redis.from_url(clean_redis) as client:
        client.config_resetstat()
    # As somebody does it: in the folder of the application, with the server in the environment.
    process = start("perfkit", "monitor", "--broker", "bookshop.tasks:broker", "--json",
                    cwd=tmp_path, REDIS_URL=clean_redis)  # fmt: skip
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    told = json.loads(out)
    assert {each["name"]: each["waiting"] for each in told["queues"]} == {"orders": 5, "mail": 0}
    assert told["subject"].endswith("namespace books")
    assert told["scan"] is None, "nothing is searched where the application says it"
    with redis.Redis.from_url(clean_redis) as client:
        calls = client.info("commandstats")
    assert "cmdstat_scan" not in calls
    assert "cmdstat_keys" not in calls


def test_a_worker_that_is_killed_leaves_a_stalled_job_within_three_seconds(
    clean_redis: str, start: Start, tmp_path: Path
) -> None:
    folder = tmp_path / "application"
    folder.mkdir()
    (folder / "shop.py").write_text(
        "import os, threading, dramatiq\n"
        "from dramatiq.brokers.redis import RedisBroker\n"
        "broker = RedisBroker(url=os.environ['REDIS_URL'])\n"
        "dramatiq.set_broker(broker)\n"
        "@dramatiq.actor(queue_name='payments')\n"
        "def charge():\n    threading.Event().wait()\n"
    )
    spool = tmp_path / "spool"
    worker = start(
        "perfkit.recorder.worker",
        *("--broker", "shop:broker", "--path", folder, "--name", "w1"),
        *("--spool", spool, "--threads", 1, "--worker-timeout-ms", 50),
        REDIS_URL=clean_redis,
    )
    wait_until(
        lambda: (spool / "w1.ready").exists() or worker.poll() is not None, 30, "it is ready"
    )
    with broker_of(clean_redis) as broker:
        send(broker, 1)
    attachment = Attachment(servers={"": clean_redis}, queues=("payments",), spool=spool)
    with LiveFeed(lambda: Attached(attachment=attachment)) as feed:

        def queue() -> Any:
            return feed.snapshot.queue("payments") if feed.snapshot else None

        wait_until(lambda: queue() and queue().in_flight == 1, 20, "the job is fetched")
        assert queue().stalled == 0
        wait_until(
            lambda: any(
                each.rss_bytes for each in (feed.snapshot.workers if feed.snapshot else ())
            ),
            20,
            "the worker's memory is seen",
        )
        worker.kill()
        worker.wait()
        wait_until(lambda: queue().stalled == 1, 3, "its job is stalled")
        assert feed.snapshot is not None
        assert feed.snapshot.totals.workers_lost == 1


@pytest.mark.full
def test_a_run_is_watched_live_and_shown_again(start: Start, tmp_path: Path) -> None:
    run = start("perfkit", "run", "smoke", "--live", "--duration", "12s", "--results", tmp_path,
                "--no-report", "--progress", "none")  # fmt: skip
    assert run.stderr is not None
    address = ""
    for line in run.stderr:
        if line.startswith("live: "):
            address = line.removeprefix("live: ").strip()
            break
    assert address

    def measured() -> bool:
        seen = _snapshot(address) if _ready(address) else {}
        return bool(
            seen
            and (seen["load"] or {}).get("offered")
            and seen["totals"]["rates_from"] == "recorder"
            and any(each["wait_p95_s"] is not None for each in seen["queues"])
            and any(each["cpu"] is not None for each in seen["workers"])
        )

    wait_until(measured, 60, "load, waits and workers are seen")
    out, err = run.communicate(timeout=180)
    assert run.returncode in (0, 99), (out, err)
    wait_until(lambda: not _ready(address), 10, "the page ended with the run")
    [manifest] = tmp_path.glob("smoke/*/manifest.json")
    again = start("perfkit", "monitor", "--run", manifest.parent, "--json")
    out, err = again.communicate(timeout=60)
    assert again.returncode == 0, err
    told = json.loads(out)
    assert told["mode"] == "replay"
    assert sum(each["done"] for each in told["queues"]) > 0
