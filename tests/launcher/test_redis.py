from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import redis

from perfkit.errors import ChildDied, PortInUse, UsageError
from perfkit.launcher.guard import Guard
from perfkit.launcher.keeper import start_ticks
from perfkit.launcher.ports import HOST, listen, port_of
from perfkit.launcher.redis import EXTRAS, PrivateRedis
from perfkit.launcher.server import find_server
from perfkit.paths import profiles
from tests.conftest import free_port
from tests.leaks import bound_ports

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


def test_without_persistence_nothing_is_ever_saved(make: Make) -> None:
    server = make("no-persistence")
    server.start()
    config = server.facts()["config"]
    assert (config["save"], config["appendonly"]) == ("", "no")


def test_an_unknown_profile_is_refused_with_the_known_ones(make: Make) -> None:
    with pytest.raises(UsageError, match="no Redis profile 'fast'") as caught:
        make("fast")
    assert "no-persistence, stock" in caught.value.mend


def test_a_server_that_refuses_its_profile_shows_why(
    make: Make, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.conf"
    broken.write_text("maxmemory lots\n")
    monkeypatch.setattr("perfkit.launcher.redis.profile_path", lambda _name: broken)
    server = make("broken")
    with pytest.raises(ChildDied, match="maxmemory lots"):
        server.start()


@pytest.mark.parametrize("profile", profiles())
def test_every_line_of_a_profile_says_what_it_buys_and_risks(profile: str) -> None:
    from perfkit.paths import profile_path

    blocks = profile_path(profile).read_text().strip().split("\n\n")
    for block in blocks:
        lines = block.splitlines()
        settings = [line for line in lines if not line.startswith("#")]
        if settings:
            comment = "\n".join(line for line in lines if line.startswith("#"))
            assert len(settings) == 1
            assert "Buys:" in comment
            assert "Risks:" in comment
