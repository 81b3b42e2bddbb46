"""The redis probe on a real server, on one that goes away, and its parser on anything at all."""

from __future__ import annotations

import math
import socket
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import strategies as st

from perfkit.clock import SystemClock
from perfkit.errors import UsageError
from perfkit.telemetry.redis_probe import RedisProbe, info_values
from tests.conftest import free_port, server_binary
from tests.waiting import wait_until

_ALL = {
    "redis.up",
    "redis.round_trip_ns",
    "redis.memory_bytes",
    "redis.memory_limit_bytes",
    "redis.clients",
    "redis.ops_per_s",
    "redis.cpu_ns",
    "redis.evicted",
    "redis.expired",
    "redis.rejected_connections",
    "redis.commands",
    "redis.evalsha_calls",
    "redis.evalsha_ns",
    "redis.fragmentation",
    "redis.uptime_s",
    "redis.unsaved_changes",
}
_CLOCK = SystemClock()

Server = subprocess.Popen[bytes]


def _read(probe: RedisProbe) -> dict[str, float]:
    return {reading.metric: reading.value for reading in probe.take(_CLOCK)}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[[int], Server]]:
    """Starts a Redis of its own on a port; all are stopped at the end."""
    servers: list[Server] = []

    def start(port: int) -> Server:
        command = [server_binary(), "--port", str(port), "--save", "", "--dir", str(tmp_path)]
        server = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.kill()
        server.wait()


@pytest.mark.parametrize("protocol", [2, 3])
def test_every_metric_is_read_whatever_the_protocol(clean_redis: str, protocol: int) -> None:
    probe = RedisProbe(clean_redis, protocol=protocol)
    values = _read(probe)
    assert set(values) == _ALL
    assert values["redis.up"] == 1
    assert values["redis.round_trip_ns"] > 0
    assert values["redis.memory_bytes"] > 100_000
    assert values["redis.clients"] >= 1
    assert probe.errors == {}
    probe.close()
    probe.close()


def test_script_calls_and_their_time_are_counted(clean_redis: str) -> None:
    probe = RedisProbe(clean_redis)
    before = _read(probe)
    with redis.Redis.from_url(clean_redis) as client:
        digest = client.script_load("return 1")
        for _ in range(10):
            client.evalsha(digest, 0)
    after = _read(probe)
    assert after["redis.evalsha_calls"] - before["redis.evalsha_calls"] == 10
    assert after["redis.evalsha_ns"] > before["redis.evalsha_ns"]
    assert after["redis.commands"] > before["redis.commands"]
    assert after["redis.cpu_ns"] >= before["redis.cpu_ns"]
    probe.close()


def test_the_connection_has_a_name(clean_redis: str) -> None:
    probe = RedisProbe(clean_redis)
    _read(probe)
    with redis.Redis.from_url(clean_redis) as client:
        assert "perfkit-redis" in {entry["name"] for entry in client.client_list()}
    probe.close()


def test_a_server_that_goes_away_is_down_and_comes_back_by_itself(
    serve: Callable[[int], Server],
) -> None:
    port = free_port()
    probe = RedisProbe(f"redis://127.0.0.1:{port}/0")
    assert _read(probe) == {"redis.up": 0}
    server = serve(port)
    wait_until(lambda: _read(probe)["redis.up"] == 1, 10, "the probe finds the server")
    server.kill()
    server.wait()
    assert _read(probe) == {"redis.up": 0}
    assert _read(probe) == {"redis.up": 0}
    assert probe.errors["ConnectionError"] >= 3
    serve(port)
    wait_until(lambda: set(_read(probe)) == _ALL, 10, "all is read again")
    probe.close()


def test_a_server_that_accepts_and_says_nothing_costs_no_more_than_the_time_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        probe = RedisProbe(f"redis://127.0.0.1:{silent.getsockname()[1]}/0", timeout_s=0.05)
        assert _read(probe) == {"redis.up": 0}
        assert dict(probe.errors) == {"TimeoutError": 1}
        probe.close()


