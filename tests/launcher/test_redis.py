from __future__ import annotations

import json
import resource
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from perfkit.errors import ChildDied, PortInUse, ServerNotFound, StackError, UsageError
from perfkit.launcher.guard import Guard
from perfkit.launcher.keeper import start_ticks
from perfkit.launcher.ports import HOST, listen, port_of
from perfkit.launcher.profile import Profile
from perfkit.launcher.redis import EXTRAS, PrivateRedis
from perfkit.launcher.server import find_server, server_for
from perfkit.paths import profiles
from tests.conftest import free_port
from tests.leaks import bound_ports
from tests.waiting import wait_until

Make = Callable[..., PrivateRedis]


@pytest.fixture
def make(guard: Guard, tmp_path: Path) -> Iterator[Make]:
    made = []

    def make_one(profile: str = "stock", port: int | None = None) -> PrivateRedis:
        server = PrivateRedis(find_server(), profile, guard, tmp_path / "redis.log", port=port)
        made.append(server)
        return server

    yield make_one
    for server in made:
        server.stop()


def password_of(server: PrivateRedis) -> str:
    return urlsplit(server.url).password or ""


def test_it_answers_to_its_password_and_to_nothing_else(make: Make) -> None:
    server = make()
    server.start()
    with redis.Redis.from_url(server.url) as client:
        assert client.ping()
    port = urlsplit(server.url).port
    for url in (f"redis://{HOST}:{port}/0", f"redis://:wrong@{HOST}:{port}/0"):
        with redis.Redis.from_url(url) as client, pytest.raises(redis.AuthenticationError):
            client.ping()


def test_its_password_is_in_one_private_file_only(make: Make, tmp_path: Path) -> None:
    server = make()
    server.start()
    password = password_of(server)
    assert len(password) >= 24
    assert server.folder is not None
    assert server.folder.stat().st_mode & 0o777 == 0o700
    holding = [path for path in tmp_path.rglob("*") if path.is_file() and holds(path, password)]
    assert holding == [server.folder / "redis.conf"]
    assert holding[0].stat().st_mode & 0o777 == 0o600
    command = Path(f"/proc/{server.child.pid}/cmdline").read_bytes()
    assert password.encode() not in command
    assert b"perfkit" in command  # in a list of processes it is seen whose it is
    assert password not in repr(server)


def holds(path: Path, text: str) -> bool:
    return text.encode() in path.read_bytes()


def test_two_servers_have_two_ports_and_two_passwords(make: Make) -> None:
    first, second = make(), make()
    first.start()
    second.start()
    assert urlsplit(first.url).port != urlsplit(second.url).port
    assert password_of(first) != password_of(second)


def test_a_port_can_be_asked_for(make: Make) -> None:
    port = free_port()
    server = make(port=port)
    server.start()
    assert urlsplit(server.url).port == port


def test_a_port_in_use_is_refused_and_nothing_stays(make: Make) -> None:
    with listen() as taken:
        with pytest.raises(PortInUse, match="in use") as caught:
            make(port=port_of(taken)).start()
        assert "free one" in caught.value.mend


def test_stopping_leaves_no_process_no_port_no_folder_and_saves_nothing(make: Make) -> None:
    server = make()
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.set("key", "value")
    folder, pid, port = server.folder, server.child.pid, urlsplit(server.url).port
    assert folder is not None
    server.stop()
    assert not folder.exists()
    assert start_ticks(pid) is None
    assert port not in bound_ports()
    assert "Saving the final RDB" not in server.child.spec.log.read_text()
    server.stop()


def test_its_facts_name_the_binary_and_the_settings_and_no_secret(make: Make) -> None:
    server = make()
    server.start()
    facts = server.facts()
    assert facts["server"] == find_server().kind
    assert facts["version"] == find_server().version
    assert facts["binary_sha256"] == find_server().sha256
    assert facts["profile"] == "stock"
    assert facts["extras"] == EXTRAS
    assert {key: facts["config"][key] for key in EXTRAS} == EXTRAS
    assert facts["config"]["save"] == "3600 1 300 100 60 10000"
    assert facts["config"]["maxmemory-policy"] == "noeviction"
    assert password_of(server) not in json.dumps(facts)


@pytest.mark.parametrize("product", ["redis", "valkey"])
def test_each_product_is_recorded_by_what_it_says_of_itself(
    guard: Guard, tmp_path: Path, product: str
) -> None:
    try:
        binary = server_for(product)
    except ServerNotFound as error:
        pytest.skip(f"not tried for real: {error}")
    server = PrivateRedis(binary, "stock", guard, tmp_path / "redis.log")
    try:
        server.start()
        facts = server.facts()
    finally:
        server.stop()
    assert facts["server"] == product
    assert facts["version"] == binary.version


def test_without_persistence_nothing_is_ever_saved(make: Make) -> None:
    server = make("no-persistence")
    server.start()
    config = server.facts()["config"]
    assert (config["save"], config["appendonly"]) == ("", "no")


def test_an_unknown_profile_is_refused_with_the_known_ones(make: Make) -> None:
    with pytest.raises(UsageError, match="no Redis profile 'fast'") as caught:
        make("fast")
    assert ", ".join(profiles()) in caught.value.mend


