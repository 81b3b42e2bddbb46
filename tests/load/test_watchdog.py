"""User code that keeps the event loop: its line is named, and the process ends in any case."""

from __future__ import annotations

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from perfkit.load.happenings import TRACE, place_in_trace
from perfkit.load.watchdog import Watchdog

ROOT = Path(__file__).resolve().parents[2]

# A regular expression that would take years, and all the while keeps the interpreter's lock.
KEEPING = """
import re

def keep():
    re.match(r"(a+)+$", "a" * 60 + "b")
"""
WATCHED = """
import asyncio, sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
from perfkit.load import watchdog

if sys.argv[2] == "alarm":
    def refused(*_, **__):
        raise RuntimeError("unable to start watchdog thread")
    watchdog.faulthandler.dump_traceback_later = refused
watchdog._LAST_S = 0.5

async def main():
    watched = watchdog.Watchdog(Path(sys.argv[1]), lambda *_: None)
    watched.start()
    if sys.argv[3] == "closed":
        watched.close()
        ended = asyncio.ensure_future(asyncio.Event().wait())
        await asyncio.wait({ended}, timeout=0.8)  # beyond what it would have allowed
        ended.cancel()
        return
    import keeping
    keeping.keep()

asyncio.run(main())
"""


def watched(folder: Path, *how: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, in which user code keeps the lock unless the watchdog is closed."""
    (folder / "keeping.py").write_text(KEEPING)
    return subprocess.run(
        [sys.executable, "-c", WATCHED, str(folder), *how],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=ROOT,
    )


def test_the_watchdog_names_the_line_that_keeps_the_loop(tmp_path: Path) -> None:
    (tmp_path / "keeping.py").write_text("def keep(noted):\n    while not noted:\n        pass\n")
    noted: list[tuple[str, float]] = []

    async def main() -> None:
        watchdog = Watchdog(tmp_path, lambda *each: noted.append(each))
        watchdog.start()
        namespace: dict[str, Any] = {}
        path = tmp_path / "keeping.py"
        exec(compile(path.read_text(), str(path), "exec"), namespace)
        namespace["keep"](noted)
        watchdog.close()

    asyncio.run(main())
    assert noted[0][0].startswith("keeping.py:")
    assert noted[0][1] >= 0.5


def test_code_that_keeps_the_interpreter_is_ended_and_its_line_is_on_the_disk(
    tmp_path: Path,
) -> None:
    done = watched(tmp_path, "faulthandler", "kept")
    assert done.returncode == 1, done.stderr
    assert place_in_trace((tmp_path / TRACE).read_text()) == "keeping.py:5"


def test_without_faulthandler_an_alarm_ends_it(tmp_path: Path) -> None:
    assert watched(tmp_path, "alarm", "kept").returncode == -signal.SIGALRM


@pytest.mark.parametrize("how", ["faulthandler", "alarm"])
def test_a_watchdog_that_is_closed_ends_nothing(tmp_path: Path, how: str) -> None:
    done = watched(tmp_path, how, "closed")
    assert (done.returncode, done.stderr) == (0, "")
