"""Running a notebook so that a failure can't pass for a success.

papermill runs in a child process under an overall limit. Its word is not taken for the outcome:

    what happened                papermill says          here
    a cell raised                exit 1                  ReportFailed, the cell named
    the kernel died              every cell "completed"  ReportFailed
    a cell ran too long          every cell "completed"  ReportFailed
    sys.exit(0) in a cell        exit 0, cells pending   ReportFailed, the cell named
    the whole took too long      nothing                 ReportFailed, child and kernel ended

tests/reporting/test_execution.py makes each of them happen.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from perfkit.errors import ReportFailed
from perfkit.paths import checkout
from perfkit.reporting import document
from perfkit.reporting.folder import private_folder
from perfkit.reporting.sections import without_sections

__all__ = ["execute", "failure_of"]

_SOCKET_PATH_MAX: Final = 107  # bytes of a Unix socket's address, Linux
_KERNEL_FILE: Final = 60  # what jupyter_client appends to the folder
_GRACE_S: Final = 3.0


def execute(
    notebook: Path,
    output: Path,
    parameters: Mapping[str, object] | None = None,
    *,
    dropped: Collection[str] = (),
    limit_s: float = 600.0,
    cell_limit_s: float = 300.0,
) -> None:
    """Run ``notebook`` into ``output``, which appears only when every cell ran to its end.

    Until then, and after a failure, what ran is in ``output`` + ``.partial``.

    Args:
        parameters: values for the parameters cell, as `checked_parameters` returns them.
        dropped: headings of sections that are left out.
        limit_s: seconds for the whole, the start of the kernel included.
        cell_limit_s: seconds for one cell.

    Raises:
        ReportFailed: with the cell and the reason.
    """
    partial = output.with_name(output.name + ".partial")
    partial.unlink(missing_ok=True)
    reason = _run(notebook, partial, parameters or {}, dropped, limit_s, cell_limit_s)
    reason = reason or failure_of(partial)
    if reason:
        raise ReportFailed(
            f"{notebook.name} did not run to its end: {reason}",
            f"open {partial} to see what ran",
        )
    partial.replace(output)


def failure_of(executed: Path) -> str:
    """Why an executed notebook is not a success, or nothing when it is one."""
    if not executed.is_file():
        return "it left no output"
    notebook = document.read(executed)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, start=1):
        ended = ""
        for output in cell.outputs:
            if output.output_type == "error":
                ended = f"{output.ename}: {output.evalue}".rstrip(": ")
        if ended:
            return f"code cell {number} of {len(code)} raised {ended}"
        if cell.source.strip() and cell.execution_count is None:
            return f"code cell {number} of {len(code)} never ran"
    return ""


def _run(
    notebook: Path,
    partial: Path,
    parameters: Mapping[str, object],
    dropped: Collection[str],
    limit_s: float,
    cell_limit_s: float,
) -> str:
    """The reason for a failure as far as the process tells, or nothing."""
    with private_folder() as folder:
        fits = len(os.fsencode(folder)) + _KERNEL_FILE <= _SOCKET_PATH_MAX
        source = notebook.absolute()
        if dropped:
            source = without_sections(notebook, dropped, folder / notebook.name)
        request = {
            "notebook": str(source),
            "output": str(partial.absolute()),
            "parameters": dict(parameters),
            "cwd": str(notebook.absolute().parent),
            "transport": "ipc" if fits and os.name == "posix" else "tcp",
            "start_limit_s": 60,
            "cell_limit_s": int(cell_limit_s),
        }
        answer, complaints = folder / "answer", folder / "complaints"
        with answer.open("wb") as out, complaints.open("wb") as err:
            child = subprocess.Popen(
                [sys.executable, "-m", "perfkit.reporting.child"],
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                env=_environment(folder),
                start_new_session=True,
            )
            try:
                assert child.stdin is not None
                child.stdin.write(json.dumps(request).encode() + b"\n")
                child.stdin.flush()
                child.wait(limit_s)
            except subprocess.TimeoutExpired:
                return f"it took longer than {limit_s:g} s in all"
            except BrokenPipeError:
                pass
            finally:
                _end(child)
        said = answer.read_text(errors="replace").strip()
        if not said:
            last = complaints.read_text(errors="replace").strip().splitlines()[-1:]
            why = f": {last[0]}" if last else ""
            return f"the process that ran it ended with status {child.returncode}{why}"
    told = json.loads(said.splitlines()[-1])
    return _in_words(told["error"], told["message"], partial, cell_limit_s)


def _in_words(error: str | None, message: str, partial: Path, cell_limit_s: float) -> str:
    if error is None:
        return ""
    if error == "PapermillExecutionError":
        return failure_of(partial) or message.strip().splitlines()[-1]
    if error == "DeadKernelError":
        return "the kernel died (DeadKernelError)"
    if error == "CellTimeoutError":
        return f"a cell ran longer than {cell_limit_s:g} s (CellTimeoutError)"
    return f"{error}: {message.strip()}"


def _end(child: subprocess.Popen[bytes]) -> None:
    """Stop the child if it still runs; its kernel sees its parent gone and follows."""
    if child.poll() is None:
        child.send_signal(signal.SIGTERM)
        try:
            child.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()
    if child.stdin is not None and not child.stdin.closed:
        with suppress(BrokenPipeError):
            child.stdin.close()


def _environment(folder: Path) -> dict[str, str]:
    """Ours, with the kernel of this environment and nobody's start-up files."""
    environment: dict[str, Any] = dict(os.environ)
    environment["JUPYTER_PREFER_ENV_PATH"] = "1"
    environment["JUPYTER_RUNTIME_DIR"] = str(folder)
    # A kernel that is killed leaves its connection file: in there it goes with the rest.
    environment["TMPDIR"] = str(folder)
    environment["IPYTHONDIR"] = str(folder / "ipython")
    environment["PYDEVD_DISABLE_FILE_VALIDATION"] = "1"
    if (tree := checkout()) is not None:
        paths = [str(tree), environment.get("PYTHONPATH", "")]
        environment["PYTHONPATH"] = os.pathsep.join(path for path in paths if path)
    return environment
