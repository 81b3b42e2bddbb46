"""The process that runs a notebook: ``python -m perfkit.reporting.child``.

The first line of standard input is the request (JSON); after it standard input stays open as the
lifeline: when it ends, the parent is gone and so is this process, and the kernel, which watches its
own parent, within a second. The answer is one line of JSON on standard output.
"""

from __future__ import annotations

import json
import logging
import os
import sys
import threading
from pathlib import Path
from typing import Any

from perfkit.reporting.folder import PREFIX, clear

__all__ = ["main"]


def main() -> int:
    """Run the requested notebook; 0 when papermill had nothing to complain of."""
    request = json.loads(sys.stdin.buffer.readline())
    threading.Thread(target=_die_with_parent, daemon=True).start()
    answer = _run(request)
    print(json.dumps(answer), flush=True)
    return 0 if answer["error"] is None else 1


def _die_with_parent() -> None:
    # Not through the buffer: a thread that waits in it aborts the interpreter's shutdown.
    while os.read(sys.stdin.fileno(), 4096):
        pass
    # The folder was the parent's to remove.
    folder = Path(os.environ.get("TMPDIR", ""))
    if folder.name.startswith(PREFIX):
        clear(folder)
    os._exit(1)


def _run(request: dict[str, Any]) -> dict[str, Any]:
    import papermill
    from traitlets.config import Config

    logging.getLogger("papermill").setLevel(logging.ERROR)
    config = Config({"KernelManager": {"transport": request["transport"]}})
    try:
        papermill.execute_notebook(
            _literal(request["notebook"]),
            _literal(request["output"]),
            parameters=request["parameters"],
            kernel_name="python3",
            progress_bar=False,
            cwd=request["cwd"],
            start_timeout=request["start_limit_s"],
            execution_timeout=request["cell_limit_s"],
            config=config,
        )
    except Exception as error:  # noqa: BLE001 - the parent turns every kind into ReportFailed
        return {"error": type(error).__name__, "message": str(error)}
    return {"error": None, "message": ""}


def _literal(path: str) -> str:
    """papermill formats paths: a brace in a folder's name is not a parameter."""
    return path.replace("{", "{{").replace("}", "}}")


if __name__ == "__main__":
    sys.exit(main())
