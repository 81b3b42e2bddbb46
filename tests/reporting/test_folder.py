"""Temporary folders of reports: private, and gone even when their owner was killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from perfkit.launcher import keeper
from perfkit.reporting.folder import PREFIX, private_folder

HOLD = (
    "import sys; from perfkit.reporting.folder import private_folder\n"
    "with private_folder() as folder:\n"
    "    (folder / 'file').write_text('x')\n"
    "    print(folder, flush=True)\n"
    "    sys.stdin.read()"
)


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


def test_a_folder_is_private_and_gone_at_the_end(place: Path) -> None:
    with private_folder() as folder:
        assert folder.parent == place
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").write_text("x")
    assert not folder.exists()


def test_the_keeper_does_not_take_it_for_a_folder_of_the_launcher() -> None:
    assert not PREFIX.startswith(keeper.PREFIX)


def test_what_a_killed_process_left_goes_with_the_next_and_what_is_in_use_stays(
    place: Path,
) -> None:
    held = [
        subprocess.Popen(
            [sys.executable, "-c", HOLD],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(2)
    ]
    try:
        left, used = (Path(next(iter(each.stdout or ())).strip()) for each in held)
        os.kill(held[0].pid, signal.SIGKILL)
        held[0].wait()
        assert (left / "file").is_file()
        other = place / f"{PREFIX}without-owner"
        other.mkdir()
        with private_folder():
            assert not left.exists()
            assert (used / "file").is_file()
            assert other.is_dir()
    finally:
        for each in held:
            each.communicate("")
    assert not used.exists()
