"""``python -m perfkit.runner.tabulate FOLDER TRIAL``: the tables of a trial, made in a child.

Arrow's conversions import pandas and hold on to memory; in a process of its own neither is beside
the next trial of a sweep. Leftovers are read from ``leftovers.json``; the recorder's facts are
printed as one JSON document.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from perfkit.errors import PerfkitError
from perfkit.runner.collect import collect
from perfkit.store import TrialWriter

__all__ = ["main"]

LEFTOVERS = "leftovers.json"


def main() -> int:
    """Write the tables into the trial's folder; returns the exit code."""
    folder, trial = Path(sys.argv[1]), int(sys.argv[2])
    listed = folder / LEFTOVERS
    leftovers = json.loads(listed.read_text(encoding="utf-8")) if listed.is_file() else []
    try:
        tables, facts = collect(folder, trial, leftovers)
        writer = TrialWriter(folder.parent, trial)
        for kind, table in tables.items():
            writer.write_table(kind, table)
    except PerfkitError as error:
        print(json.dumps({"error": type(error).__name__, "what": error.what, "mend": error.mend}))
        return 1
    print(json.dumps(facts.document()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
