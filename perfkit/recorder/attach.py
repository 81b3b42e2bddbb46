"""A producer, recorded: ``python -m perfkit.recorder.attach --broker M:N ... -- MODULE ARG...``.

Imports the broker, adds the recorder to it and then runs MODULE as ``python -m MODULE`` would: its
arguments, signals, logging and exit code are its own. An application with a broker for each queue
names them with ``--brokers``: all write into one spool. A server that forks its workers is recorded
in each of them; one that spawns them is not, so let it serve from one process.
"""

from __future__ import annotations

import argparse
import atexit
import importlib.util
import os
import runpy
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from perfkit.recorder import lifeline
from perfkit.recorder.budget import parse_budget
from perfkit.recorder.loading import (
    BrokerNotLoaded,
    bind_broker,
    load_broker,
    load_brokers,
    print_refusal,
    redis_urls,
)
from perfkit.recorder.middleware import install

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the module; returns only for a usage error (2) or when the module ends by itself (0)."""
    given = list(sys.argv[1:] if argv is None else argv)
    parser = _parser()
    split = given.index("--") if "--" in given else len(given)
    options = parser.parse_args(given[:split])
    command = given[split + 1 :]
    if not command:
        parser.error("say what to run after --, such as: -- uvicorn app:api")
    if options.lifeline_fd is not None:
        lifeline.watch(options.lifeline_fd, lambda: os.kill(os.getpid(), signal.SIGTERM))
    try:
        broker = load_broker(options.broker, options.path)
        bind_broker(broker, os.environ.get("REDIS_URL"))
        others = load_brokers(options.brokers) if options.brokers else {}
        urls = redis_urls(os.environ.get("REDIS_URLS"))
        for queue, other in others.items():
            bind_broker(other, urls.get(queue))
        if not _exists(command[0]):
            raise BrokerNotLoaded(f"there is no module {command[0]!r} to run")
    except BrokerNotLoaded as error:
        return print_refusal("perfkit.recorder.attach", error)
    recorder = install(
        broker,
        options.spool,
        name=options.name,
        role="producer",
        others=others.values(),
        budget=options.budget,
    )
    atexit.register(recorder.close)
    sys.argv = command
    runpy.run_module(command[0], run_name="__main__", alter_sys=True)
    return 0


def _exists(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _budget(text: str) -> int:
    try:
        return parse_budget(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m perfkit.recorder.attach", usage="%(prog)s OPTIONS -- MODULE [ARG ...]"
    )
    add = parser.add_argument
    add("--broker", required=True, metavar="MODULE:NAME")
    add("--brokers", metavar="MODULE:NAME", help="a mapping queue -> broker, recorded as well")
    add("--name", default="producer", help="name of this producer, part of its files' names")
    add("--spool", required=True, type=Path, metavar="DIR", help="where it records")
    add("--path", type=Path, metavar="DIR", help="put first on the module search path")
    add("--budget", type=_budget, metavar="SIZE", help="disk for all spools of DIR, such as 500MB")
    add("--lifeline-fd", type=int, metavar="N", help="stop when this pipe reaches its end")
    return parser


if __name__ == "__main__":
    sys.exit(main())
