"""Recording an application that is already in use, without touching its code: one word more.

    PERFKIT_SPOOL=/var/tmp/shop PERFKIT_SPOOL_BUDGET=500MB dramatiq shop.tasks perfkit.recorder.on

The stock command imports this module in each of its workers after the application, and everything
that happens to a job there is recorded in the folder PERFKIT_SPOOL. What sends jobs is recorded by

    python -m perfkit.recorder.attach --broker shop.tasks:broker --spool /var/tmp/shop \\
        --budget 500MB -- uvicorn shop.web:app

or by ``import perfkit.recorder.on`` behind the application's own imports. Processes may come and go
and share the folder. What it holds, and how many events were dropped for want of disk::

    python -m perfkit.recorder.reader /var/tmp/shop

Settings, all from the environment:

PERFKIT_SPOOL           the folder; made if missing
PERFKIT_SPOOL_BUDGET    disk that everything in it may take, 1GB if unset, the least is 1MB. The
                        oldest files go first, and what they held is counted. It is shared by up to
                        30 processes at once; a further one that finds no room records nothing, and
                        counts what it did not record
PERFKIT_NAME            name of these processes, ``worker`` or ``producer`` if unset; the pid is
                        appended
PERFKIT_BROKER          module:name, where the application's broker is neither what the command line
                        names nor dramatiq's global one
"""

from __future__ import annotations

import atexit
import functools
import logging
import os
import sys
from pathlib import Path
from typing import Any, Final

import dramatiq
from dramatiq import Broker, Middleware, Worker

from perfkit.recorder.budget import parse_budget
from perfkit.recorder.loading import BrokerNotLoaded, load_broker
from perfkit.recorder.middleware import Recorder, install

__all__ = ["recorder"]

_LOG: Final = logging.getLogger("perfkit.recorder")
_DEFAULT_BUDGET: Final = "1GB"


class _Closer(Middleware):
    """Closes the spool of a worker of the stock command, whose processes run no exit handlers."""

    def after_worker_shutdown(self, broker: Broker, worker: Worker) -> None:
        recorder.close()


def _broker(by_command: bool) -> Broker:
    """The broker named, or that of the command line, or the global one."""
    if spec := os.environ.get("PERFKIT_BROKER"):
        return load_broker(spec)
    if by_command:
        from dramatiq.cli import make_argument_parser

        parser: Any = make_argument_parser()  # type: ignore[no-untyped-call]
        module, _, name = parser.parse_known_args()[0].broker.partition(":")
        if name:
            found = functools.reduce(getattr, name.split("."), sys.modules[module])
            if isinstance(found, Broker):
                return found
    # Not get_broker(), which makes one where there is none.
    if (broker := dramatiq.broker.global_broker) is None:
        raise BrokerNotLoaded(
            "the application has set no broker by now; import it before perfkit.recorder.on,"
            " or name its broker: PERFKIT_BROKER=module:name"
        )
    return broker


def _install() -> Recorder:
    folder = os.environ.get("PERFKIT_SPOOL", "")
    if not folder:
        raise BrokerNotLoaded("PERFKIT_SPOOL is not set; perfkit.recorder.on needs a folder")
    allowed = os.environ.get("PERFKIT_SPOOL_BUDGET") or _DEFAULT_BUDGET
    try:
        budget = parse_budget(allowed)
    except ValueError as error:
        raise BrokerNotLoaded(f"PERFKIT_SPOOL_BUDGET: {error}") from None
    by_command = "dramatiq.cli" in sys.modules
    role = "worker" if by_command else "producer"
    name = f"{os.environ.get('PERFKIT_NAME') or role}-{os.getpid()}"
    broker = _broker(by_command)
    if by_command:
        broker.add_middleware(_Closer())  # before the recorder, which must be the last
    try:
        found = install(broker, Path(folder), name=name, role=role, budget=budget)
    except ValueError as error:
        raise BrokerNotLoaded(f"perfkit.recorder.on: {error}") from None
    except OSError as error:
        raise BrokerNotLoaded(f"PERFKIT_SPOOL: {error}") from None
    atexit.register(found.close)
    _LOG.info("Recording into %s, at most %s.", folder, allowed)
    return found


recorder: Final = _install()
"""The recorder of this process."""
