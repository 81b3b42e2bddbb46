"""What a run holds of the machine while it works, and the proof that all of it was given back."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.leaks import Identity, assert_gone, descendants_of, identities
from tests.waiting import wait_until


@dataclass(frozen=True)
class Held:
    """Processes and ports."""

    processes: set[Identity]
    ports: set[int]

    @classmethod
    def by(cls, pid: int, results: Path) -> Held:
        """By a run and its children, now; none of them may use shared memory."""
        pids = descendants_of(pid)
        assert not list(shared_memory({pid, *pids}))
        ports = set()
        for lease in (results / ".leases").glob("*.json"):
            for url in json.loads(lease.read_text())["urls"].values():
                with contextlib.suppress(ValueError):
                    ports.add(urlsplit(url).port or 0)
        return cls(identities(pids), ports - {0})

    def assert_given_back(self, temporary: Path) -> None:
        """Within five seconds, and no temporary file is left."""
        assert_gone(self.processes, self.ports)
        wait_until(lambda: not list(temporary.iterdir()), 5, f"{temporary} is empty")


def shared_memory(pids: Iterable[int]) -> Iterator[str]:
    """Mappings of shared memory that has a name, and so could be left behind."""
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
                if "/dev/shm/" in line or "/SYSV" in line:
                    yield line


def child_running(module: str, pid: int) -> int | None:
    """The child of a process that runs a module."""
    for child in descendants_of(pid):
        with contextlib.suppress(OSError):
            if module.encode() in Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0"):
                return child
    return None
