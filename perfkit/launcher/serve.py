"""Holds a stack up until it is told to stop: ``python -m perfkit.launcher.serve``.

Stdin takes one JSON document: ``{"spec": StackSpec.to_document, "disposable": BOOL}`` (in a pipe,
because it may hold a password).
Stdout gives one line when the stack is up, ``{"up": LEASE_ID}``, or when it can't be,
``{"error": CLASS, "what": …, "mend": …}``; nothing more. It ends by SIGTERM or SIGINT (exit 0), or
when something died that the stack can't do without (exit 1). The folder of a disposable stack goes
with it, but for the logs where something failed.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time

from perfkit.errors import PerfkitError, UsageError
from perfkit.launcher.channel import refusal
from perfkit.launcher.interrupts import terminable
from perfkit.launcher.spec import StackSpec
from perfkit.launcher.stack import Stack

__all__ = ["main"]

_LOOK_EVERY_S = 0.5


def _say(document: dict[str, str]) -> None:
    print(json.dumps(document), flush=True)
    # Whoever asked may be gone by now; its pipe must not break what we write later.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def main() -> int:
    """Serve; returns the exit code."""
    request = json.load(sys.stdin)
    spec = StackSpec.from_document(request["spec"])
    disposable, up = request["disposable"], False
    try:
        with terminable(), Stack(spec) as stack:
            _say({"up": stack.lease.id})
            up = True
            while True:
                stack.check()
                time.sleep(_LOOK_EVERY_S)
    except KeyboardInterrupt:
        if disposable:
            shutil.rmtree(spec.directory, ignore_errors=True)
        return 0
    except PerfkitError as error:
        if disposable:
            refused = isinstance(error, UsageError) and not up
            shutil.rmtree(spec.directory if refused else spec.spool, ignore_errors=True)
        if up:
            print(error, file=sys.stderr, flush=True)
        else:
            _say(refusal(error))
        return 1


if __name__ == "__main__":
    sys.exit(main())
