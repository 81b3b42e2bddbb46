"""Server-sent events: first the history, then each snapshot as it comes.

A client that can't keep up misses snapshots, never delays others, and is dropped when a single one
takes too long; it comes back by itself with the id of the last one it saw (``Last-Event-ID``, or
``last`` in the query of a page that opens the stream anew), and goes on from there.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
from collections.abc import AsyncIterator, Mapping
from typing import Final

from perfkit.monitor.feed import Feed, Recording
from perfkit.monitor.snapshot import Snapshot

__all__ = ["following", "replaying"]

BEAT_S: Final = 15.0
_RETRY_MS: Final = 1000
_POINTS: Final = 600
_STEP_S: Final = 1.0
_FASTEST: Final = 1000.0


async def following(
    feed: Feed, last_event_id: str | None, closing: asyncio.Event
) -> AsyncIterator[bytes]:
    """Events of a live feed until the server closes."""
    loop = asyncio.get_running_loop()
    news = asyncio.Event()

    def heard() -> None:
        with contextlib.suppress(RuntimeError):  # the server has ended, the feed goes on
            loop.call_soon_threadsafe(news.set)

    leave = feed.listen(heard)
    try:
        missed, seen = _missed(feed, last_event_id)
        yield f"retry: {_RETRY_MS}\n\n".encode()
        if missed is None:
            yield _event("history", await asyncio.to_thread(_history, feed))
            newest = feed.snapshot
            missed = [] if newest is None else [newest]
        for each in missed:
            yield _snapshot(feed, each)
            seen = each.seq
        while not closing.is_set():
            news.clear()
            current = feed.snapshot
            if current is not None and current.seq > seen:
                seen = current.seq
                yield _snapshot(feed, current)
                continue
            if not await _any(BEAT_S, news, closing):
                yield b": beat\n\n"
    finally:
        leave()


async def replaying(
    feed: Feed, recording: Recording, query: Mapping[str, str], closing: asyncio.Event
) -> AsyncIterator[bytes]:
    """Events of a run that is shown again: all that decides where is in the address.

    ``from`` (seconds after the beginning), ``speed`` and ``paused=1``.
    """
    position_s = _number(query.get("from"), 0.0, 0.0, recording.length_s)
    speed = _number(query.get("speed"), 1.0, 0.1, _FASTEST)
    paused = query.get("paused", "0") not in ("0", "", "false")
    yield f"retry: {_RETRY_MS}\n\n".encode()
    history = await asyncio.to_thread(recording.before, position_s, _POINTS)
    yield _event("history", json.dumps(history))
    while not closing.is_set():
        playing = not paused and position_s < recording.length_s
        snapshot = await asyncio.to_thread(recording.at, position_s, speed=speed, playing=playing)
        yield _event("snapshot", json.dumps(snapshot.document()))
        if not playing:
            while not await _any(BEAT_S, closing):
                yield b": beat\n\n"
            return
        await _any(_STEP_S, closing)
        position_s = min(recording.length_s, position_s + speed * _STEP_S)


def _missed(feed: Feed, last_event_id: str | None) -> tuple[list[Snapshot] | None, int]:
    """What a client that was here before has missed; None: it is to begin anew."""
    epoch, _, number = (last_event_id or "").partition("-")
    if epoch != feed.epoch or not number.isascii() or not number.isdecimal():
        return None, -1
    seen = int(number[:18])
    missed = feed.after(seen)
    return missed, seen if missed is not None else -1


def _snapshot(feed: Feed, snapshot: Snapshot) -> bytes:
    return _event("snapshot", _text(snapshot), f"{feed.epoch}-{snapshot.seq}")


def _history(feed: Feed) -> str:
    return json.dumps(feed.history(math.inf, _POINTS), separators=(",", ":"))


_last: list[tuple[Snapshot, str]] = []


def _text(snapshot: Snapshot) -> str:
    """Its JSON, made once for all clients (of several servers, in their threads)."""
    for known, text in _last:
        if known is snapshot:
            return text
    text = json.dumps(snapshot.document(), separators=(",", ":"))
    _last[:] = [(snapshot, text)]
    return text


def _event(name: str, data: str, number: str | None = None) -> bytes:
    head = f"id: {number}\n" if number is not None else ""
    return f"{head}event: {name}\ndata: {data}\n\n".encode()


async def _any(timeout_s: float, *events: asyncio.Event) -> bool:
    """Wait for one of the events; False where none came in time."""
    waits = [asyncio.ensure_future(each.wait()) for each in events]
    try:
        done, _ = await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        return bool(done)
    finally:
        for each in waits:
            each.cancel()


def _number(text: str | None, default: float, low: float, high: float) -> float:
    try:
        value = float(text) if text else default
    except ValueError:
        return default
    return min(high, max(low, value)) if math.isfinite(value) else default
