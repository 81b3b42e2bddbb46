"""Dying with the launcher: a pipe whose other end only the launcher holds.

Whatever ends the launcher, SIGKILL included, closes its end. A daemon thread here waits for that,
asks the process to stop, and ends it by force when it has not stopped in time.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Final

__all__ = ["GRACE_S", "watch"]

GRACE_S: Final = 2.0
"""Seconds between the request to stop and the forced end."""


def watch(handle: int, stop: Callable[[], object], grace_s: float = GRACE_S) -> threading.Thread:
    """Call ``stop()`` when the pipe ``handle`` reaches its end; ``os._exit(1)`` after ``grace_s``.

    Raises:
        OSError: if the handle is not open.
    """
    os.set_inheritable(handle, False)

    def wait() -> None:
        while os.read(handle, 1):
            pass
        # In a thread of its own: stopping may block, and the forced end must come all the same.
        threading.Thread(target=stop, name="lifeline-stop", daemon=True).start()
        time.sleep(grace_s)
        os._exit(1)

    thread = threading.Thread(target=wait, name="lifeline", daemon=True)
    thread.start()
    return thread