def test_a_server_that_refuses_its_profile_shows_why(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.conf"
    broken.write_text("maxmemory lots\n")
    monkeypatch.setattr("perfkit.launcher.profile.profile_path", lambda _name: broken)
    server = make("broken")
    with pytest.raises(ChildDied, match="maxmemory lots"):
        server.start()


@pytest.mark.parametrize("profile", profiles())
def test_a_server_runs_with_what_its_profile_asks_for(make: Make, profile: str) -> None:
    server = make(profile)
    server.start()
    asked = Profile.load(profile)
    facts = server.facts()
    assert set(asked.settings) <= set(facts["config"])
    few_files = [text for text in facts["warnings"] if "open files" in text]
    in_memory = [text for text in facts["warnings"] if "is in memory" in text]
    assert facts["warnings"] == few_files + in_memory
    assert facts["filesystem"]
    if "maxclients" in asked.settings:
        # Fewer only where the system allows no more, and then it is told.
        got = int(facts["config"]["maxclients"])
        assert (got < int(asked.settings["maxclients"])) is bool(few_files)
        assert got >= min(50_000, resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 32)


def test_what_the_old_system_had_is_all_there(make: Make) -> None:
    server = make("lru-4gb")
    server.start()
    config = server.facts()["config"]
    assert config["maxmemory"] == str(4 * 2**30)
    assert config["maxmemory-policy"] == "allkeys-lru"
    assert config["io-threads"] == "4"
    assert (config["save"], config["appendonly"]) == ("", "no")


@pytest.mark.parametrize("policy", ["everysec", "always"])
def test_an_append_only_file_is_in_the_private_folder_and_goes_with_it(
    make: Make, policy: str
) -> None:
    server = make(f"aof-{policy}")
    server.start()
    assert server.facts()["config"]["appendfsync"] == policy
    folder = server.folder
    assert folder is not None
    with redis.Redis.from_url(server.url) as client:
        client.set("key", "a value to be found")

    def written() -> bool:
        return any(holds(path, "a value to be found") for path in folder.rglob("*.incr.aof"))

    wait_until(written, 5, "the command is in the file")
    server.check()
    server.stop()
    assert not folder.exists()


@pytest.fixture
def full_disk(monkeypatch: pytest.MonkeyPatch, guard: Guard) -> None:
    """The append-only file of each server started from now on is on a device that is full."""
    make_folder = guard.make_folder

    def with_full_file() -> Path:
        folder = make_folder()
        (folder / "appendonlydir").mkdir()
        (folder / "appendonlydir" / "appendonly.aof.1.incr.aof").symlink_to("/dev/full")
        return folder

    monkeypatch.setattr(guard, "make_folder", with_full_file)


@pytest.mark.usefixtures("full_disk")
@pytest.mark.parametrize("policy", ["everysec", "always"])
def test_a_full_disk_is_a_clear_error(make: Make, policy: str) -> None:
    server = make(f"aof-{policy}")
    server.start()
    server.check()

    def write() -> None:
        with redis.Redis.from_url(server.url, retry=None) as client:
            for _ in range(1000):
                client.set("key", "value")

    # One says so, the other ends itself.
    with pytest.raises(redis.RedisError) as refused:
        write()
    assert policy == "always" or "MISCONF" in str(refused.value)

    def noticed() -> bool:
        try:
            server.check()
        except StackError:
            return True
        return False

    wait_until(noticed, 5, "it is noticed")
    with pytest.raises(StackError, match="redis can't write its data") as caught:
        server.check()
    assert "No space left on device" in caught.value.what
    assert "TMPDIR" in caught.value.mend
    assert "no-persistence" in caught.value.mend


@pytest.mark.parametrize(
    ("profile", "kept"), [("aof-everysec", b"1"), ("stock", None), ("no-persistence", None)]
)
def test_after_a_crash_it_has_what_its_profile_has_kept_on_the_same_port(
    make: Make, profile: str, kept: bytes | None
) -> None:
    server = make(profile)
    server.start()
    with redis.Redis.from_url(server.url) as client:
        client.set("kept", "1")
        with pytest.raises(StackError, match="redis runs"):
            server.start_again()
        server.child.strike(signal.SIGKILL)
        wait_until(lambda: server.child.over, 5, "it is dead")
        child = server.start_again()
        child.wait_ready(server.answers, 10)
        assert server.child is child
        assert client.get("kept") == kept
    server.stop()
    with pytest.raises(StackError, match="redis was stopped"):
        server.start_again()


def test_settings_overrule_the_profile_and_are_told(guard: Guard, tmp_path: Path) -> None:
    settings = {"maxmemory": "16000000", "maxmemory-policy": "allkeys-lru"}
    server = PrivateRedis(find_server(), "stock", guard, tmp_path / "redis.log", settings=settings)
    server.start()
    facts = server.facts()
    assert facts["config"]["maxmemory"] == "16000000"
    assert facts["settings"] == settings
    assert "maxmemory" not in " ".join(facts["warnings"])
    server.stop()