def test_a_unix_socket_is_as_good_as_a_port(tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("s")
    path = folder / "redis.sock"
    command = [server_binary(), "--port", "0", "--unixsocket", str(path), "--save", ""]
    with subprocess.Popen([*command, "--dir", str(folder)], stdout=subprocess.DEVNULL) as server:
        probe = RedisProbe(f"unix://{path}?db=0&socket_timeout=60&max_connections=3")
        try:
            wait_until(lambda: set(_read(probe)) == _ALL, 10, "all is read over the socket")
        finally:
            probe.close()
            server.kill()


def test_a_wrong_password_is_down_and_is_never_told(redis_url: str) -> None:
    wrong = redis_url.replace("redis://:", "redis://:not-")
    probe = RedisProbe(wrong)
    assert _read(probe) == {"redis.up": 0}
    assert sum(probe.errors.values()) == 1
    assert "not-" not in str(dict(probe.errors))
    probe.close()


@pytest.mark.parametrize("url", ["redis://:sec/ret@host/0", "http://:secret@host", "secret"])
def test_an_unreadable_url_is_refused_without_showing_it(url: str) -> None:
    with pytest.raises(UsageError) as refusal:
        RedisProbe(url)
    assert "sec" not in str(refusal.value)
    assert refusal.value.__suppress_context__


def test_an_old_valkey_reply_with_carriage_returns_is_read() -> None:
    text = (
        "# Memory\r\nused_memory:1024\r\nused_memory_human:1.00K\r\nmaxmemory:0\r\n"
        "mem_fragmentation_ratio:nan\r\n# CPU\r\nused_cpu_sys:0.5\r\nused_cpu_user:1.25\r\n"
        "# Commandstats\r\ncmdstat_evalsha:calls=4,usec=250,usec_per_call=62.50,failed_calls=1\r\n"
    )
    assert info_values(text) == {
        "redis.memory_bytes": 1024,
        "redis.memory_limit_bytes": 0,
        "redis.cpu_ns": 1.75e9,
        "redis.evalsha_calls": 4,
        "redis.evalsha_ns": 250_000,
    }


def test_no_script_yet_is_zero_calls_but_only_where_the_section_is_there() -> None:
    assert info_values("# Commandstats\r\n")["redis.evalsha_calls"] == 0
    assert info_values("# Memory\r\nused_memory:x\r\n") == {}


@given(st.text(max_size=300))
def test_no_text_upsets_the_parser(text: str) -> None:
    assert all(math.isfinite(value) for value in info_values(text).values())


@given(
    st.dictionaries(
        st.sampled_from(["used_memory", "maxmemory", "used_cpu_user", "used_cpu_sys", "other"]),
        st.one_of(st.integers().map(str), st.floats().map(str), st.text(max_size=5)),
    )
)
def test_what_can_be_read_as_a_number_is_read_and_the_rest_left_out(fields: dict[str, str]) -> None:
    values = info_values("".join(f"{key}:{value}\r\n" for key, value in fields.items()))
    assert all(math.isfinite(value) for value in values.values())
    if fields.get("used_memory", "").isdecimal() and fields["used_memory"].isascii():
        assert values["redis.memory_bytes"] == float(fields["used_memory"])
    assert ("redis.cpu_ns" in values) <= {"used_cpu_user", "used_cpu_sys"}.issubset(fields)


def test_readings_of_one_server_of_several_name_its_queue(clean_redis: str) -> None:
    probe = RedisProbe(clean_redis, "payments")
    assert {reading.subject for reading in probe.take(_CLOCK)} == {"payments"}
    probe.close()
    away = RedisProbe(f"redis://127.0.0.1:{free_port()}/0", "payments")
    assert [reading.subject for reading in away.take(_CLOCK)] == ["payments"]
    away.close()


def test_a_user_that_may_not_name_its_connection_is_served_all_the_same(redis_url: str) -> None:
    with redis.Redis.from_url(redis_url) as client:
        client.acl_setuser("viewer", enabled=True, passwords=["+seen"], commands=["+ping", "+info"])
        port = client.connection_pool.connection_kwargs["port"]
        probe = RedisProbe(f"redis://viewer:seen@127.0.0.1:{port}/0")
        assert set(_read(probe)) == _ALL
        assert probe.errors == {}
        probe.close()
        client.acl_deluser("viewer")
