"""The process that outlives a killed perfkit just long enough to kill the rest.

    python -m perfkit.launcher.keeper OWNER_PID [GRACE_S]     (commands on stdin, one a line)

    watch PID START     a session leader that must not outlive the owner; START tells it from a
                        later process with the same number
    forget PID          it has ended and was reaped
    folder PATH         a private temporary folder: to be removed, with whoever works inside it
    unfolder PATH       it has been removed

It wakes when stdin ends or the owner does. (Both, because a forked child of the owner keeps the
pipe open.) Then: TERM to all that is watched, patience for GRACE_S (two seconds), KILL to every
process of their sessions, remove the folders, exit. It has a session of its own and ignores TERM
and INT, so what ends perfkit politely does not end it first.

Whoever kills this one: the launcher starts another. Without both, workers and ingest end by their
lifelines; a Redis server and a gateway stay until the next stack is started on this results
folder, or ``perfkit repair`` runs: both clear what stale leases name (`lease`).

Only a few modules of the standard library are imported: this must start at once and cost nothing.
The facts about processes it needs are read here and used by the rest of the package too.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time
from collections.abc import Iterator

__all__ = ["PREFIX", "in_folder", "main", "members", "remove_tree", "start_ticks"]

PREFIX = "perfkit-"
"""Private folders of stacks are named so; no other folder is removed, whoever names it."""

_GRACE_S = 2.0
_TICK_S = 0.02


def _stat(pid: int) -> list[str] | None:
    try:
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:  # noqa: PTH123
            text = file.read()
    except OSError:
        return None
    # The command is in parentheses and may hold any character, a ")" too: state is field 0 here.
    return text[text.rindex(")") + 2 :].split()


def start_ticks(pid: int) -> int | None:
    """When a living process was started, in clock ticks since boot; None for dead and zombie.

    Pid and start together name a process for as long as the machine is up.
    """
    stat = _stat(pid)
    return None if stat is None or stat[0] in "ZX" else int(stat[19])


def _processes() -> Iterator[int]:
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            yield int(name)


def members(session: int, start: int) -> list[int]:
    """Living processes of a session whose leader was started at ``start``; the leader first.

    The kernel gives a number to nobody else while a session of that number has members.
    """
    found = []
    for pid in _processes():
        stat = _stat(pid)
        if stat is None or stat[0] in "ZX" or int(stat[3]) != session:
            continue
        if pid == session and int(stat[19]) != start:
            return []  # the number belongs to somebody else by now
        if int(stat[19]) >= start:
            found.append(pid)
    return sorted(found, key=lambda pid: pid != session)


def in_folder(folder: str) -> list[int]:
    """Living processes whose working directory is the folder or inside it.

    A server is started with its private folder as working directory, so this finds one whose
    launcher was killed before it could tell its pid. One with a terminal is somebody looking.
    """
    found = []
    for pid in _processes():
        stat = _stat(pid)
        if stat is None or stat[0] in "ZX" or stat[4] != "0":
            continue
        try:
            place = os.readlink(f"/proc/{pid}/cwd")  # noqa: PTH115
        except OSError:
            continue
        if place == folder or place.startswith(f"{folder}/"):
            found.append(pid)
    return found


def remove_tree(folder: str) -> None:
    """Remove a private folder; what can't be removed stays. Other folders are not touched."""
    if not os.path.basename(folder).startswith(PREFIX):  # noqa: PTH119
        return
    for place, folders, files in os.walk(folder, topdown=False):
        for name in files:
            _quietly(os.unlink, os.path.join(place, name))  # noqa: PTH118
        for name in folders:
            path = os.path.join(place, name)  # noqa: PTH118
            _quietly(os.unlink if os.path.islink(path) else os.rmdir, path)  # noqa: PTH114
    _quietly(os.rmdir, folder)


def _quietly(act: object, *arguments: object) -> None:
    try:
        act(*arguments)  # type: ignore[operator]
    except OSError:
        return


class _Charge:
    """What is being kept."""

    def __init__(self) -> None:
        self.leaders: dict[int, int] = {}
        self.folders: list[str] = []

    def obey(self, line: str) -> None:
        verb, _, rest = line.partition(" ")
        if verb == "watch":
            pid, start = rest.split()
            self.leaders[int(pid)] = int(start)
        elif verb == "forget":
            self.leaders.pop(int(rest), None)
        elif verb == "folder":
            self.folders.append(rest)
        elif verb == "unfolder" and rest in self.folders:
            self.folders.remove(rest)

    def _left(self) -> list[int]:
        left = [pid for leader, start in self.leaders.items() for pid in members(leader, start)]
        return left + [pid for folder in self.folders for pid in in_folder(folder)]

    def clear(self, grace_s: float) -> None:
        for pid, start in self.leaders.items():
            if start_ticks(pid) == start:
                # To the leader only: a supervisor passes it on, and its children would take
                # a second TERM for "at once".
                _quietly(os.kill, pid, signal.SIGTERM)
        deadline = time.monotonic() + grace_s
        while self._left() and time.monotonic() < deadline:
            time.sleep(_TICK_S)
        # Again and again, because a process may fork between the look and the kill.
        deadline = time.monotonic() + 1.0
        while (left := self._left()) and time.monotonic() < deadline:
            for pid in left:
                _quietly(os.kill, pid, signal.SIGKILL)
            time.sleep(_TICK_S)
        for folder in self.folders:
            remove_tree(folder)


def _wait_for_the_end(owner: int, charge: _Charge) -> None:
    """Obey commands until the pipe or the owner ends."""
    os.set_blocking(0, False)
    poll = select.poll()
    poll.register(0, select.POLLIN | select.POLLHUP)
    patience_ms: int | None = None
    try:
        poll.register(os.pidfd_open(owner), select.POLLIN)
    except OSError:  # an old kernel, or it is gone already
        patience_ms = 250
    rest = b""
    while True:
        ready = poll.poll(patience_ms)
        # A pidfd is readable when its process has ended. Without one, being adopted says so.
        orphaned = any(fd != 0 for fd, _ in ready) or os.getppid() != owner
        try:
            while block := os.read(0, 65536):
                *lines, rest = (rest + block).split(b"\n")
                for line in lines:
                    charge.obey(os.fsdecode(line))
            return
        except BlockingIOError:
            if orphaned:
                return


def main() -> int:
    """Keep until the owner is gone."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.chdir("/")
    charge = _Charge()
    _wait_for_the_end(int(sys.argv[1]), charge)
    charge.clear(float(sys.argv[2]) if len(sys.argv) > 2 else _GRACE_S)
    return 0


if __name__ == "__main__":
    sys.exit(main())
