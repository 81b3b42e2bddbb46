"""One generator in a process of its own.

    loaded --(go)--> ready --> load --> replies --> files --> exit 0
                        \\____ SIGINT, SIGTERM, parent gone: interrupted, <= 2 s for replies

On stdout, one JSON object a line: ``{"loaded": true}`` once all modules are there,
``{"ready": true, "connections": n}`` before the start of load, then every half second the counts
(`frame.Progress`), at last ``{"finished": true, "interrupted": ...}``. Whoever does not read
them loses lines, and never holds up the load.

With ``await_go`` the start of load is not the spec's: it is read from the lifeline after "loaded",
as one line with the instant in nanoseconds. How long a start takes is then nobody's guess.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import platform
import resource
import signal
import stat
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from time import monotonic_ns
from typing import Any, Final

from perfkit.errors import PerfkitError, UsageError
from perfkit.load.blotted import Blotted
from perfkit.load.frame import Frame
from perfkit.load.generator import Generator
from perfkit.load.journey import JourneyGenerator, prepare_journey
from perfkit.load.ledger import Ledger
from perfkit.load.loops import event_loop
from perfkit.load.rows import finish, new_ledger, read_ledger
from perfkit.load.spec import LoadSpec
from perfkit.load.template import secrets_of

__all__ = ["run_process"]

Say = Callable[[dict[str, Any]], None]

_TICK_S: Final = 0.5
_ORPHAN_S: Final = 4.0  # nothing outlives perfkit by 5 s
_LAST_S: Final = 1.0  # what user code began may still take so long when all is written
_SPARE_FILES: Final = 64
_PORT_RANGE: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")


def run_process(spec: LoadSpec, lifeline_fd: int | None = None, *, await_go: bool = False) -> int:
    """Run the load, write its files, return the exit code.

    Raises:
        UsageError: more connections than there are local ports or than the hard limit of open
            files allows, or CPUs that this process may not use.
        PerfkitError: a part of the generator broke; what was measured is written all the same.
    """
    if await_go and lifeline_fd is None:
        raise UsageError("--await-go has nowhere to hear it", "give --lifeline-fd too")
    _check_ports(spec.connections)
    _raise_file_limit(spec.connections)
    if spec.cpus:
        try:
            os.sched_setaffinity(0, spec.cpus)
        except OSError as error:
            raise UsageError(f"CPUs {list(spec.cpus)}: {error}", "name CPUs of this host") from None
    loop_name, factory = event_loop()
    if spec.journey is not None and lifeline_fd is not None:
        lifeline_fd = _ours_alone(lifeline_fd)
    apart = spec.journey is not None
    with asyncio.Runner(loop_factory=factory) as runner, _voice(apart=apart) as say:
        runner.run(_run(spec, lifeline_fd, await_go, loop_name, say))
    return 0


async def _run(
    spec: LoadSpec, lifeline_fd: int | None, await_go: bool, loop_name: str, say: Say
) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    go: asyncio.Future[int] = loop.create_future()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    if lifeline_fd is not None:
        _watch_lifeline(lifeline_fd, loop, go if await_go else None, stopped)
    if spec.journey is not None:
        sys.stdout = sys.stderr = Blotted(sys.stderr, secrets_of(spec.journey))
        prepare_journey(spec.journey)  # before "loaded": an import may take its time
    say({"loaded": True})
    if await_go:
        ended = loop.create_task(stopped.wait())
        await asyncio.wait((go, ended), return_when=asyncio.FIRST_COMPLETED)
        ended.cancel()
        if not go.done():
            return  # nothing was measured
        spec = replace(spec, start_ns=go.result())
    ledger = new_ledger(spec)
    try:
        await _measure(spec, ledger, stopped, loop_name, say)
    finally:
        ledger.close()


async def _measure(
    spec: LoadSpec, ledger: Ledger, stopped: asyncio.Event, loop_name: str, say: Say
) -> None:
    loop = asyncio.get_running_loop()
    journey = JourneyGenerator(spec, ledger) if spec.journey is not None else None
    generator: Frame = journey or Generator(spec, ledger)
    broken: list[BaseException] = []

    def note_broken(_: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """A callback raised: what follows would be a lie, so end here, and say so."""
        error = context.get("exception")
        if isinstance(error, OSError) and "transport" in context:
            return  # a socket's own trouble: the connection reports it to its request
        if journey is not None and "future" in context and error is not None:
            journey.note_stray(error)  # a task of the user's; ours are all waited for
            return
        broken.append(error or RuntimeError(context["message"]))
        stopped.set()

    async def stop_when_told() -> None:
        await stopped.wait()
        generator.stop()

    loop.set_exception_handler(note_broken)
    say({"ready": True, "connections": await _prepared(generator, spec, stopped)})
    with _no_collector() if journey is None else _old_ones_left_alone():
        beside = [
            loop.create_task(each) for each in (stop_when_told(), _tick(generator, spec, say))
        ]
        cost = await generator.run()
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
    say(asdict(generator.progress()))
    more = {
        **asdict(cost),
        "loop": loop_name,
        "python": platform.python_version(),
        "interrupted": generator.interrupted,
        "counted": ledger.rows,
    }
    # The ledger is still open, and locked, so that `recover` waits for us; where it has lost its
    # patience, it has done this work, and perhaps given the folder another name.
    with suppress(FileNotFoundError):
        finish(Path(spec.output), read_ledger(Path(spec.output)), more)
    say({"finished": True, "interrupted": generator.interrupted})
    error = _broken(broken[0]) if broken else None
    if journey is not None:
        ledger.close()
        _end_soon(error, at_once=journey.is_stuck)
    if error is not None:
        raise error


def _broken(cause: BaseException) -> PerfkitError:
    if isinstance(cause, PerfkitError):
        return cause
    error = PerfkitError(f"the generator broke: {cause!r}", "report it")
    error.__cause__ = cause
    return error


def _end_soon(error: PerfkitError | None, *, at_once: bool) -> None:
    """End the process, whatever keeps it: everything is written.

    Tasks and threads that user code began may go on although they were told to end, and the
    interpreter would wait for them. ``at_once``: an iteration does, so it is no use to wait.
    """
    code = 0 if error is None else error.exit_code

    def end() -> None:
        if not at_once:
            threading.Event().wait(_LAST_S)
        if error is not None:
            print(error, file=sys.stderr, flush=True)
        os._exit(code)

    if at_once:
        end()
    threading.Thread(target=end, name="end", daemon=True).start()


async def _prepared(generator: Frame, spec: LoadSpec, stopped: asyncio.Event) -> int:
    """Connections that are open; neither the start of load nor a stop waits for them."""
    opening = asyncio.ensure_future(generator.prepare())
    ended = asyncio.ensure_future(stopped.wait())
    left_s = max((spec.start_ns - monotonic_ns()) / 1e9, 0.001)
    await asyncio.wait((opening, ended), timeout=left_s, return_when=asyncio.FIRST_COMPLETED)
    ended.cancel()
    if opening.done():
        return opening.result()
    opening.cancel()  # of the waiting only: the attempts go on, and serve whoever comes first
    return 0


async def _tick(generator: Frame, spec: LoadSpec, say: Callable[[dict[str, Any]], None]) -> None:
    await asyncio.sleep(max((spec.start_ns - monotonic_ns()) / 1e9, 0))
    while True:
        await asyncio.sleep(_TICK_S)
        say(asdict(generator.progress()))


def _check_ports(connections: int) -> None:
    """Each connection to one server takes a local port of its own."""
    try:
        low, high = map(int, _PORT_RANGE.read_text().split())
    except (OSError, ValueError):
        return  # not told: then an attempt to connect will tell
    if connections > (ports := high - low + 1):
        raise UsageError(
            f"{connections} connections are more than the {ports} local ports allow",
            "ask for fewer connections, or widen net.ipv4.ip_local_port_range",
        )


def _raise_file_limit(connections: int) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and connections + _SPARE_FILES > hard:
        raise UsageError(
            f"{connections} connections are more than the limit of {hard} open files allows",
            "ask for fewer connections, or raise the hard limit (ulimit -Hn)",
        )
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _watch_lifeline(
    fd: int,
    loop: asyncio.AbstractEventLoop,
    go: asyncio.Future[int] | None,
    stopped: asyncio.Event,
) -> None:
    """Hear "go"; stop when the parent is gone, whatever killed it, by force if that takes long."""

    def begin(start_ns: int) -> None:
        if go is not None and not go.done():
            go.set_result(start_ns)

    def watch() -> None:
        line = b""
        while data := os.read(fd, 64):
            if go is not None and not line.endswith(b"\n"):
                line += data
                if line.endswith(b"\n") and line.strip().isdigit():
                    loop.call_soon_threadsafe(begin, int(line))
        with suppress(RuntimeError):  # the loop has ended already
            loop.call_soon_threadsafe(stopped.set)
        threading.Event().wait(_ORPHAN_S)
        os._exit(1)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()


@contextmanager
def _no_collector() -> Iterator[None]:
    """No cyclic garbage collection while load runs.

    A pass over the older generations stops the loop for milliseconds, and that would be booked as
    latency of the system. Nothing here needs it: a request and its reply form no cycle, a
    connection breaks its own (tests/load/test_connection.py counts).
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


