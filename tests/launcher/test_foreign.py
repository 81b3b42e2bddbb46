from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from perfkit.errors import PerfkitError, RedisUnreachable, UsageError
from perfkit.launcher import foreign
from perfkit.launcher.child import Child, ChildSpec
from perfkit.launcher.foreign import ForeignRedis
from perfkit.launcher.guard import Guard
from perfkit.launcher.ports import listen, port_of
from perfkit.launcher.server import find_server
from tests.conftest import free_port
from tests.leaks import bound_ports
from tests.waiting import wait_until


def refusal(url: str, timeout_s: float = 3.0) -> PerfkitError:
    with pytest.raises(PerfkitError) as caught:
        ForeignRedis(url, timeout_s).check("dramatiq")
    assert caught.value.mend
    assert caught.value.exit_code == 2
    return caught.value


def test_an_empty_one_is_taken(clean_redis: str) -> None:
    ForeignRedis(clean_redis).check("dramatiq")


def test_nobody_listening(redis_url: str) -> None:
    error = refusal(f"redis://:hunter2@127.0.0.1:{free_port()}/0")
    assert isinstance(error, RedisUnreachable)
    assert "can't be reached" in str(error)
    assert "refused" in str(error)
    assert "hunter2" not in str(error)


def test_a_name_that_nobody_knows() -> None:
    assert "can't be reached" in str(refusal("redis://no-such-host.invalid:1/0"))


def test_a_wrong_password(redis_url: str) -> None:
    error = refusal(f"redis://:hunter2@127.0.0.1:{urlsplit(redis_url).port}/0")
    assert isinstance(error, RedisUnreachable)
    assert "refuses the password" in str(error)
    assert "hunter2" not in str(error)


def test_no_password(redis_url: str) -> None:
    error = refusal(f"redis://127.0.0.1:{urlsplit(redis_url).port}/0")
    assert isinstance(error, RedisUnreachable)
    assert "asks for a password" in str(error)


def test_a_password_where_none_is_asked_for(guard: Guard, tmp_path: Path) -> None:
    server = find_server()
    port = free_port()
    child = Child(
        ChildSpec(
            name="redis",
            role="redis",
            argv=(str(server.path), "--port", str(port), "--save", ""),
            env={},
            log=tmp_path / "redis.log",
        ),
        guard,
    )
    child.start()
    try:
        wait_until(lambda: port in bound_ports(), 5, "it listens")
        ForeignRedis(f"redis://127.0.0.1:{port}/0").check("dramatiq")
        # The newer protocol takes any password here, the older one none.
        error = refusal(f"redis://:hunter2@127.0.0.1:{port}/0?protocol=2")
        assert "has no password, but the URL gives one" in str(error)
    finally:
        child.stop(5)


@contextmanager
def answering(reply: bytes | None) -> Iterator[int]:
    """A listener that gives the same reply to everybody, or none at all."""
    done = threading.Event()

    def serve(listener: socket.socket) -> None:
        held = []
        while not done.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            held.append(connection)
            if reply is not None:
                connection.recv(4096)
                connection.sendall(reply)
        for connection in held:
            connection.close()

    with closing(listen()) as listener:
        listener.settimeout(0.05)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            yield port_of(listener)
        finally:
            done.set()
            thread.join()


def test_something_that_is_no_redis() -> None:
    with answering(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n") as port:
        error = refusal(f"redis://:hunter2@127.0.0.1:{port}/0")
    assert isinstance(error, RedisUnreachable)
    assert "is not a Redis" in str(error)
    assert "hunter2" not in str(error)


def test_something_that_never_answers() -> None:
    with answering(None) as port:
        error = refusal(f"redis://127.0.0.1:{port}/0", timeout_s=0.2)
    assert isinstance(error, RedisUnreachable)
    assert "does not answer within 0.2 s" in str(error)


@pytest.mark.parametrize("url", ["http://h/", "h:6379", "redis://h:port/0"])
def test_something_that_is_no_url(url: str) -> None:
    assert "is not the URL of a Redis" in str(refusal(url))


@pytest.mark.parametrize("key", ["dramatiq:payments.msgs", "dramatiq:payments.DQ.msgs"])
def test_one_that_holds_jobs_already(clean_redis: str, key: str) -> None:
    with redis.Redis.from_url(clean_redis) as client:
        client.hset(key, "id", "{}")
        error = refusal(clean_redis)
        assert isinstance(error, UsageError)
        assert "already holds jobs in queue 'payments'" in str(error)
        assert "empty database" in error.mend
        # Another namespace does not disturb, and nothing was touched.
        ForeignRedis(clean_redis).check("other")
        assert client.hlen(key) == 1


def test_what_an_earlier_trial_left_does_not_disturb(
    clean_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(foreign, "_ALIVE_WAIT_S", 0.1)
    with redis.Redis.from_url(clean_redis) as client:
        client.hset("dramatiq:payments.XQ.msgs", "id", "{}")
        client.zadd("dramatiq:payments.XQ", {"id": 1})
        client.zadd("dramatiq:__heartbeats__", {"ended": time.time() * 1000})
    ForeignRedis(clean_redis).check("dramatiq")


def test_one_on_which_somebody_elses_workers_live(
    clean_redis: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    beating = threading.Event()
    stop = threading.Event()

    def beat() -> None:
        with redis.Redis.from_url(clean_redis) as client:
            while not stop.wait(0.02):
                client.zadd("dramatiq:__heartbeats__", {"alive": time.time() * 1000})
                beating.set()

    monkeypatch.setattr(foreign, "_ALIVE_WAIT_S", 0.3)
    thread = threading.Thread(target=beat)
    thread.start()
    try:
        wait_until(beating.is_set, 5, "a worker lives")
        assert "workers of another application live on" in str(refusal(clean_redis))
    finally:
        stop.set()
        thread.join()


def test_its_facts_have_no_password(clean_redis: str) -> None:
    facts = ForeignRedis(clean_redis).facts()
    assert facts["private"] is False
    assert facts["config"]["appendonly"] == "no"
    assert (urlsplit(clean_redis).password or "?") not in json.dumps(facts)
    assert (urlsplit(clean_redis).password or "?") not in repr(ForeignRedis(clean_redis))
