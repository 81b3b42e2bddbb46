"""Stacks that stay up without us: ``perfkit stack up | status | scale | down``.

The stack belongs to a process of its own (`serve`); what connects us with it is its lease. The log
of that process is locked as long as it lives, so a folder whose log can be locked has ended.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from perfkit.errors import ResultsNotWritable, StackError, UsageError
from perfkit.launcher.channel import refused
from perfkit.launcher.lease import Lease, leases, sweep
from perfkit.launcher.spec import StackSpec

__all__ = ["clear_ended", "stack_down", "stack_named", "stack_status", "stack_up"]

_GRACE_S = 20.0
_CLEARED_S = 5.0  # what the keeper may take after its owner was killed
_TICK_S = 0.05
_SURELY_BEGUN_S = 60.0


def stack_up(spec: StackSpec, *, disposable: bool = False) -> Lease:
    """Start a stack that outlives this process; returns its lease when all of it is ready.

    ``disposable``: its folder goes with it; only the logs of one that failed stay.

    Raises:
        PerfkitError: what entering a `Stack` raises, as it is told by the serving process.
    """
    log = _serve_log(spec.directory.absolute())
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        output = log.open("ab")
        with contextlib.suppress(OSError):  # there are file systems that can't
            fcntl.flock(output, fcntl.LOCK_EX)  # for the process that inherits it
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
        request = {"spec": spec.to_document(), "disposable": disposable}
        answer = _ask(server, json.dumps(request).encode())
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
    if "error" in answer:
        raise refused(answer)
    raise StackError("the stack did not come up", f"see {log}")


def stack_status(folder: Path) -> list[Lease]:
    """Leases of the stacks that are up, oldest first; what dead owners left is cleared first."""
    sweep(folder)
    return leases(folder)


def stack_named(folder: Path, name: str | None) -> Lease:
    """A stack that is up, by its id or by the id of the run it belongs to; None: the only one.

    Raises:
        UsageError: there is none of that name, or not exactly one.
    """
    up = stack_status(folder)
    known = ", ".join(
        lease.id if lease.run_dir is None else f"{lease.id} (of run {Path(lease.run_dir).name})"
        for lease in up
    )
    if name is None:
        if len(up) == 1:
            return up[0]
        if not up:
            raise UsageError("no stack is up", "start one: perfkit stack up")
        raise UsageError(f"{len(up)} stacks are up", f"name one: {known}")
    for lease in up:
        if name == lease.id or (lease.run_dir and name == Path(lease.run_dir).name):
            return lease
    raise UsageError(f"there is no stack {name!r}", f"up are: {known or 'none'}")


def clear_ended(stacks: Path, *, logs: bool) -> None:
    """Remove what is left of disposable stacks that have ended; with ``logs`` all of it."""
    for folder in stacks.glob("*"):
        if folder.is_dir() and _has_ended(folder):
            shutil.rmtree(folder / "spool", ignore_errors=True)
            if logs:
                shutil.rmtree(folder, ignore_errors=True)


def _has_ended(folder: Path) -> bool:
    try:
        with _serve_log(folder).open("rb") as log:
            fcntl.flock(log, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:  # just being made, or half removed
        with contextlib.suppress(OSError):
            return time.time() - folder.stat().st_mtime > _SURELY_BEGUN_S
        return False
    except OSError:
        return False
    return True


def _serve_log(directory: Path) -> Path:
    return directory / "logs" / "serve.log"


def stack_down(folder: Path, lease_id: str | None = None) -> list[Lease]:
    """Stop the stacks (or the one) that ``leases`` lists; returns those that were up.

    Returns when nothing of them runs any more.

    Raises:
        UsageError: no stack has this id.
    """
    up = stack_status(folder) if lease_id is None else [stack_named(folder, lease_id)]
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
