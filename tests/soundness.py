"""What a real measurement must say whatever the machine that runs the tests is doing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

__all__ = ["MEASURED", "assert_sound"]

MEASURED: Final = (0, 3, 99)
"""Exit codes of a run that was measured: a busy host may send late, or not carry its load."""

_LATE: Final = "late sending of the generator's own making"


def assert_sound(document: Mapping[str, Any]) -> None:
    """The instrument found nothing wrong with itself, but for sending late on a busy machine."""
    verdict = document["verdict"]
    if verdict["status"] == "INVALID":
        assert verdict["reasons"], verdict
        assert any(_LATE in reason for reason in verdict["reasons"]), verdict
    for text in ("lost rows", "clock", "join error", "unexplained", "the gateway answered"):
        assert not any(text in reason for reason in verdict["reasons"]), verdict
