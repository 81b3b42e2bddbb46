"""The lifeline: nothing happens while the other end lives, everything once it is gone."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.recorder.lifeline import watch

ROOT = Path(__file__).resolve().parents[2]

HELD = """
import sys, threading
from perfkit.recorder.lifeline import watch
asked = threading.Event()
def stop():
    print("asked", flush=True)
    if sys.argv[2] == "stubborn":
        threading.Event().wait()
    asked.set()
watch(int(sys.argv[1]), stop, grace_s=0.2)
print("up", flush=True)
asked.wait()
"""


@pytest.mark.parametrize(("manner", "code"), [("obedient", 0), ("stubborn", 1)])
def test_the_end_of_the_pipe_asks_first_and_then_forces(manner: str, code: int) -> None:
    theirs, ours = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-c", HELD, str(theirs), manner],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        pass_fds=(theirs,),
    )
    os.close(theirs)
    assert process.stdout is not None
    with process.stdout as out:
        assert out.readline() == "up\n"
        os.write(ours, b"still here")
        assert process.poll() is None
        os.close(ours)
        assert out.read() == "asked\n"
    assert process.wait(5) == code


def test_a_handle_that_is_not_open_is_refused() -> None:
    theirs, ours = os.pipe()
    os.close(ours)
    os.close(theirs)
    with pytest.raises(OSError, match="Bad file descriptor"):
        watch(theirs, lambda: None)
