"""From the slots of one file to events: what is committed, what is missing, what is damaged."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from zlib import adler32

from perfkit.recorder.events import (
    FIELDS,
    FOREIGN_MESSAGE_ID,
    FOREIGN_REDIS_ID,
    HEADER,
    HEADER_BYTES,
    MAGIC,
    NO_ID,
    SLOT,
    SLOT_BYTES,
    SPOOL_VERSION,
    Event,
    Kind,
)
from perfkit.recorder.sidecar import SidecarReader

__all__ = ["SpoolFile"]

_KINDS: Final = {int(kind): kind for kind in Kind}
_STRETCH_BYTES: Final = 4096 * SLOT_BYTES


class SpoolFile:
    """One file of a spool, read on from where it was.

    ``at`` is the number of the last slot it has come to; ``open`` are the slots before that which
    are no events: False for a hole, True for one with a wrong checksum, number or name. Both are
    looked at again by the next reading, since a thread may have been caught between two writes.
    """

    __slots__ = ("at", "lost", "open", "path", "slots")

    def __init__(self, path: Path) -> None:
        self.path = path
        self.slots = 0
        self.at = 0
        self.open: dict[int, bool] = {}
        self.lost = 0

    def done(self, followed: bool) -> bool:
        """Nothing can change any more: all slots are read, and a later file exists."""
        return followed and self.at == self.slots > 0 and not self.open

    def skip(self, newest: int) -> None:
        """Pass over all but about so many of the newest events, by looking at few slots.

        Raises:
            FileNotFoundError: it is gone.
            ValueError: it is no spool of this version.
        """
        handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            self._check_header(os.pread(handle, HEADER.size, 0))
            # Slots are claimed in order, so those in use come first; a hole misleads by as little
            # as it is wide.
            low, high = 0, self.slots
            while low < high:
                middle = (low + high + 1) // 2
                if os.pread(handle, SLOT_BYTES, _offset(middle)).strip(b"\0"):
                    low = middle
                else:
                    high = middle - 1
        finally:
            os.close(handle)
        self.at = max(self.at, low - newest)

    def read(
        self,
        sidecar: SidecarReader,
        texts: dict[bytes, str],
        events: list[Event],
        *,
        followed: bool,
        whole: bool,
    ) -> None:
        """Append what is new to ``events``; ``texts`` are the ids known so far.

        ``followed``: a later file exists, so every slot of this one was claimed. Then, or with
        ``whole``, the file is read to its end; else up to the first long stretch of nothing.

        Raises:
            FileNotFoundError: it is gone.
            ValueError: it is no spool of this version.
        """
        handle = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            again = [(at, os.pread(handle, SLOT_BYTES, _offset(at))) for at in self.open]
            size = os.fstat(handle).st_size if followed or whole else _STRETCH_BYTES
            fresh = b"".join(self._stretches(handle, size))
            self._check_header(os.pread(handle, HEADER.size, 0))
        finally:
            os.close(handle)
        # Slots first: a name is in the sidecar before the first slot that uses it.
        if not sidecar.read():
            return
        for at, slot in again:
            before = len(events)
            self._decode(at, slot, sidecar, texts, events)
            if len(events) > before:
                del self.open[at]
        self.at = self._decode(self.at + 1, fresh, sidecar, texts, events)
        # A file without one committed slot was made and then not used: an asynchronous exception
        # came between. No slot of it was ever claimed.
        if followed and self.at:
            self.open.update(dict.fromkeys(range(self.at + 1, self.slots + 1), False))
            self.at = self.slots

    def _stretches(self, handle: int, size: int) -> list[bytes]:
        found = []
        at = _offset(self.at + 1)
        while stretch := os.pread(handle, size, at):
            # The end of a preallocated file is zeros, which are quickly dropped.
            committed = stretch.rstrip(b"\0")
            if not committed:
                break
            found.append(stretch if len(stretch) == size else committed)
            at += size
        return found

    def _check_header(self, data: bytes) -> None:
        """Take in the header; one that was never written leaves everything at 0."""
        if not data.rstrip(b"\0"):
            return
        magic, version, slot_bytes, slots, lost = HEADER.unpack(data.ljust(HEADER.size, b"\0"))
        if (magic, version, slot_bytes) != (MAGIC, SPOOL_VERSION, SLOT_BYTES):
            raise ValueError(f"{self.path} is no spool file of version {SPOOL_VERSION}")
        self.slots, self.lost = slots, lost

    def _decode(
        self,
        first: int,
        data: bytes,
        sidecar: SidecarReader,
        texts: dict[bytes, str],
        events: list[Event],
    ) -> int:
        """Append the events of consecutive slots; returns the number of the last committed one.

        One loop, written out: a call per event would cost as much as all the rest.
        """
        data = data.rstrip(b"\0")
        slots = data.ljust(-(-len(data) // SLOT_BYTES) * SLOT_BYTES, b"\0")
        names, ids, append = sidecar.names, sidecar.ids, events.append
        queues = {
            at: (name.removesuffix(".DQ"), name.endswith(".DQ")) for at, name in names.items()
        }
        new = tuple.__new__
        uncommitted: list[int] = []
        number, last = first - 1, first - 1
        for fields, whole in zip(FIELDS.iter_unpack(slots), SLOT.iter_unpack(slots), strict=True):
            message, redis, queue_at, actor_at, attempt, flags, kind, error_at, thread, *rest = (
                fields
            )
            t1, t2, t3, checksum, commit = rest
            number += 1
            if commit == 0:
                uncommitted.append(number)
                continue
            last = number
            if uncommitted:
                self.open.update(dict.fromkeys(uncommitted, False))
                uncommitted = []
            if commit != number or adler32(whole[0]) != checksum:
                self.open[number] = True
                continue
            try:
                queue, delayed = queues[queue_at]
                if flags:
                    message_id = ids[message] if flags & FOREIGN_MESSAGE_ID else _uuid(message)
                    redis_id = ids[redis] if flags & FOREIGN_REDIS_ID else _uuid(redis)
                else:
                    message_id = texts.get(message) or texts.setdefault(message, _uuid(message))
                    redis_id = texts.get(redis) or texts.setdefault(redis, _uuid(redis))
                event = (
                    _KINDS[kind],
                    queue,
                    delayed,
                    names[actor_at],
                    attempt,
                    message_id,
                    redis_id if redis != NO_ID else None,
                    t1 or None,
                    t2 or None,
                    t3 or None,
                    names[error_at] or None,
                    thread,
                )
            except KeyError:
                self.open[number] = True
                continue
            append(new(Event, event))
        return last


def _offset(slot: int) -> int:
    return HEADER_BYTES + (slot - 1) * SLOT_BYTES


def _uuid(raw: bytes) -> str:
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
