"""Stacks that stay up without us: ``perfkit stack up | status | down``.

The stack belongs to a process of its own (`serve`); what connects us with it is its lease.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from perfkit import errors
from perfkit.errors import PerfkitError, ResultsNotWritable, StackError, UsageError
from perfkit.launcher.lease import Lease, leases, sweep
from perfkit.launcher.spec import StackSpec

__all__ = ["stack_down", "stack_status", "stack_up"]

_GRACE_S = 20.0
_CLEARED_S = 5.0  # what the keeper may take after its owner was killed
_TICK_S = 0.05


def stack_up(spec: StackSpec) -> Lease:
    """Start a stack that outlives this process; returns its lease when all of it is ready.

    Raises:
        PerfkitError: what entering a `Stack` raises, as it is told by the serving process.
    """
    log = spec.logs / "serve.log"
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("ab")
    except OSError as error:
        raise ResultsNotWritable(
            f"{spec.directory} can't be written: {error.strerror}",
            "choose another folder with --results DIR or PERFKIT_RESULTS, or free some space",
        ) from None
    environment = spec.environment("", None)
    environment.pop("REDIS_URL")
    with output:
        server = subprocess.Popen(
            [sys.executable, "-m", "perfkit.launcher.serve"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=output,
            env=environment,
            start_new_session=True,
        )
    try:
        answer = _ask(server, json.dumps(spec.to_document()).encode())
    except BaseException:
        # Interrupted while it starts: a stack that nobody was told of must not stay.
        with contextlib.suppress(OSError):
            server.terminate()
        server.wait()
        raise
    if "up" in answer:
        # It may outlive us; while we live it must not become a zombie when it ends.
        threading.Thread(target=server.wait, name="perfkit-serve", daemon=True).start()
        return next(lease for lease in leases(spec.leases_folder) if lease.id == answer["up"])
    server.wait()
    kind = getattr(errors, answer.get("error", ""), None)
    if isinstance(kind, type) and issubclass(kind, PerfkitError):
        raise kind(answer["what"], answer["mend"])
    raise StackError("the stack did not come up", f"see {log}")


def stack_status(folder: Path) -> list[Lease]:
    """Leases of the stacks that are up, oldest first; what dead owners left is cleared first."""
    sweep(folder)
    return leases(folder)


def stack_down(folder: Path, lease_id: str | None = None) -> list[Lease]:
    """Stop the stacks (or the one) that ``leases`` lists; returns those that were up.

    Returns when nothing of them runs any more.

    Raises:
        UsageError: no stack has this id.
    """
    up = [lease for lease in stack_status(folder) if lease_id in (None, lease.id)]
    if lease_id is not None and not up:
        known = ", ".join(lease.id for lease in leases(folder)) or "none"
        raise UsageError(f"there is no stack {lease_id!r}", f"up are: {known}")
    for lease in up:
        _signal(lease, signal.SIGTERM)
    for lease in up:
        if not _gone(lease, folder, _GRACE_S):
            _signal(lease, signal.SIGKILL)
            _gone(lease, folder, _CLEARED_S)
    sweep(folder)
    return up


def _signal(lease: Lease, number: signal.Signals) -> None:
    if not lease.stale:
        with contextlib.suppress(OSError):
            os.kill(lease.owner_pid, number)


def _gone(lease: Lease, folder: Path, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while not lease.stale or any(child.alive() for child in lease.children):
        if time.monotonic() > deadline:
            return False
        time.sleep(_TICK_S)
    return True


def _ask(server: subprocess.Popen[bytes], request: bytes) -> dict[str, str]:
    """Send the request and read the one line of the answer; empty if there is none."""
    assert server.stdin is not None
    assert server.stdout is not None
    with server.stdout:
        with contextlib.suppress(BrokenPipeError), server.stdin:
            server.stdin.write(request)
        try:
            answer = json.loads(server.stdout.readline())
        except ValueError:
            return {}
    return answer if isinstance(answer, dict) else {}
