"""Proof that nothing is left behind: no process alive, no port bound, no private folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

from perfkit.launcher import keeper
from tests.waiting import wait_until

Identity = tuple[int, int]
"""Pid and start (clock ticks since boot): a recycled number is not the same process."""


def identities(pids: Iterable[int]) -> set[Identity]:
    """Those of the processes that live."""
    return {(pid, start) for pid in pids if (start := keeper.start_ticks(pid)) is not None}


def living(processes: Iterable[Identity]) -> set[Identity]:
    """Those that still live."""
    return {(pid, start) for pid, start in processes if keeper.start_ticks(pid) == start}


def children_of(pid: int) -> set[int]:
    """Direct children of a process, zombies too."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.update(int(child) for child in task.read_text().split())
    return found


def descendants_of(pid: int) -> set[int]:
    """Children, their children, and so on."""
    found: set[int] = set()
    unseen = {pid}
    while unseen:
        children = children_of(unseen.pop()) - found
        found |= children
        unseen |= children
    return found


def bound_ports() -> set[int]:
    """TCP ports of this host that somebody listens on."""
    found = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        with contextlib.suppress(OSError):
            for line in Path(table).read_text().splitlines()[1:]:
                _, local, _, state, *_ = line.split()
                if state == "0A":  # LISTEN
                    found.add(int(local.rsplit(":", 1)[1], 16))
    return found


def assert_gone(
    processes: Iterable[Identity],
    ports: Iterable[int] = (),
    folder: Path | None = None,
    within_s: float = 5.0,
) -> None:
    """All of the processes have ended and none of the ports is bound, at the latest in 5 s.

    ``folder``: where private folders are made; none is left in it.
    """
    processes, ports = set(processes), set(ports)

    def nothing_left() -> bool:
        private = [] if folder is None else list(folder.glob(f"{keeper.PREFIX}*"))
        return not living(processes) and not (ports & bound_ports()) and not private

    try:
        wait_until(nothing_left, within_s, "nothing is left")
    except AssertionError as late:
        names = {pid: _command(pid) for pid, _ in living(processes)}
        raise AssertionError(
            f"{late}; alive: {names}; bound: {sorted(ports & bound_ports())}; folders: "
            f"{[] if folder is None else list(folder.glob(f'{keeper.PREFIX}*'))}"
        ) from None


@contextlib.contextmanager
def no_leaks() -> Iterator[None]:
    """Within, as many children as one likes may be started; after it, none is left."""
    before = children_of(os.getpid())
    yield
    wait_until(
        lambda: children_of(os.getpid()) <= before, 5, "all children that were started are gone"
    )


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return "?"
