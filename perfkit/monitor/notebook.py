"""The live view in a notebook's cell: no server, no extension, and only its last state is saved.

Outside a notebook it prints the same as text.
"""

from __future__ import annotations

import contextvars
import dataclasses
import os
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from perfkit.monitor.feed import Feed
from perfkit.monitor.live import LiveFeed
from perfkit.monitor.opening import attach
from perfkit.monitor.snapshot import Snapshot

if TYPE_CHECKING:
    import pandas as pd

    from perfkit.figures.chart import Chart

__all__ = ["LivePanel", "panel"]

_SLICE_S: Final = 0.25  # an interrupt of the kernel is heard this soon
_HOURS_S: Final = 6 * 3600.0


def panel(
    feed: Feed | None = None,
    *,
    seconds: float | None = None,
    run: str | os.PathLike[str] | None = None,
    **named: Any,
) -> LivePanel:
    """Show a system in this cell, anew with each snapshot.

    Args:
        feed: what is shown; without it one is attached to what ``run`` and ``named`` say.
        seconds: how long this cell goes on (an interrupt ends it sooner). None: the cell ends at
            once and the panel goes on in the background until ``stop()``. A sealed run is shown at
            its end, once.
        run: folder of a run.
        named: as of `perfkit.monitor.attach`: ``redis``, ``broker``, ``queues``, ...

    Raises:
        UsageError: as `perfkit.monitor.attach`.
    """
    own = feed is None
    shown = LivePanel(attach(run=run, **named) if feed is None else feed, own=own)
    shown.start()
    if seconds is not None:
        shown.wait(seconds)
        shown.stop()
    return shown


class LivePanel:
    """A panel on show. Frames and charts are of the moment they are asked for.

    Args:
        own: the feed is opened and closed with the panel.
    """

    def __init__(self, feed: Feed, *, own: bool = False) -> None:
        self.feed = feed
        self._own = own and isinstance(feed, LiveFeed)
        self._news = threading.Event()
        self._stopping = threading.Event()
        self._leave: Any = None
        self._thread: threading.Thread | None = None
        self._handle: Any = None
        self._shown = -1

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def __repr__(self) -> str:
        return f"<panel of {self.snapshot.subject if self.snapshot else 'nothing yet'}>"

    @property
    def snapshot(self) -> Snapshot | None:
        """The newest."""
        return self.feed.snapshot

    def start(self) -> None:
        """Show what is known, and go on in the background where more may come."""
        if self._own:
            assert isinstance(self.feed, LiveFeed)
            self.feed.__enter__()
        self._leave = self.feed.listen(self._news.set)
        self._show()
        if self.feed.recording is None:
            # The cell that a display belongs to is known to its own context alone.
            context = contextvars.copy_context()
            self._thread = threading.Thread(
                target=context.run, args=(self._follow,), name="perfkit-panel", daemon=True
            )
            self._thread.start()

    def wait(self, seconds: float) -> None:
        """Return after so long, at the end of what is shown, or on an interrupt."""
        deadline = time.monotonic() + seconds
        try:
            while (
                self._thread is not None
                and self._thread.is_alive()
                and not getattr(self.feed, "ended", False)
                and (left := deadline - time.monotonic()) > 0
            ):
                self._thread.join(min(_SLICE_S, left))
        except KeyboardInterrupt:
            return

    def stop(self) -> None:
        """Show the last moment and leave it there."""
        self._stopping.set()
        self._news.set()
        if self._thread is not None:
            self._thread.join(5.0)
            self._thread = None
        if self._leave is not None:
            self._leave()
            self._leave = None
        if self._own:
            assert isinstance(self.feed, LiveFeed)
            self.feed.close()
            self._own = False
        self._show()

    def charts(self, span_s: float = _HOURS_S) -> Chart:
        """Backlog, age and rates of the time seen, at most the last ``span_s`` seconds."""
        from perfkit.monitor.picture import charts

        return charts(self.feed.history(span_s, 300))

    def queues(self) -> pd.DataFrame:
        """One row per queue; columns are the fields of `snapshot.Queue`."""
        return self._frame("queues")

    def workers(self) -> pd.DataFrame:
        """One row per worker; columns are the fields of `snapshot.Worker`."""
        return self._frame("workers")

    def slow_jobs(self) -> pd.DataFrame:
        """One row per slow job; columns are the fields of `snapshot.SlowJob`."""
        return self._frame("slow_jobs")

    def _frame(self, part: str) -> pd.DataFrame:
        import pandas as pd

        rows = getattr(self.snapshot, part) if self.snapshot else ()
        return pd.DataFrame([dataclasses.asdict(each) for each in rows])

    def _follow(self) -> None:
        while not self._stopping.is_set():
            self._news.wait()
            self._news.clear()
            if not self._stopping.is_set():
                self._show()

    def _show(self) -> None:
        from IPython import get_ipython
        from IPython.display import display

        from perfkit.monitor.picture import bundle

        snapshot = self.snapshot
        if snapshot is None:
            made = {"text/plain": "Waiting for the first figures."}
        elif snapshot.seq == self._shown:
            return
        else:
            self._shown = snapshot.seq
            made = bundle(snapshot)
        if get_ipython() is None:
            print(made["text/plain"], flush=True)
        elif self._handle is None:
            self._handle = display(made, raw=True, display_id=True)  # type: ignore[no-untyped-call]
        else:
            self._handle.update(made, raw=True)
