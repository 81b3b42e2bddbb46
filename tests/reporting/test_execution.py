"""Every way a notebook can fail, made to happen: none passes for a success."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from perfkit.errors import ReportFailed
from perfkit.reporting import document, execute
from tests.reporting.notebooks import notebook
from tests.waiting import wait_until

HANG = (
    "import os, pathlib, threading\n"
    "pathlib.Path({!r}).write_text(str(os.getpid()))\n"
    "threading.Event().wait()"
)


def gone(pid_file: Path) -> bool:
    """Whether the process that wrote the file has ended."""
    return pid_file.is_file() and not Path(f"/proc/{pid_file.read_text()}").exists()


def test_a_notebook_that_ran_has_its_parameters_and_no_partial(tmp_path: Path) -> None:
    folder = tmp_path / "with {braces}"
    folder.mkdir()
    source = notebook(folder / "n.ipynb", "print(word * 2)", parameters='word: str = "a"')
    execute(source, folder / "out.ipynb", {"word": "xy"})
    assert sorted(path.name for path in folder.iterdir()) == ["n.ipynb", "out.ipynb"]
    assert document.read(folder / "out.ipynb").cells[-1].outputs[0].text == "xyxy\n"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "code cell 2 of 3 raised ZeroDivisionError: division by zero"),
        ("import os\nos._exit(0)", "the kernel died"),
        ("import sys\nsys.exit(0)", "code cell 2 of 3 "),
        pytest.param(
            "import sys\nsys.exit(3)",
            "code cell 2 of 3 raised SystemExit: 3",
            marks=pytest.mark.full,
        ),
    ],
    ids=["an exception", "a dead kernel", "sys.exit(0)", "sys.exit(3)"],
)
def test_a_failure_is_told_and_leaves_no_report(tmp_path: Path, source: str, reason: str) -> None:
    made = notebook(tmp_path / "n.ipynb", "print('before')", source, "print('after')")
    with pytest.raises(ReportFailed) as failed:
        execute(made, tmp_path / "out.ipynb")
    assert reason in failed.value.what
    assert not (tmp_path / "out.ipynb").exists()
    left = document.read(tmp_path / "out.ipynb.partial")
    shown = [
        output.text
        for cell in left.cells
        for output in cell.get("outputs", ())
        if output.output_type == "stream" and output.name == "stdout"
    ]
    assert shown == ["before\n"]


def test_a_cell_that_runs_too_long_is_a_failure(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    made = notebook(tmp_path / "n.ipynb", HANG.format(str(pid)))
    with pytest.raises(ReportFailed, match="a cell ran longer than 1 s"):
        execute(made, tmp_path / "out.ipynb", cell_limit_s=1)
    wait_until(lambda: gone(pid), 5, "the kernel has ended")


@pytest.mark.full
def test_the_whole_has_a_limit_and_nothing_outlives_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    made = notebook(tmp_path / "n.ipynb", HANG.format(str(pid)))
    with pytest.raises(ReportFailed, match="longer than 12 s in all"):
        execute(made, tmp_path / "out.ipynb", limit_s=12)
    wait_until(lambda: gone(pid), 5, "the kernel has ended")


def test_nothing_outlives_a_killed_caller(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    made = notebook(tmp_path / "n.ipynb", HANG.format(str(pid)))
    code = (
        "import sys; from pathlib import Path; from perfkit.reporting import execute;"
        "execute(Path(sys.argv[1]), Path(sys.argv[2]))"
    )
    arguments = [sys.executable, "-c", code, str(made), str(tmp_path / "out.ipynb")]
    with subprocess.Popen(arguments, cwd=Path(__file__).parents[2]) as caller:
        wait_until(lambda: pid.is_file() and pid.read_text(), 60, "the cell runs")
        os.kill(caller.pid, signal.SIGKILL)
    wait_until(lambda: gone(pid), 5, "the kernel has ended")
