"""Leases: which stacks of a results folder are up, and who owns them.

``.leases/<id>.json`` (0600), written by the owner, replaced as children come and go, removed when
all of them are gone. Its fields are those of `Lease`; URLs are redacted. A lease whose owner is
dead is *stale*: its run will never be sealed by its owner, and what is left of its children may be
killed (`sweep`).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import secrets
import signal
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from perfkit import owner
from perfkit.errors import ResultsNotWritable
from perfkit.launcher import keeper

__all__ = ["Lease", "LeasedChild", "leases", "new_lease_id", "sweep"]

_VERSION = 2  # 2: pools, channel
_KILL_WAIT_S = 2.0


def new_lease_id() -> str:
    """Short, and new."""
    return secrets.token_hex(4)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeasedChild:
    """A child process: number and start (clock ticks since boot) are its identity."""

    name: str
    pid: int
    start: int
    role: str
    pool: str | None = None

    def alive(self) -> bool:
        """Whether this very process, or one of its session, still runs."""
        return bool(keeper.members(self.pid, self.start))


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One stack that is, or was, up."""

    id: str
    owner_pid: int
    owner_start: int | None
    directory: str
    run_dir: str | None
    created_ns: int = field(default_factory=time.time_ns)  # wall
    boot_id: str | None = field(default_factory=owner.boot_id)
    version: int = _VERSION
    state: str = "starting"  # then "up"
    urls: Mapping[str, str] = field(default_factory=dict)
    children: tuple[LeasedChild, ...] = ()
    folders: tuple[str, ...] = ()  # private ones, removed by a sweep
    pools: Mapping[str, int] = field(default_factory=dict)  # workers wanted
    channel: str | None = None  # where its owner can be talked to, see `channel`

    @property
    def stale(self) -> bool:
        """Whether its owner is dead."""
        return not owner.is_alive(
            {"pid": self.owner_pid, "started": self.owner_start, "boot": self.boot_id}
        )

    def write(self, folder: Path) -> None:
        """Put it into the folder in one step.

        Raises:
            ResultsNotWritable: read-only, full, or not a folder.
        """
        partial = folder / f".{self.id}.partial"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            partial.unlink(missing_ok=True)
            handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(dataclasses.asdict(self), file, indent=1)
            partial.replace(folder / f"{self.id}.json")
        except OSError as error:
            raise ResultsNotWritable(
                f"{folder} can't be written: {error.strerror}",
                "choose another folder with --results DIR or PERFKIT_RESULTS, or free some space",
            ) from None

    def remove(self, folder: Path) -> None:
        """The stack is gone, and so is its lease."""
        for name in (f"{self.id}.json", f".{self.id}.partial"):
            with contextlib.suppress(OSError):
                (folder / name).unlink(missing_ok=True)

    @classmethod
    def mine(cls, directory: Path, run_dir: Path | None) -> Lease:
        """A new one, owned by this process."""
        me = owner.this_process()
        return cls(
            id=new_lease_id(),
            owner_pid=me["pid"],
            owner_start=me["started"],
            boot_id=me["boot"],
            directory=str(directory.resolve()),
            run_dir=None if run_dir is None else str(run_dir.resolve()),
        )

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Lease:
        """As it was written.

        Raises:
            TypeError, KeyError: not a lease of this version.
        """
        children = tuple(LeasedChild(**child) for child in document["children"])
        return cls(**{**document, "children": children, "folders": tuple(document["folders"])})


def leases(folder: Path) -> list[Lease]:
    """All in the folder, oldest first. A file that is no lease is passed over."""
    found = []
    for path in folder.glob("*.json"):
        try:
            found.append(Lease.from_document(json.loads(path.read_bytes())))
        except (OSError, ValueError, TypeError, KeyError):
            continue
    return sorted(found, key=lambda lease: lease.created_ns)


def sweep(folder: Path) -> list[Lease]:
    """Clear what dead owners left: kill their children, remove their folders and leases.

    The keeper does so within seconds of a death; this is for when it was killed too.

    Returns: the leases that were stale.
    """
    stale = [lease for lease in leases(folder) if lease.stale]
    for lease in stale:
        if lease.boot_id == owner.boot_id():  # else its numbers mean nothing any more
            _kill(lease)
        for private in lease.folders:
            keeper.remove_tree(private)
        lease.remove(folder)
    return stale


def _kill(lease: Lease) -> None:
    deadline = time.monotonic() + _KILL_WAIT_S
    while True:
        left = [pid for child in lease.children for pid in keeper.members(child.pid, child.start)]
        left += [pid for folder in lease.folders for pid in keeper.in_folder(folder)]
        if not left or time.monotonic() > deadline:
            return
        for pid in left:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
