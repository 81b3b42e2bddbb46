"""A process that holds a stack up; what ends it is the test's business.

    python -m tests.launcher.driver FOLDER MODE

Prints one line: pids and ports, as JSON. MODE: ``wait`` or ``raise``.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from urllib.parse import urlsplit

from perfkit.launcher.stack import Stack, StackSpec
from tests.launcher.small_stack import GATEWAY, stack_settings
from tests.leaks import descendants_of


def main() -> None:
    folder, mode = Path(sys.argv[1]), sys.argv[2]
    spec = StackSpec(
        settings=stack_settings(),
        directory=folder / "trial",
        gateway=GATEWAY,
        leases=folder / "leases",
    )
    with Stack(spec) as stack:
        urls = (stack.redis_url, stack.ingest_url, stack.gateway_url)
        ports = [urlsplit(url).port for url in urls if url]
        pids = {name: each.pid for name, each in stack.processes.items()}
        print(
            json.dumps({"pids": pids, "all": sorted(descendants_of(os.getpid())), "ports": ports}),
            flush=True,
        )
        if mode == "raise":
            raise RuntimeError("as asked")
        while True:
            signal.pause()


if __name__ == "__main__":
    main()
