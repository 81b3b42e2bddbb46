"""By which number the process is known here that holds a file."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

import pytest

from perfkit.monitor.lock_holders import lock_holders

needs_list = pytest.mark.skipif(
    not Path("/proc/locks").exists(), reason="this system does not list its locks"
)


@needs_list
def test_the_holder_of_an_exclusive_lock_is_told_and_nobody_else(tmp_path: Path) -> None:
    held, shared, free = (tmp_path / name for name in ("held", "shared", "free"))
    for path in (held, shared, free):
        path.touch()
    with held.open() as one, shared.open() as other:
        fcntl.flock(one, fcntl.LOCK_EX)
        fcntl.flock(other, fcntl.LOCK_SH)
        assert lock_holders([held, shared, free, tmp_path / "none"]) == {held: os.getpid()}
    assert lock_holders([held]) == {}


@pytest.mark.parametrize(
    "number",
    [0, -1],  # as the kernel writes them that live in another namespace
)
def test_a_holder_that_can_not_be_seen_from_here_is_nobody(tmp_path: Path, number: int) -> None:
    path = tmp_path / "sidecar"
    path.touch()
    facts = path.stat()
    place = f"{os.major(facts.st_dev):02x}:{os.minor(facts.st_dev):02x}:{facts.st_ino}"
    listed = tmp_path / "locks"
    listed.write_text(f"1: FLOCK  ADVISORY  WRITE {number} {place} 0 EOF\n")
    assert lock_holders([path], listed) == {}
    listed.write_text(f"1: FLOCK  ADVISORY  WRITE 77 {place} 0 EOF\n")
    assert lock_holders([path], listed) == {path: 77}


def test_a_system_without_a_list_tells_nothing(tmp_path: Path) -> None:
    assert lock_holders([tmp_path], tmp_path / "none") == {}
