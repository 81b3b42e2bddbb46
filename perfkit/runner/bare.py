"""The bare server as a child of ours, for as long as something is calibrated against it."""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from perfkit.errors import ChildDied, NotReady
from perfkit.launcher.interrupts import deferred

__all__ = ["serving"]

_READY_S: Final = 15.0
_END_S: Final = 5.0


@contextlib.contextmanager
def serving(module: str = "perfkit.load.bare", arguments: Sequence[str] = ()) -> Iterator[str]:
    """Start it; yields its base URL. It ends with the block, or with us, whatever kills us.

    Raises:
        ChildDied: it ended before it had a port.
        NotReady: it had none in 15 s.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", module, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # a Ctrl-C is ours to hear
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        yield f"http://127.0.0.1:{_port(process)}"
    finally:
        with deferred():
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    process.stdin.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_S)
    if process.poll() is None:
        process.kill()
        process.wait()
    process.stdout.close()


def _port(process: subprocess.Popen[bytes]) -> int:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], _READY_S)
    if not ready:
        raise NotReady(f"the bare server was not ready after {_READY_S:g} s")
    line = process.stdout.readline()
    if not line.strip().isdigit():
        raise ChildDied(f"the bare server ended with {process.wait(_END_S)} before it had a port")
    return int(line)
