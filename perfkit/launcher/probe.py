"""Ready or not: what a child's own word is, and how it is asked for."""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from typing import Any

from perfkit.launcher.keeper import start_ticks

__all__ = ["answers", "answers_ok", "ready_notes"]


def answers_ok(port: int, path: str, timeout_s: float = 1.0) -> bool:
    """Whether GET is answered with 200 on this loopback port."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def answers(port: int, timeout_s: float = 1.0) -> bool:
    """Whether something on this loopback port answers a GET, whatever it says."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout_s)
    try:
        connection.request("GET", "/", headers={"Connection": "close"})
        return connection.getresponse().status > 0
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def ready_notes(spool: Path, pattern: str) -> list[dict[str, Any]]:
    """What the recorders of living processes wrote into ``<name>.ready``, by file name.

    A half-written note counts as not there yet, one of a dead process not at all.
    """
    notes = []
    for path in sorted(spool.glob(pattern)):
        try:
            note = json.loads(path.read_bytes())
            alive = start_ticks(int(note["pid"])) is not None
        except (OSError, ValueError, TypeError, KeyError):
            continue
        if alive:
            notes.append(note)
    return notes