@contextmanager
def _old_ones_left_alone() -> Iterator[None]:
    """User code and httpx make cycles, so theirs are collected; what is there already is not."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _ours_alone(fd: int) -> int:
    """The file under a number that children of user code don't inherit: a reader would steal."""
    kept = os.dup(fd)
    with Path(os.devnull).open("rb") as nothing:
        os.dup2(nothing.fileno(), fd)
    return kept


@contextmanager
def _voice(*, apart: bool) -> Iterator[Say]:
    """Prints JSON lines; on a pipe that is full or has no reader, not at all.

    Args:
        apart: whatever else writes to standard output, such as a child of user code, writes to
            standard error instead.
    """
    standard = sys.stdout.fileno()
    fd = os.dup(standard)
    if apart:
        os.dup2(sys.stderr.fileno(), standard)
    was_blocking = os.get_blocking(fd)
    is_pipe = stat.S_ISFIFO(os.fstat(fd).st_mode)
    if is_pipe:
        os.set_blocking(fd, False)

    def say(line: dict[str, Any]) -> None:
        # Below PIPE_BUF a write is whole or refused, never half a line.
        with suppress(BlockingIOError, BrokenPipeError):
            os.write(fd, json.dumps(line).encode() + b"\n")

    try:
        yield say
    finally:
        if is_pipe:
            os.set_blocking(fd, was_blocking)
        if apart:
            os.dup2(fd, standard)
        os.close(fd)
