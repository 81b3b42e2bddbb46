"""A file of a spool is whole, or is not there."""

from __future__ import annotations

import errno
import mmap
import os
from pathlib import Path

import pytest
from dramatiq.middleware import Interrupt

from perfkit.recorder.segment import preallocated


def test_a_new_file_has_its_size_and_holds_zeros(tmp_path: Path) -> None:
    mapping = preallocated(tmp_path / "file", 8192)
    assert mapping[:] == bytes(8192)
    assert (tmp_path / "file").stat().st_blocks * 512 >= 8192


@pytest.mark.parametrize(
    "error", [OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), Interrupt("time limit exceeded")]
)
def test_what_was_interrupted_leaves_no_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fail(*_: int) -> None:
        raise error

    monkeypatch.setattr(os, "posix_fallocate", fail)
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(type(error)):
        preallocated(tmp_path / "file", 8192)
    assert list(tmp_path.iterdir()) == []
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_a_file_that_is_gone_already_does_not_hide_the_interrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: int) -> mmap.mmap:
        (tmp_path / "file").unlink()
        raise Interrupt("shutting down")

    monkeypatch.setattr(mmap, "mmap", interrupted)
    with pytest.raises(Interrupt):
        preallocated(tmp_path / "file", 8192)
