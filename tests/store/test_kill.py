"""A writer killed at any moment leaves a run that is refused, or one that is whole."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.errors import RunNotSealed
from perfkit.store import list_runs, open_run, repair, verify

ROOT = Path(__file__).resolve().parents[2]
KILLS = 20

# Forks a writer per line of input, so that the imports are paid once. It says each step it is
# about to take.
WRITER = """
import os, sys
from pathlib import Path
from perfkit.store import RunWriter
from tests.sealed import Sketch, delivery, request

def write(root):
    def say(step):
        os.write(1, (step + "\\n").encode())
    say("create")
    writer = RunWriter.create(Path(root), "test", {"scenarios": {}, "plan": [{}] * 3})
    for index in range(3):
        rows = [request(seq) for seq in range(200)]
        say(f"trial {index}")
        Sketch(rows, [delivery(row) for row in rows]).write(writer, index)
    say("seal")
    writer.seal("complete")
    say("sealed")

for line in sys.stdin:
    child = os.fork()
    if not child:
        write(line.strip())
        os._exit(0)
    os.write(1, f"pid {child}\\n".encode())
    sys.stdin.readline()  # until then nobody else can get its number
    os.waitpid(child, 0)
    os.write(1, b"gone\\n")
"""


def test_half_written_never_reads_as_whole(tmp_path: Path) -> None:
    chance = random.Random(20)
    outcomes: set[str] = set()
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "PYTHONWARNINGS": "ignore::DeprecationWarning",  # of forking beside Arrow's idle threads
    }
    with subprocess.Popen(
        [sys.executable, "-c", WRITER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        bufsize=1,
        env=environment,
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        for number in range(KILLS):
            root = tmp_path / str(number)
            root.mkdir()
            server.stdin.write(f"{root}\n")
            steps, spin = chance.randint(1, 6), chance.randint(0, 60_000)
            pid = 0
            # The pid and the child's first steps may come in either order.
            while steps > 0 or not pid:
                line = server.stdout.readline().split()
                if line[0] == "pid":
                    pid = int(line[1])
                else:
                    steps -= 1
            for _ in range(spin):
                pass
            os.kill(pid, signal.SIGKILL)
            server.stdin.write("reap\n")
            while server.stdout.readline() != "gone\n":
                pass
            outcomes.add(_outcome(root))
        server.stdin.close()
    assert len(outcomes) > 1, "the kills all fell into one phase"


def _outcome(root: Path) -> str:
    entries = list_runs(root)
    if not entries:
        return "nothing"
    path = entries[0].path
    if entries[0].sealed:
        assert verify(path) == []
        assert open_run(path).manifest["status"] == "complete"
        return "sealed"
    with pytest.raises(RunNotSealed):
        open_run(path)
    kept = len(repair(path).kept)
    assert verify(path) == []
    assert len(open_run(path).trials) >= kept
    return f"{kept} kept"
