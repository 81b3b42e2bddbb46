"""Who owns what, and whether that process lives; the module itself costs next to nothing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from perfkit.owner import is_alive, this_process
from perfkit.paths import checkout


def test_a_process_number_that_is_used_again_is_not_the_owner() -> None:
    owner = this_process()
    assert is_alive(owner)
    assert not is_alive(owner | {"started": owner["started"] - 1})
    assert not is_alive(owner | {"boot": "another boot"})
    assert not is_alive({})


def test_a_zombie_is_dead() -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as child:
        stat = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        owner = this_process() | {"pid": child.pid, "started": int(stat[19])}
        assert is_alive(owner)
        child.kill()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        assert not is_alive(owner)


def test_the_launcher_reads_owners_without_loading_the_store() -> None:
    code = (
        "import sys, perfkit.launcher.serve\n"
        "print([n for n in ('pyarrow', 'numpy', 'perfkit.store') if n in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=checkout()
    )
    assert done.stdout.strip() == "[]"
