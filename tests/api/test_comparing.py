"""Which pairs are measured again is found out beside the measuring, whatever keys are pressed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
from pathlib import Path

from tests.comparisons import seal_comparison
from tests.leaks import descendants_of
from tests.waiting import wait_until

ROOT = Path(__file__).resolve().parents[2]

JUDGING = """
    import sys
    from pathlib import Path
    from perfkit.api.asked import Asked
    from perfkit.api.comparing import _wanting
    from perfkit.api.measure import manifest_of
    from perfkit.plan import restore
    from perfkit.runner import Interrupt

    folder = Path(sys.argv[1])
    manifest = manifest_of(folder)
    with Interrupt():
        print(sorted(_wanting(folder, restore(manifest), Asked.of(manifest, folder))))
"""


def test_a_ctrl_c_while_trials_are_judged_does_not_lose_their_verdict(tmp_path: Path) -> None:
    run = seal_comparison(tmp_path, pairs=2, invalid=(2,))
    judging = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(JUDGING), str(run.path)],
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT)}, start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: bool(descendants_of(judging.pid)), 30, "its trials are judged")
    os.killpg(judging.pid, signal.SIGINT)  # as a terminal does: to all in the foreground
    out, said = judging.communicate(timeout=60)
    assert (judging.returncode, out.strip()) == (0, "[1]"), said
