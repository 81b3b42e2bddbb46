"""One dramatiq `Worker` in one process, recorded: ``python -m perfkit.recorder.worker``.

dramatiq's own command kills all its workers when one dies; an instrument that breaks workers on
purpose needs them independent, so it starts one of these for each.

Exit codes: 0 stopped as asked (SIGTERM, SIGINT, or the end of the lifeline), 1 not stopped in
order, 2 the application can't be used.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, Final

from perfkit.recorder import lifeline

if TYPE_CHECKING:
    from dramatiq import Broker

    from perfkit.recorder.middleware import Recorder

__all__ = ["main"]

_LOG: Final = logging.getLogger("perfkit.recorder.worker")
_LOG_FORMAT: Final = "[%(asctime)s] [%(threadName)s] [%(name)s] [%(levelname)s] %(message)s"


def main(argv: Sequence[str] | None = None) -> int:
    """Run a worker until it is told to stop; returns the exit code."""
    options = _parser().parse_args(argv)
    _set_environment(options)
    # A SimpleQueue may be put to from a signal handler; an Event may deadlock there.
    stops: SimpleQueue[str] = SimpleQueue()
    _watch_signals(stops)
    if options.lifeline_fd is not None:
        lifeline.watch(options.lifeline_fd, lambda: stops.put("the end of the lifeline"))
    logging.basicConfig(level=logging.INFO, format=_LOG_FORMAT)

    # Not before the environment is set: dramatiq reads it when it is imported.
    from perfkit.recorder.loading import BrokerNotLoaded, bind_broker, load_broker, print_refusal

    try:
        broker = load_broker(options.broker, options.path)
        rebound = bind_broker(broker, os.environ.get("REDIS_URL"))
        queues = _chosen_queues(broker, options.queues)
    except BrokerNotLoaded as error:
        return print_refusal("perfkit.recorder.worker", error)
    _set_recovery(broker, options)
    return _run(broker, queues, options, stops, rebound)


def _run(
    broker: Broker,
    queues: set[str],
    options: argparse.Namespace,
    stops: SimpleQueue[str],
    rebound: bool,
) -> int:
    from dramatiq import Worker

    from perfkit.recorder.middleware import install
    from perfkit.recorder.readiness import announce, is_polling, ready_path

    ready = ready_path(options.spool, options.name)
    ready.parent.mkdir(parents=True, exist_ok=True)
    ready.unlink(missing_ok=True)
    recorder: Recorder | None = None
    if options.recorder:
        recorder = install(broker, options.spool, name=options.name, role="worker")
    # The stock command line does this, and TimeLimit needs it.
    broker.emit_after("process_boot")
    keywords: dict[str, Any] = {"queues": queues, "worker_threads": options.threads}
    if options.worker_timeout_ms is not None:
        keywords["worker_timeout"] = options.worker_timeout_ms
    worker = Worker(broker, **keywords)
    worker.start()

    reason = ""
    while not reason and not is_polling(worker):
        reason = _next_stop(stops, 0.01)
    if not reason:
        announce(ready, worker, name=options.name, rebound=rebound)
        _LOG.info("%s is ready on %s.", options.name, ", ".join(sorted(queues)))
        # Not for ever at once: a signal that came while the process was stopped may be handed to
        # another thread, and is acted upon only when this one wakes up.
        while not reason:
            reason = _next_stop(stops, 1.0)
    _LOG.info("%s stops because of %s.", options.name, reason)
    try:
        worker.stop(timeout=options.shutdown_timeout_ms)
        broker.close()
    except Exception:  # noqa: BLE001
        # What is requeued while Redis is gone raises; the jobs are then redelivered by timeout.
        _LOG.exception("%s could not give back its jobs.", options.name)
        return 1
    finally:
        if recorder is not None:
            recorder.close()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m perfkit.recorder.worker")
    add = parser.add_argument
    add("--broker", required=True, metavar="MODULE:NAME")
    add("--name", required=True, help="name of this worker, part of its files' names")
    add("--spool", required=True, type=Path, metavar="DIR", help="where it records")
    add("--path", type=Path, metavar="DIR", help="put first on the module search path")
    add("--queues", metavar="A,B", help="only these queues (default: all that are declared)")
    add("--threads", type=int, default=8, metavar="N")
    add("--prefetch", type=int, metavar="N", help="messages per queue; dramatiq's: 2 x threads")
    add("--worker-timeout-ms", type=int, metavar="N", help="longest pause between two polls")
    add("--heartbeat-timeout-ms", type=int, metavar="N", help="when silent workers count as dead")
    add("--maintenance-chance", type=int, metavar="N", help="per million commands")
    add("--shutdown-timeout-ms", type=int, default=10_000, metavar="N")
    add("--lifeline-fd", type=int, metavar="N", help="stop when this pipe reaches its end")
    add("--no-recorder", dest="recorder", action="store_false", help="record nothing")
    return parser


def _set_environment(options: argparse.Namespace) -> None:
    if options.prefetch is not None:
        os.environ["dramatiq_queue_prefetch"] = str(options.prefetch)  # noqa: SIM112
    if options.worker_timeout_ms is not None:
        os.environ["dramatiq_worker_timeout"] = str(options.worker_timeout_ms)  # noqa: SIM112


def _set_recovery(broker: Any, options: argparse.Namespace) -> None:
    if options.heartbeat_timeout_ms is not None:
        broker.heartbeat_timeout = options.heartbeat_timeout_ms
    if options.maintenance_chance is not None:
        broker.maintenance_chance = options.maintenance_chance


def _chosen_queues(broker: Broker, chosen: str | None) -> set[str]:
    from perfkit.recorder.loading import BrokerNotLoaded

    declared = broker.get_declared_queues()
    if not declared:
        raise BrokerNotLoaded("the broker declares no queue: its actors were not imported")
    wanted = {name for name in (chosen or "").split(",") if name} or declared
    if unknown := wanted - declared:
        raise BrokerNotLoaded(
            f"no such queue: {', '.join(sorted(unknown))}; declared: {', '.join(sorted(declared))}"
        )
    return set(wanted)


def _watch_signals(stops: SimpleQueue[str]) -> None:
    asked = False

    def handle(number: int, _: object) -> None:
        nonlocal asked
        if asked:
            os._exit(1)
        asked = True
        stops.put(signal.Signals(number).name)

    signal.signal(signal.SIGTERM, handle)
    signal.signal(signal.SIGINT, handle)


def _next_stop(stops: SimpleQueue[str], timeout_s: float) -> str:
    try:
        return stops.get(timeout=timeout_s)
    except Empty:
        return ""


if __name__ == "__main__":
    sys.exit(main())
