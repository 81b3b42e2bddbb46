"""What an application declares, asked in a child: ``python -m perfkit.monitor.application M:N``.

It prints ``{"queues": [...], "namespace": ...}``, or ``{"error": ..., "mend": ...}``. A process of
its own, since what asks an application (`perfkit.runner.application`) weighs as much as the whole
monitor, and is needed once.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from perfkit.errors import PerfkitError, UsageError
from perfkit.redaction import redact

__all__ = ["declared", "main"]


def declared(broker: str) -> tuple[tuple[str, ...], str]:
    """Queues and namespace of an application, looked for from the working directory.

    Raises:
        UsageError: it can't be imported, or has no queues in Redis.
    """
    asked = subprocess.run(
        [sys.executable, "-m", "perfkit.monitor.application", broker],
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
        # Python's -m puts the working directory first, and this package must be found from there.
        env={**os.environ, "PYTHONPATH": _path()},
    )
    try:
        told = json.loads(asked.stdout)
    except ValueError:
        words = asked.stderr.strip().splitlines()[-1:] or ["it said nothing"]
        raise UsageError(
            f"{broker} could not be asked for its queues: {redact(words[0])}",
            "name them with --queue",
        ) from None
    if "error" in told:
        raise UsageError(told["error"], told["mend"])
    return tuple(told["queues"]), told["namespace"]


def _path() -> str:
    tree = str(Path(__file__).resolve().parents[2])
    given = os.environ.get("PYTHONPATH")
    return f"{tree}{os.pathsep}{given}" if given else tree


def main(argv: list[str]) -> int:
    """Print what the application declares."""
    from pydantic import ValidationError

    from perfkit.runner.application import inspect_application
    from perfkit.scenario import System

    try:
        found = inspect_application(System(broker=argv[0]))
        print(json.dumps({"queues": list(found.queues), "namespace": found.namespace}))
    except ValidationError:
        mend = "write module.path:name, such as shop.tasks:broker"
        print(json.dumps({"error": f"{argv[0]!r} names no broker", "mend": mend}))
    except PerfkitError as error:
        print(json.dumps({"error": error.what, "mend": error.mend}))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
