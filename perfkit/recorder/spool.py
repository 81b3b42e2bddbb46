"""The spool of one process: preallocated files that survive a SIGKILL, and their sidecar.

``NAME.PID.jsonl`` says who writes and resolves the names; ``NAME.PID.0000.spool``, ``.0001`` and so
on hold the slots of `perfkit.recorder.events`. An event is in the page cache, and so safe from the
death of the process, as soon as `SpoolWriter.record` returns. Writing to a shared mapping keeps the
GIL; ``os.write`` gives it up, and a thread that does so beside a busy one waits 5 ms for it. Pages
are not touched beforehand: the kernel takes 2 to 3 us for each either way, and one holds 51 events.
"""

from __future__ import annotations

import contextlib
import errno
import mmap
import os
import threading
import weakref
from binascii import unhexlify
from hashlib import blake2b
from pathlib import Path
from typing import Final
from zlib import adler32

from perfkit.recorder.budget import Budget
from perfkit.recorder.events import (
    BODY,
    FOREIGN_MESSAGE_ID,
    FOREIGN_REDIS_ID,
    HEADER,
    HEADER_BYTES,
    HEADER_LOST_OFFSET,
    IDENTITY,
    IDENTITY_OF_UUIDS,
    MAGIC,
    NO_ID,
    SLOT,
    SLOT_BYTES,
    SPOOL_VERSION,
)
from perfkit.recorder.segment import NO_SEGMENT, Segment, preallocated
from perfkit.recorder.sidecar import Sidecar

__all__ = ["SLOTS_PER_FILE", "SpoolWriter"]

SLOTS_PER_FILE: Final = 1 << 18
"""20 MiB a file: at 1000 jobs/s a worker starts a new one every 87 s."""

_LOST: Final = slice(HEADER_LOST_OFFSET, HEADER_LOST_OFFSET + 8)
_MOST_NAMES: Final = 0xFFFF
_MOST_REMEMBERED_IDS: Final = 100_000

_pack_identity = IDENTITY.pack
_pack_uuids = IDENTITY_OF_UUIDS.pack
_pack_body = BODY.pack
_pack_slot = SLOT.pack_into


def _uuid_bytes(text: str) -> bytes | None:
    """The 16 bytes of a UUID in canonical form, None for any other text."""
    # Four dashes in their places leave 32 characters, so 16 bytes mean that all of them are digits.
    if len(text) == 36 and text[8:24:5] == "----" and text == text.lower():
        try:
            raw = unhexlify(text.replace("-", ""))
        except ValueError:
            return None
        if len(raw) == 16:
            return raw
    return None


