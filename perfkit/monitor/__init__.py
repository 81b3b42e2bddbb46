"""Live views of any Dramatiq-on-Redis system: one stream of snapshots, read without touching it.

attach(...)      a feed that looks once a second             LiveFeed
serve(feed)      the page, REST, Prometheus and events       Served
snapshots(...)   the stream itself, for a loop of your own
panel(...)       in a notebook
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from perfkit.monitor.feed import Feed, ManualFeed
    from perfkit.monitor.live import LiveFeed
    from perfkit.monitor.notebook import LivePanel, panel
    from perfkit.monitor.opening import attach, snapshots
    from perfkit.monitor.replay import ReplayFeed
    from perfkit.monitor.serving import Served, serve
    from perfkit.monitor.snapshot import Snapshot

__all__ = [
    "Feed",
    "LiveFeed",
    "LivePanel",
    "ManualFeed",
    "ReplayFeed",
    "Served",
    "Snapshot",
    "attach",
    "panel",
    "serve",
    "snapshots",
]

_HOMES: Final = {
    "Feed": "feed",
    "LiveFeed": "live",
    "LivePanel": "notebook",
    "ManualFeed": "feed",
    "ReplayFeed": "replay",
    "Served": "serving",
    "Snapshot": "snapshot",
    "attach": "opening",
    "panel": "notebook",
    "serve": "serving",
    "snapshots": "opening",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"perfkit.monitor.{_HOMES[name]}"), name)
    raise AttributeError(f"perfkit.monitor has no name {name!r}")
