"""A process that holds a stack up; what ends it is the test's business.

    python -m tests.launcher.driver FOLDER MODE

Prints one line: pids and ports, as JSON. MODE: ``wait``, ``raise``, ``apart`` (as ``wait``, with a
Redis for each of two queues), or to be in the middle of a
change of the workers: ``more`` (some are started, others are not yet) or ``fewer`` (some have been
told to stop).
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

from perfkit.launcher.stack import Stack, StackSpec
from perfkit.scenario import PoolSettings
from tests.launcher.small_stack import GATEWAY, stack_settings
from tests.leaks import descendants_of
from tests.waiting import wait_until

APART = tuple(
    PoolSettings(name=queue, queues=(queue,), workers=1, threads=1, prefetch=2)
    for queue in ("payments", "webhooks")
)


def main() -> None:
    folder, mode = Path(sys.argv[1]), sys.argv[2]
    spec = StackSpec(
        settings=stack_settings(pools=APART) if mode == "apart" else stack_settings(),
        directory=folder / "trial",
        gateway=GATEWAY,
        leases=folder / "leases",
        redis_per_queue=mode == "apart",
    )
    with Stack(spec) as stack:
        urls = (*stack.redis_servers.values(), stack.ingest_url, stack.gateway_url)
        ports = [urlsplit(url).port for url in urls if url]
        pids = {name: each.pid for name, each in stack.processes.items()}
        print(
            json.dumps({"pids": pids, "all": sorted(descendants_of(os.getpid())), "ports": ports}),
            flush=True,
        )
        if mode == "raise":
            raise RuntimeError("as asked")
        if mode in ("more", "fewer"):
            change(stack, mode)
            print(mode, flush=True)
        wait_for_a_signal()


def wait_for_a_signal() -> None:
    """Until a handler raises. `signal.pause` would sleep over one that comes just before it."""
    told, tell = os.pipe()
    os.set_blocking(tell, False)
    signal.set_wakeup_fd(tell)
    while True:
        os.read(told, 1)


def change(stack: Stack, mode: str) -> None:
    """Begin a change that is not over soon."""
    before = len(stack.processes)
    event = stack.scale(None, 4, mode)
    wait_until(lambda: len(stack.processes) > before, 20, "some are started")
    if mode == "fewer":
        wait_until(lambda: stack.scale_events()[0].done_ns, 30, "all are ready")
        event = stack.scale(None, 0, mode)
    assert event.done_ns is None


if __name__ == "__main__":
    main()
