"""Reading spools: while they are written, after a clean end, or after a SIGKILL.

A slot that was claimed and never written is a hole. There may be events behind it, so the reader
goes on to the last committed slot, counts the holes on the way and leaves it to the accounting to
reconcile them. In a spool that is still growing, a hole may be filled by the next reading.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
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

__all__ = ["SpoolAnchor", "SpoolContents", "read_spools"]

_KINDS: Final = {int(kind): kind for kind in Kind}


@dataclass(frozen=True, slots=True)
class SpoolAnchor:
    """One instant on both clocks, read when the spool was opened."""

    mono_ns: int
    wall_ns: int


@dataclass(frozen=True, slots=True)
class SpoolContents:
    """All that one process recorded, in the order in which slots were claimed."""

    name: str
    role: str
    pid: int
    broker_id: str
    """Empty where the broker has none."""
    anchor: SpoolAnchor
    events: list[Event]
    holes: int
    """Slots claimed and never written (or not yet)."""
    corrupt: int
    """Committed slots with a wrong checksum, number or name."""
    lost: int
    """Events that had no room, or that the recorder failed to record; a lower bound if the
    process was killed without ever having had a spool file."""
    reason: str
    """Why the first of them was lost, if any."""
    closed: bool
    """The process ended its spool in order."""


@dataclass(slots=True)
class _Sidecar:
    """What the JSON lines say."""

    head: dict[str, Any]
    names: dict[int, str]
    ids: dict[bytes, str]
    lost: int = 0
    reason: str = ""
    closed: bool = False


@dataclass(slots=True)
class _Tally:
    events: list[Event]
    holes: int = 0
    corrupt: int = 0
    lost: int = 0


def read_spools(directory: Path) -> list[SpoolContents]:
    """The spool of every process that wrote into the directory, by name and pid.

    Raises:
        ValueError: for a spool of another version.
    """
    texts: dict[bytes, str] = {}
    found = (_read(path, texts) for path in Path(directory).glob("*.jsonl"))
    return sorted(
        (contents for contents in found if contents is not None),
        key=lambda contents: (contents.name, contents.pid, contents.anchor.mono_ns),
    )


def _read(path: Path, texts: dict[bytes, str]) -> SpoolContents | None:
    """One process's spool, by its ``.jsonl``; None if it died before its first line was whole."""
    # Slots first: a name is in the sidecar before the first slot that uses it.
    files = re.compile(re.escape(path.stem) + r"\.\d{4,}\.spool")
    parts = sorted(part for part in path.parent.iterdir() if files.fullmatch(part.name))
    # The end of a preallocated file is zeros, which are quickly dropped.
    segments = [part.read_bytes().rstrip(b"\0") for part in parts]
    sidecar = _read_sidecar(path)
    if sidecar is None:
        return None
    tally = _Tally([], lost=sidecar.lost)
    for number, data in enumerate(segments):
        slots = _check_header(path, data, tally)
        _decode(data, sidecar, texts, tally, slots if number < len(segments) - 1 else 0)
    head = sidecar.head
    return SpoolContents(
        name=head["name"],
        role=head["role"],
        pid=head["pid"],
        broker_id=head["broker_id"],
        anchor=SpoolAnchor(mono_ns=head["mono_ns"], wall_ns=head["wall_ns"]),
        events=tally.events,
        holes=tally.holes,
        corrupt=tally.corrupt,
        lost=tally.lost,
        reason=sidecar.reason,
        closed=sidecar.closed,
    )


def _read_sidecar(path: Path) -> _Sidecar | None:
    found: _Sidecar | None = None
    for line in path.read_bytes().split(b"\n"):
        try:
            entry = json.loads(line)
        except ValueError:
            continue  # torn by a kill or a full disk; slots that miss a name count as corrupt
        if "spool" in entry:
            if entry["spool"] != SPOOL_VERSION:
                raise ValueError(f"{path} is of version {entry['spool']}, not {SPOOL_VERSION}")
            found = _Sidecar(entry, {0: ""}, {})
        elif found is None:
            continue
        elif "index" in entry:
            found.names[entry["index"]] = entry["name"]
        elif "id" in entry:
            found.ids[bytes.fromhex(entry["id"])] = entry["text"]
        if found is not None:
            found.lost = max(found.lost, entry.get("lost", 0))
            found.reason = found.reason or entry.get("reason", "")
            found.closed = found.closed or entry.get("closed", False)
    return found


def _check_header(path: Path, data: bytes, tally: _Tally) -> int:
    """Number of slots of the file; 0 if its header was never written."""
    if len(data) < len(MAGIC):
        return 0
    magic, version, slot_bytes, slots, lost = HEADER.unpack_from(data.ljust(HEADER.size, b"\0"))
    if (magic, version, slot_bytes) != (MAGIC, SPOOL_VERSION, SLOT_BYTES):
        raise ValueError(f"the files of {path} are no spool of version {SPOOL_VERSION}")
    tally.lost = max(tally.lost, lost)
    return int(slots)


def _decode(
    data: bytes, sidecar: _Sidecar, texts: dict[bytes, str], tally: _Tally, claimed: int
) -> None:
    """Append the events of one file. ``claimed``: slots known to be claimed, because a later file
    exists; else only those up to the last committed one are.

    One loop, written out: a call per event would cost as much as all the rest.
    """
    count = max(0, -(-(len(data) - HEADER_BYTES) // SLOT_BYTES))
    slots = data[HEADER_BYTES:].ljust(count * SLOT_BYTES, b"\0")
    names, ids, append = sidecar.names, sidecar.ids, tally.events.append
    queues = {at: (name.removesuffix(".DQ"), name.endswith(".DQ")) for at, name in names.items()}
    new = tuple.__new__
    number = uncommitted = 0
    for fields, whole in zip(FIELDS.iter_unpack(slots), SLOT.iter_unpack(slots), strict=True):
        message, redis, queue_at, actor_at, attempt, flags, kind, error_at, thread, *rest = fields
        t1, t2, t3, checksum, commit = rest
        body = whole[0]
        number += 1
        if commit == 0:
            uncommitted += 1
            continue
        tally.holes += uncommitted
        uncommitted = 0
        if commit != number or adler32(body) != checksum:
            tally.corrupt += 1
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
            tally.corrupt += 1
            continue
        append(new(Event, event))
    # A file without one committed slot was made and then not used: an asynchronous exception came
    # between. No slot of it was ever claimed.
    if claimed and uncommitted < count:
        tally.holes += uncommitted + claimed - count


def _uuid(raw: bytes) -> str:
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
