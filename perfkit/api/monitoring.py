"""Watching: a monitor in the foreground, one snapshot, and the page beside a run."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from perfkit import owner
from perfkit.errors import UsageError

__all__ = ["DEFAULT_PORT", "beside_run", "monitor", "one_snapshot"]

DEFAULT_PORT: Final = 8090

_FIRST_S: Final = 30.0
_LOOKS: Final = 3  # so that rates are known
_NICE: Final = 10


def monitor(
    named: Mapping[str, Any],
    *,
    host: str,
    port: int,
    allowed_hosts: Sequence[str] = (),
    say: Callable[[str], None],
    opened: Callable[[str], None] = lambda _: None,
    while_stdin: bool = False,
) -> None:
    """Serve until Ctrl-C or SIGTERM; ``named`` as `perfkit.monitor.attach`.

    ``opened`` is called with the address once it answers; with ``while_stdin`` it ends when stdin
    closes, or when what is watched is over.

    Raises:
        UsageError, PortInUse: something named can't be used.
    """
    from perfkit.monitor.live import LiveFeed
    from perfkit.monitor.opening import attach
    from perfkit.monitor.serving import TOKEN_VARIABLE, serve

    if while_stdin:
        _give_way()
    feed = attach(**_resolved(named))
    over = threading.Event()
    with _stopped_by_signals(over), contextlib.ExitStack() as stack:
        served = stack.enter_context(
            serve(
                feed,
                host=host,
                port=port,
                allowed_hosts=allowed_hosts,
                told=lambda link: say(f"for another browser: {link}"),
            )
        )
        if isinstance(feed, LiveFeed):
            stack.enter_context(feed)
        if served.made_token is not None:
            say(f"token: {served.made_token} (shown once; set {TOKEN_VARIABLE} to choose it)")
        say(f"open {served.link}")
        opened(served.link)
        if while_stdin:
            _end_with_stdin(over)
        while not over.wait(1.0):
            if while_stdin and isinstance(feed, LiveFeed) and feed.ended:
                return


def one_snapshot(named: Mapping[str, Any]) -> dict[str, Any]:
    """The document of one snapshot, after a few looks; of a sealed run its last moment."""
    from perfkit.monitor.opening import attach
    from perfkit.monitor.replay import ReplayFeed

    feed = attach(**_resolved(named))
    if isinstance(feed, ReplayFeed):
        return feed.snapshot.document()
    news = threading.Semaphore(0)
    feed.listen(news.release)
    with feed:
        for _ in range(_LOOKS):
            if not news.acquire(timeout=_FIRST_S):
                break
            if feed.ended:
                break
        snapshot = feed.snapshot
    if snapshot is None:
        raise UsageError("there was nothing to see in time", "try again")
    return snapshot.document()


@contextlib.contextmanager
def beside_run(
    *,
    redis: str | None,
    results: str | None,
    opened: Callable[[str], None],
    failed: Callable[[], None] = lambda: None,
) -> Iterator[None]:
    """The page of the run that this process is about to measure; ends with the block.

    A process of its own, in a session of its own and of low priority: it is no part of what is
    measured, and Ctrl-C is for the run.

    ``opened`` is called with the page's address, in another thread, once it answers; ``failed``
    where the page ends before that: the run goes on without.
    """
    command = [sys.executable, "-m", "perfkit", "monitor", "--port", "0", "--while-stdin"]
    command += ["--owner", json.dumps(owner.this_process())]
    command += [] if results is None else ["--results", results]
    environment = dict(os.environ)
    if redis is not None:  # not in the list of processes: it may hold a password
        environment["REDIS_URL"] = redis
        command.append("--redis-from-env")
    child = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        text=True,
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    lines = child.stdout

    over = threading.Event()

    def listen() -> None:
        is_open = False
        for line in lines:
            if line.startswith("open "):
                is_open = True
                opened(line.removeprefix("open ").strip())
        if not is_open and not over.is_set():
            failed()

    reader = threading.Thread(target=listen, name="perfkit-live", daemon=True)
    reader.start()
    try:
        yield
    finally:
        over.set()
        with contextlib.suppress(OSError):
            child.stdin.close()
        try:
            child.wait(5.0)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
        reader.join(5.0)
        lines.close()


def _give_way() -> None:
    """Run behind what is measured, also where each session is scheduled as a group of its own."""
    os.nice(_NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/autogroup").write_text(str(_NICE))


def _resolved(named: Mapping[str, Any]) -> dict[str, Any]:
    """With a run's folder for its name."""
    found = dict(named)
    if found.get("run") is not None:
        from perfkit.paths import is_folder, results_root
        from perfkit.store import list_runs

        given = str(found["run"])
        if not is_folder(given):
            entries = list_runs(results_root(found.get("results")))
            matching = [
                each for each in entries if given in (each.run_id, f"{each.name}/{each.run_id}")
            ]
            if not matching:
                raise UsageError(f"there is no run {given!r}", "`perfkit list` shows them")
            given = str(matching[0].path)
        found["run"] = Path(given)
    return found


@contextlib.contextmanager
def _stopped_by_signals(over: threading.Event) -> Iterator[None]:
    """Ctrl-C and SIGTERM end it in order; a second Ctrl-C at once."""
    before = {}

    def stop(number: int, frame: object) -> None:
        if over.is_set():
            raise KeyboardInterrupt
        over.set()

    numbers = [signal.SIGINT, signal.SIGTERM]
    hangup = getattr(signal, "SIGHUP", None)  # not on every system on which a run is shown again
    if hangup is not None and signal.getsignal(hangup) is not signal.SIG_IGN:  # as nohup has it
        numbers.append(hangup)
    if threading.current_thread() is threading.main_thread():
        for number in numbers:
            before[number] = signal.signal(number, stop)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _end_with_stdin(over: threading.Event) -> None:
    def watch() -> None:
        while os.read(sys.stdin.fileno(), 4096):
            pass
        over.set()

    threading.Thread(target=watch, name="stdin-watch", daemon=True).start()