class SpoolWriter:
    """Appends events to the spool of this process; threads may share it.

    It never raises for want of space: recording stops, and what could not be recorded is counted in
    the header of the last file and announced in the sidecar. A fork gets a spool of its own with
    its first event.
    """

    def __init__(
        self,
        directory: Path,
        *,
        name: str,
        role: str,
        broker_id: str = "",
        slots: int = SLOTS_PER_FILE,
        budget: int | None = None,
    ) -> None:
        """``budget``: bytes that all spools of the directory may take together, see `Budget`."""
        if not name or "/" in name or "\0" in name:
            raise ValueError(f"a spool's name becomes a file name, and {name!r} can't be one")
        if slots < 1:
            raise ValueError(f"a spool file needs at least one slot, not {slots}")
        self.directory = Path(directory)
        self.name = name
        self.role = role
        self.broker_id = broker_id
        self._budget = None if budget is None else Budget(self.directory, budget)
        self._slots = slots if self._budget is None else self._budget.slots(slots)
        self._names: dict[str, int] = {}
        self._ids: set[bytes] = set()
        self._closed = False
        self._begin()
        self.directory.mkdir(parents=True, exist_ok=True)
        with self._lock:
            first = self._next_segment()
            if first is not None:
                self._segment = first
        _WRITERS.add(self)

    def _begin(self) -> None:
        """The state of a process that has written nothing yet."""
        self.lost = 0
        self._lock = threading.Lock()
        self._sidecar: Sidecar | None = None
        self._files = 0
        self._stopped = ""
        self._header: mmap.mmap | None = None
        self._segment = NO_SEGMENT

    def _forked(self) -> None:
        """Start anew in a child, where a thread that held the lock does not exist."""
        if self._sidecar is not None:
            self._sidecar.close()
        self._ids.clear()
        self._begin()

    def identity(
        self, message_id: str, redis_message_id: str | None, queue: str, actor: str, attempt: int
    ) -> bytes:
        """The part of a slot that all events of one delivery share."""
        names = self._names
        # Nearly always two UUIDs: both at once, by the rule of `_uuid_bytes`.
        if redis_message_id is not None and len(message_id) == 36 == len(redis_message_id):
            both = message_id + redis_message_id
            if both[8:24:5] == "----" == both[44:60:5] and both == both.lower():
                with_no_dash = both.replace("-", "")
                try:
                    raw = unhexlify(with_no_dash)
                except ValueError:
                    raw = b""
                if len(raw) == 32:
                    return _pack_uuids(
                        raw,
                        names.get(queue) or self.index(queue),
                        names.get(actor) or self.index(actor),
                        attempt if attempt < 0xFFFF else 0xFFFF,
                    )
        flags = 0
        message = _uuid_bytes(message_id)
        if message is None:
            message = self._foreign(message_id)
            flags = FOREIGN_MESSAGE_ID
        if redis_message_id is None:
            redis = NO_ID
        else:
            found = _uuid_bytes(redis_message_id)
            if found is None:
                found = self._foreign(redis_message_id)
                flags |= FOREIGN_REDIS_ID
            redis = found
        return _pack_identity(
            message,
            redis,
            names.get(queue) or self.index(queue),
            names.get(actor) or self.index(actor),
            attempt if attempt < 0xFFFF else 0xFFFF,
            flags,
        )

    def record(
        self,
        identity: bytes,
        kind: int,
        t1_ns: int,
        t2_ns: int = 0,
        t3_ns: int = 0,
        error: int = 0,
        thread_id: int = 0,
    ) -> None:
        """Write one event. Between the claim and the write lies as little as possible: what is
        interrupted there (a kill, an asynchronous exception) leaves a hole."""
        body = _pack_body(identity, kind, error, thread_id, t1_ns, t2_ns, t3_ns)
        checksum = adler32(body)
        segment = self._segment
        slot = segment.claim()
        while slot >= segment.slots:
            following = self._roll(segment)
            if following is None:
                return
            segment = following
            slot = segment.claim()
        # struct writes its items in order, so the commit mark comes after the body.
        _pack_slot(segment.map, HEADER_BYTES + slot * SLOT_BYTES, body, checksum, slot + 1)

    def index(self, name: str) -> int:
        """Number of a queue, actor or error type; 0 when it can't be stored."""
        known = self._names.get(name)
        if known is not None:
            return known
        with self._lock:
            known = self._names.get(name)
            if known is not None:
                return known
            number = len(self._names) + 1
            if number > _MOST_NAMES or not self._note({"index": number, "name": name}):
                return 0
            # Only now may a slot use it: a reader that sees the slot finds the name.
            self._names[name] = number
            return number

    def lose(self, reason: str) -> None:
        """Count an event that could not be recorded."""
        with self._lock:
            self._lose(reason)

    def close(self) -> None:
        """Say in the sidecar that this process ended in order. Later events are ignored."""
        with self._lock:
            if self._closed:
                return
            if self._sidecar is not None:
                line: dict[str, object] = {"closed": True, "lost": self.lost}
                if self._stopped:  # what had no room then may have it now
                    line["reason"] = self._stopped
                with contextlib.suppress(OSError):  # a full disk: the header has told already
                    self._sidecar.write(line)
                self._sidecar.close()
                self._sidecar = None
            self._closed = True
            self._header = None
            self._segment = NO_SEGMENT

    def _roll(self, full: Segment) -> Segment | None:
        """The segment after a full one, or None (and one more event lost) if there can't be one."""
        with self._lock:
            if self._segment is full:
                following = self._next_segment()
                if following is None:
                    self._lose(self._stopped)
                    return None
                self._segment = following
            return self._segment

    def _next_segment(self) -> Segment | None:
        sidecar = self._opened()
        if sidecar is None:
            return None
        size = HEADER_BYTES + self._slots * SLOT_BYTES
        path = self.directory / f"{sidecar.stem}.{self._files:04d}.spool"
        # Before, not after: an asynchronous exception here must not make the next file collide.
        self._files += 1
        try:
            if self._budget is not None and not self._budget.make_room(size, sidecar.stem):
                raise OSError(errno.EDQUOT, "no room within the disk budget")
            mapping = preallocated(path, size)
        except OSError as error:
            self._stop(error)
            return None
        HEADER.pack_into(mapping, 0, MAGIC, SPOOL_VERSION, SLOT_BYTES, self._slots, self.lost)
        self._header = mapping
        return Segment(mapping, self._slots)

    def _opened(self) -> Sidecar | None:
        """The sidecar, made on first use; None when nothing more is recorded."""
        if self._closed or self._stopped:
            return None
        if self._sidecar is None:
            try:
                self._sidecar = Sidecar(
                    self.directory, name=self.name, role=self.role, broker_id=self.broker_id
                )
                for name, number in self._names.items():  # a fork knows names from its parent
                    self._sidecar.write({"index": number, "name": name})
            except OSError as error:
                self._stop(error)
                return None
        return self._sidecar

    def _note(self, line: dict[str, object]) -> bool:
        sidecar = self._opened()
        if sidecar is None:
            return False
        try:
            sidecar.write(line)
        except OSError as error:
            self._stop(error)
            return False
        return True

    def _foreign(self, text: str) -> bytes:
        """Digest of an id that is not a UUID; its text goes to the sidecar."""
        digest = blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        if digest not in self._ids:
            with self._lock:
                self._note({"id": digest.hex(), "text": text})
                if len(self._ids) >= _MOST_REMEMBERED_IDS:
                    self._ids.clear()
                self._ids.add(digest)
        return digest

    def _stop(self, error: OSError) -> None:
        """Record nothing more; the process under test goes on."""
        why = error.strerror or str(error)
        self._stopped = f"{why[:1].lower()}{why[1:]} for the recorder's spool"
        self._segment = NO_SEGMENT

    def _lose(self, reason: str) -> None:
        if self._closed:
            return
        self.lost += 1
        if self._header is not None:
            self._header[_LOST] = self.lost.to_bytes(8, "little")
        if self.lost == 1 and self._sidecar is not None:
            # The last block of a sidecar often has room for this even on a full disk; where it
            # has not, the header and the line of `close` still tell.
            with contextlib.suppress(OSError):
                self._sidecar.write({"lost": 1, "reason": reason})


_WRITERS: Final[weakref.WeakSet[SpoolWriter]] = weakref.WeakSet()


def _after_fork() -> None:
    for writer in list(_WRITERS):
        writer._forked()


# Asking for the pid at each event would be a system call, a third of what an event costs.
os.register_at_fork(after_in_child=_after_fork)
