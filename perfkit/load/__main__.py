"""``python -m perfkit.load SPEC.json [--lifeline-fd N [--await-go]]``: one generator process."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from perfkit.errors import PerfkitError
from perfkit.load.process import run_process
from perfkit.load.spec import read_spec


def main() -> int:
    """Parse, run, and say in words what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m perfkit.load", description=__doc__)
    parser.add_argument("spec", type=Path, help="a file written with LoadSpec.to_json")
    parser.add_argument("--lifeline-fd", type=int, help="read end of a pipe that the parent holds")
    parser.add_argument(
        "--await-go",
        action="store_true",
        help="read the start of load (monotonic ns, one line) from the lifeline",
    )
    given = parser.parse_args()
    try:
        return run_process(read_spec(given.spec), given.lifeline_fd, await_go=given.await_go)
    except PerfkitError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    except OSError as error:
        print(f"the load could not be recorded: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
