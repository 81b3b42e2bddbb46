"""The recorder: the only perfkit code that runs inside a measured process.

It needs the standard library and dramatiq, nothing else, and this package imports nothing until a
name is asked for: `perfkit.recorder.worker` must set dramatiq's environment before dramatiq loads.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from perfkit.recorder.events import Event, Kind
    from perfkit.recorder.middleware import Recorder, install
    from perfkit.recorder.reader import SpoolContents, SpoolFollower, read_spools
    from perfkit.recorder.spool import SpoolWriter

__all__ = [
    "Event",
    "Kind",
    "Recorder",
    "SpoolContents",
    "SpoolFollower",
    "SpoolWriter",
    "install",
    "read_spools",
]

_HOMES = {
    "Event": "events",
    "Kind": "events",
    "Recorder": "middleware",
    "SpoolContents": "reader",
    "SpoolFollower": "reader",
    "SpoolWriter": "spool",
    "install": "middleware",
    "read_spools": "reader",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
