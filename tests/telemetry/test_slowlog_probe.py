"""The slow-log probe on a real server: what is new comes once, and nobody's data comes at all."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker

from perfkit.clock import ManualClock, SystemClock
from perfkit.telemetry import slowlog_probe
from perfkit.telemetry.reading import Reading
from perfkit.telemetry.slowlog_probe import SlowLogProbe
from tests.conftest import free_port, server_binary
from tests.waiting import wait_until

_SECOND = 1_000_000_000
_SECRET = "card-4111-1111"
_BUSY = "local n = 0 for i = 1, {} do n = n + i end return n"


@pytest.fixture
def client(clean_redis: str) -> Iterator[redis.Redis]:
    """A client; the slow log takes nothing until a test says so, and the latency monitor is off."""
    with redis.Redis.from_url(clean_redis) as client:
        kept = client.config_get("slowlog-log-slower-than", "slowlog-max-len")
        client.config_set("slowlog-log-slower-than", -1)
        client.slowlog_reset()
        yield client
        client.config_set("latency-monitor-threshold", 0)
        for key, value in kept.items():
            client.config_set(key, value)


@pytest.fixture
def probe(clean_redis: str) -> Iterator[SlowLogProbe]:
    probe = SlowLogProbe(clean_redis)
    yield probe
    probe.close()


class _Looks:
    """Takes a probe whenever its second is over, at once."""

    def __init__(self, probe: SlowLogProbe) -> None:
        self._probe = probe
        self._clock = ManualClock(5 * _SECOND)

    def __call__(self) -> list[Reading]:
        self._clock.advance(_SECOND)
        return list(self._probe.take(self._clock))

    def slow(self) -> list[str]:
        return [each.subject for each in self() if each.metric == "redis.slowlog_ns"]


def _log(client: redis.Redis, *commands: tuple[str, ...]) -> None:
    """Have these commands logged, whatever they take, and no others."""
    client.config_set("slowlog-log-slower-than", 0)
    for command in commands:
        client.execute_command(*command)
    client.config_set("slowlog-log-slower-than", -1)


def test_each_slow_command_comes_once_by_its_name_alone(
    client: redis.Redis, probe: SlowLogProbe
) -> None:
    looks = _Looks(probe)
    _log(client, ("SET", "before", "x"))
    first = looks()
    assert [(each.metric, each.value) for each in first] == [("redis.slow_commands", 0)]
    _log(client, ("SET", _SECRET, "x"), ("getrange", _SECRET, "0", "-1"))
    readings = looks()
    slow = [each for each in readings if each.metric == "redis.slowlog_ns"]
    # Switching the log on and off are commands too.
    assert [each.subject for each in slow] == ["CONFIG", "SET", "GETRANGE"]
    assert all(each.value >= 0 for each in slow)
    assert looks.slow() == []
    assert looks()[-1].value == 3
    assert _SECRET not in str(readings)
    assert probe.errors == {}


def test_dramatiqs_script_is_told_by_what_it_was_asked(
    client: redis.Redis, clean_redis: str, probe: SlowLogProbe
) -> None:
    looks = _Looks(probe)
    broker = RedisBroker(url=clean_redis, maintenance_chance=0)  # type: ignore[no-untyped-call]
    broker.declare_queue("payments")
    message: dramatiq.Message[None] = dramatiq.Message(
        queue_name="payments", actor_name="pay", args=(_SECRET,), kwargs={}, options={}
    )
    broker.enqueue(message)  # loads the script
    looks()
    client.config_set("slowlog-log-slower-than", 0)
    broker.enqueue(message)
    broker.do_fetch("payments", 1)
    client.config_set("slowlog-log-slower-than", -1)
    client.evalsha(client.script_load("return 1"), 0)
    readings = looks()
    told = [each.subject for each in readings if each.subject.startswith("EVALSHA")]
    assert told == ["EVALSHA enqueue", "EVALSHA fetch"]
    assert not any(word in str(readings) for word in (_SECRET, "payments", broker.broker_id))
    broker.client.connection_pool.disconnect()


def test_with_a_server_for_each_queue_the_queue_stands_before_the_command(
    client: redis.Redis, clean_redis: str
) -> None:
    probe = SlowLogProbe(clean_redis, "payments")
    looks = _Looks(probe)
    looks()
    _log(client, ("PING",))
    subjects = {each.metric: each.subject for each in looks()}
    assert subjects == {"redis.slowlog_ns": "payments/PING", "redis.slow_commands": "payments"}
    probe.close()


def test_what_came_between_two_looks_has_a_time_between_them(
    client: redis.Redis, probe: SlowLogProbe
) -> None:
    clock = SystemClock()
    probe.take(clock)
    begin_ns = clock.now_ns()
    _log(client, ("PING",))
    taken: list[Reading] = []

    def looked() -> bool:
        taken.extend(probe.take(clock))
        return any(each.metric == "redis.slowlog_ns" for each in taken)

    wait_until(looked, 5, "the probe looks again")
    at_ns = next(each.at_ns for each in taken if each.metric == "redis.slowlog_ns")
    # The server tells whole seconds, and the look before was a moment earlier than `begin_ns`.
    assert begin_ns - _SECOND <= at_ns <= clock.now_ns()


def test_more_than_a_look_reads_is_counted_as_lost_and_still_in_the_count(
    client: redis.Redis, probe: SlowLogProbe
) -> None:
    _log(client, ("PING",))
    looks = _Looks(probe)
    looks()
    client.config_set("slowlog-max-len", 500)
    _log(client, *[("PING",)] * 200)
    assert len(looks.slow()) == 128
    assert probe.errors == {"EntriesLost": 201 - 128}
    assert looks()[-1].value == 201
    assert probe.errors == {"EntriesLost": 201 - 128}


def test_what_was_emptied_before_it_was_read_is_lost_and_counted(
    client: redis.Redis, probe: SlowLogProbe
) -> None:
    _log(client, ("PING",))
    looks = _Looks(probe)
    looks()
    _log(client, ("PING",))
    client.slowlog_reset()
    assert looks.slow() == []
    _log(client, ("ECHO", "x"))
    assert looks.slow() == ["CONFIG", "ECHO"]
    assert probe.errors == {"EntriesLost": 2}
    assert looks()[-1].value == 4


def test_the_numbers_of_an_emptied_log_are_no_entries(
    client: redis.Redis, probe: SlowLogProbe
) -> None:
    _log(client, *[("PING",)] * 5)
    client.slowlog_reset()
    looks = _Looks(probe)
    assert looks()[-1].value == 0
    _log(client, ("ECHO", "x"))
    assert looks.slow() == ["CONFIG", "ECHO"]
    assert probe.errors == {}


@pytest.fixture
def serve(tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    """Starts a Redis of its own on a port, with options; all are stopped at the end."""
    servers = []

    def start(port: int, *options: str) -> subprocess.Popen[bytes]:
        command = [server_binary(), "--port", str(port), "--save", "", "--dir", str(tmp_path)]
        server = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.kill()
        server.wait()


def test_a_server_that_started_again_is_read_from_its_beginning(
    serve: Callable[..., subprocess.Popen[bytes]],
) -> None:
    port = free_port()
    probe = SlowLogProbe(f"redis://127.0.0.1:{port}/0", timeout_s=2)
    looks = _Looks(probe)
    server = serve(port, "--slowlog-log-slower-than", "-1")
    with redis.Redis(port=port) as client:
        wait_until(lambda: looks(), 10, "the probe finds the server")
        _log(client, *[("PING",)] * 5)
        assert looks()[-1].value == 6
        server.kill()
        server.wait()
        assert looks() == []
        failed = dict(probe.errors)
        serve(port, "--slowlog-log-slower-than", "-1")
        wait_until(lambda: looks(), 10, "the probe finds it again")
        _log(client, ("ECHO", "x"))
        assert looks.slow() == ["CONFIG", "ECHO"]
        assert looks()[-1].value == 8
    assert set(probe.errors) == set(failed) == {"ConnectionError"}
    probe.close()


def _events(readings: list[Reading]) -> list[Reading]:
    return [each for each in readings if each.metric == "redis.latency_event_ns"]


def test_the_worst_of_each_second_comes_when_the_second_is_over(
    client: redis.Redis, probe: SlowLogProbe
) -> None:
    looks = _Looks(probe)
    looks()
    client.latency_reset()
    client.config_set("latency-monitor-threshold", 1)
    size = 1_000_000
    while not client.latency_latest():  # until the script is slow on this machine
        client.eval(_BUSY.format(size), 0)
        size *= 2
    client.config_set("latency-monitor-threshold", 0)
    history = {
        name: client.latency_history(name)
        for name in [str(row[0], "ascii") for row in client.latency_latest()]
    }
    taken: list[Reading] = []

    def all_came() -> bool:
        taken.extend(_events(looks()))
        return len(taken) == sum(map(len, history.values()))

    wait_until(all_came, 5, "the second is over and its event has come")
    assert sorted((each.subject, each.value) for each in taken) == sorted(
        (name, worst_ms * 1e6) for name, rows in history.items() for _, worst_ms in rows
    )
    assert "command" in history
    assert _events(looks()) == []
    assert probe.errors == {}


def test_events_of_before_are_not_ours(client: redis.Redis, clean_redis: str) -> None:
    seen_s, server_ns = 1_700_000_000, 1_700_000_100 * _SECOND
    probe = _Scripted(clean_redis, [[b"fork", seen_s, 7, 7]], [[seen_s, 7]], server_ns)
    assert _events(_Looks(probe)()) == []
    assert probe.asked_history == 0
    probe.latest = [[b"fork", 1_700_000_100, 9, 9]]
    probe.history = [[seen_s, 7], [1_700_000_100, 9]]
    probe.server_ns += _SECOND
    clock = ManualClock(77 * _SECOND)
    [event] = _events(list(probe.take(clock)))
    # Half a second before, by the server's clock; ours is another.
    assert (event.subject, event.value) == ("fork", 9e6)
    assert event.at_ns == 77 * _SECOND - _SECOND // 2
    probe.close()


class _Scripted(SlowLogProbe):
    """With the replies of a server whose clock stands where the test wants it."""

    def __init__(self, url: str, latest: list[Any], history: list[Any], server_ns: int) -> None:
        super().__init__(url)
        self.latest, self.history, self.server_ns = latest, history, server_ns
        self.asked_history = 0
        self._link = self  # type: ignore[assignment]

    def batch(self, *commands: tuple[str, ...]) -> list[tuple[str, ...]]:
        return list(commands)

    def exchange(self, commands: list[tuple[str, ...]]) -> list[Any]:
        return [self._answer(command) for command in commands]

    def close(self) -> None:
        return

    def _answer(self, command: tuple[str, ...]) -> Any:
        if command[0] == "TIME":
            seconds, rest = divmod(self.server_ns, _SECOND)
            return [b"%d" % seconds, b"%d" % (rest // 1000)]
        if command[1] == "LATEST":
            return self.latest
        if command[1] == "HISTORY":
            self.asked_history += 1
            return self.history
        return []


@pytest.mark.parametrize("protocol", [2, 3])
def test_a_quiet_look_is_three_commands(
    client: redis.Redis, clean_redis: str, protocol: int
) -> None:
    probe = SlowLogProbe(clean_redis, protocol=protocol)
    clock = ManualClock()
    probe.take(clock)

    def calls() -> dict[str, int]:
        stats = client.info("commandstats")
        return {name.removeprefix("cmdstat_"): row["calls"] for name, row in stats.items()}

    before = calls()
    for _ in range(50):  # ten seconds at 5 Hz
        clock.advance(_SECOND // 5)
        probe.take(clock)
    after = calls()
    asked = {name: after[name] - before.get(name, 0) for name in after}
    del asked["info"]
    assert {name: count for name, count in asked.items() if count} == {
        "time": 10,
        "slowlog|get": 10,
        "latency|latest": 10,
    }
    probe.close()


def test_a_server_that_refuses_is_asked_no_more_and_the_refusal_counted_once(
    client: redis.Redis, clean_redis: str
) -> None:
    client.acl_setuser(
        "viewer", enabled=True, passwords=["+seen"], commands=["+ping", "+info", "+time"]
    )
    try:
        port = client.connection_pool.connection_kwargs["port"]
        probe = SlowLogProbe(f"redis://viewer:seen@127.0.0.1:{port}/0")
        looks = _Looks(probe)
        assert [looks() for _ in range(3)] == [[], [], []]
        assert probe.errors == {"SlowLogRefused": 1, "LatencyRefused": 1}
        refused = client.info("errorstats")["errorstat_NOPERM"]["count"]
        looks()
        assert client.info("errorstats")["errorstat_NOPERM"]["count"] == refused
        probe.close()
    finally:
        client.acl_deluser("viewer")


def test_one_half_may_be_refused(client: redis.Redis, clean_redis: str) -> None:
    client.acl_setuser("viewer", enabled=True, passwords=["+seen"], commands=["+slowlog"])
    try:
        port = client.connection_pool.connection_kwargs["port"]
        probe = SlowLogProbe(f"redis://viewer:seen@127.0.0.1:{port}/0")
        looks = _Looks(probe)
        looks()
        _log(client, ("PING",))
        assert looks.slow() == ["CONFIG", "PING"]
        assert probe.errors == {"TimeRefused": 1, "LatencyRefused": 1}
        probe.close()
    finally:
        client.acl_deluser("viewer")


def test_looking_writes_nothing(client: redis.Redis, clean_redis: str, probe: SlowLogProbe) -> None:
    client.set("key", "value")
    looks = _Looks(probe)
    looks()
    _log(client, ("PING",))
    before = client.info("persistence")["rdb_changes_since_last_save"]
    length = client.slowlog_len()
    looks()
    assert client.info("persistence")["rdb_changes_since_last_save"] == before
    assert client.slowlog_len() == length


def test_without_a_server_there_are_no_readings_and_no_exception() -> None:
    probe = SlowLogProbe(f"redis://127.0.0.1:{free_port()}/0")
    assert _Looks(probe)() == []
    assert probe.errors == {"ConnectionError": 1}
    probe.close()


@pytest.mark.parametrize(
    ("words", "shown"),
    [
        ([b"get", b"k"], "GET"),
        ([b"EVALSHA", b"d", b"1", b"ns", b"ack"], "EVALSHA ack"),
        ([b"EVALSHA", b"d", b"1", b"ns", _SECRET.encode()], "EVALSHA"),
        ([b"EVALSHA", b"d", b"0"], "EVALSHA"),
        ([b"FT.SEARCH", b"index"], "FT.SEARCH"),
        ([_SECRET.encode() * 9], "?"),
        ([b"\xff\x00"], "?"),
        ([], "?"),
        ([1], "?"),
    ],
)
def test_nothing_but_a_commands_name_passes(words: list[object], shown: str) -> None:
    assert slowlog_probe._command(words) == shown
    assert _SECRET not in json.dumps(shown)
