"""Whether user code can be imported: ``python -m perfkit.load.probe NAMED [--folder DIR]``.

Exit code 0, or 2 and why, on stderr. It is imported in this process, which ends with it.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
from pathlib import Path

from perfkit.errors import UsageError
from perfkit.load.usercode import load_user

__all__ = ["main"]


def main() -> int:
    """Import it, and say what is wrong with it."""
    parser = argparse.ArgumentParser(prog="python -m perfkit.load.probe")
    parser.add_argument("named", metavar="MODULE:FUNCTION")
    parser.add_argument("--folder", type=Path, metavar="DIR")
    options = parser.parse_args()
    try:
        with contextlib.redirect_stdout(sys.stderr):
            load_user(options.named, options.folder)
    except UsageError as error:
        print(f"\n{error.what}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not by way of the interpreter's end: a thread of the user's could keep it from coming.
    os._exit(code)
