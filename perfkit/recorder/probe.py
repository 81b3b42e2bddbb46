"""What an application declares: ``python -m perfkit.recorder.probe --broker M:N`` prints JSON.

    {"queues": [...], "actors": {name: queue}, "namespace": ..., "broker_class": "module.Class"}

The application is imported in this process, which ends with it; what it prints goes to stderr.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from perfkit.recorder.loading import BrokerNotLoaded, load_broker, print_refusal
from perfkit.recorder.readiness import describe

__all__ = ["main"]


def main(argv: Sequence[str] | None = None) -> int:
    """Print the description; 2 and one line on stderr if the broker can't be used."""
    parser = argparse.ArgumentParser(prog="python -m perfkit.recorder.probe")
    parser.add_argument("--broker", required=True, metavar="MODULE:NAME")
    parser.add_argument("--path", type=Path, metavar="DIR")
    options = parser.parse_args(argv)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            broker = load_broker(options.broker, options.path)
    except BrokerNotLoaded as error:
        return print_refusal("perfkit.recorder.probe", error, with_traceback=False)
    kind = type(broker)
    print(json.dumps(describe(broker) | {"broker_class": f"{kind.__module__}.{kind.__qualname__}"}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
